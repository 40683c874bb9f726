"""A model of exams that lack a view: the missing view takes no part."""

from dataclasses import replace

import pytest
import torch
from tiny import random_batch, tiny

from gazekit.modelling.build import build_attention_map, build_model, build_objective
from gazekit.registry.registry import Registry
from gazekit.testing.promises import random_gaze

VIEWS = ("cc", "mlo")
PRESENT = {"cc": torch.tensor([True, True, False, True]), "mlo": torch.tensor([True, False, True, True])}


def built(registry: Registry, *overrides: str, preset: str = "mammonet_small"):
    torch.manual_seed(0)
    return build_model(tiny(registry, *overrides, preset=preset), registry, classes=2)


@pytest.mark.parametrize("preset", ["mammonet_small", "late_concat", "two_channel"])
def test_the_pixels_of_a_missing_view_change_nothing(registry: Registry, preset: str) -> None:
    model, images = built(registry, preset=preset).eval(), random_batch(VIEWS).images
    poisoned = {
        view: torch.where(PRESENT[view][:, None, None, None], each, torch.nan)
        for view, each in images.items()
    }
    expected, came = model(images, present=PRESENT).logits, model(poisoned, present=PRESENT).logits
    assert came.isfinite().all()
    assert torch.equal(came, expected)


def test_exams_with_all_views_are_as_without_the_others(registry: Registry) -> None:
    model, images = built(registry).eval(), random_batch(VIEWS).images
    whole = torch.tensor([0, 3])
    torch.testing.assert_close(model(images, present=PRESENT).logits[whole], model(images).logits[whole])
    everything = {view: torch.ones(4, dtype=torch.bool) for view in VIEWS}
    assert torch.equal(model(images, present=everything).logits, model(images).logits)


def test_a_view_alone_is_its_own_branch_without_an_exchange(registry: Registry) -> None:
    """The maps are those of a model without map fusion, and the missing view's vector is that of the view there."""
    model, images = built(registry).eval(), random_batch(VIEWS).images
    output = model(images, present=PRESENT)
    own = model.backbones[0].stages[2](
        model.backbones[0].stages[1](model.backbones[0].stages[0](images["cc"]))
    )
    torch.testing.assert_close(output.features["cc"][1], model.backbones[0].stages[3](own)[1])
    torch.testing.assert_close(output.vectors["mlo"][1], output.vectors["cc"][1])
    assert not torch.allclose(output.vectors["mlo"][0], output.vectors["cc"][0])


def test_attention_of_a_missing_view_is_nowhere(registry: Registry) -> None:
    preset = tiny(registry)
    model, images = built(registry).eval(), random_batch(VIEWS).images
    attention = build_attention_map(preset, registry)
    assert attention is not None
    _, maps = model.explain(images, attention, present=PRESENT)
    assert not maps["mlo"][1].any() and not maps["cc"][2].any()
    assert maps["cc"][1].any() and maps["mlo"][2].any()


def test_losses_ignore_a_missing_view(registry: Registry) -> None:
    """The gaze loss is the mean over the views that are there."""
    preset, model = tiny(registry), built(registry).eval()
    batch = random_batch(VIEWS)
    gaze = random_gaze(VIEWS, 32)
    for view in VIEWS:
        gaze.fixations[view][~PRESENT[view]] = torch.nan
    batch = replace(batch, gaze=gaze, present=PRESENT)
    objective = build_objective(preset, registry, model)
    output = model(batch.images, present=PRESENT)
    values = objective.values(output, batch)["gaze"]
    assert torch.equal(values.isnan(), ~torch.stack([PRESENT[view] for view in VIEWS], dim=1))
    losses = objective(output, batch)
    torch.testing.assert_close(losses.terms["gaze"], values[~values.isnan()].mean())
    losses.total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
