"""Eq. 8, its masks and its weights."""

from dataclasses import replace

import pytest
import torch
from gazekit_components.alignment_losses.mse import MeanSquaredError
from gazekit_components.attention_maps.grad_cam import GradCAM
from tiny import random_batch, tiny
from torch import Tensor
from torch.nn import functional

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.interfaces import Term
from gazekit.contracts.types import Batch, Output
from gazekit.modelling.alignment import Alignment
from gazekit.modelling.build import build_model, build_objective
from gazekit.modelling.model import MultiViewClassifier
from gazekit.modelling.objective import Objective, balanced_weights
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry


@pytest.fixture
def built(registry: Registry) -> tuple[Preset, MultiViewClassifier, Objective]:
    torch.manual_seed(0)
    preset = tiny(registry)
    model = build_model(preset, registry, classes=2).eval()
    return preset, model, build_objective(preset, registry, model)


def test_the_total_is_the_weighted_sum(built: tuple[Preset, MultiViewClassifier, Objective]) -> None:
    preset, model, objective = built
    batch = random_batch(preset.views)
    losses = objective(model(batch.images), batch)
    assert set(losses.terms) == {"classification", "gaze", "bfl"}
    expected = losses.terms["classification"] + 0.5 * losses.terms["gaze"] + 0.2 * losses.terms["bfl"]
    torch.testing.assert_close(losses.total, expected)
    assert all(term.item() > 0 for term in losses.terms.values())


def test_alignment_is_the_mean_over_pairs_with_gaze(
    built: tuple[Preset, MultiViewClassifier, Objective],
) -> None:
    preset, model, objective = built
    batch = random_batch(preset.views)
    has_gaze = {
        "cc": torch.tensor([True, False, False, True]),
        "mlo": torch.tensor([False, False, True, False]),
    }
    assert batch.gaze
    poisoned = {
        view: torch.where(has_gaze[view][:, None, None], batch.gaze[view], torch.nan) for view in preset.views
    }
    batch = replace(batch, gaze=Gaze.of_heat_maps(poisoned))
    output = model(batch.images)
    assert batch.gaze and objective.attention_map
    alignment_loss = objective.terms["gaze"].alignment_loss
    maps = objective.attention_map(output, torch.ones(4, dtype=torch.int64))
    pairs = [(view, i) for view in preset.views for i in range(4) if has_gaze[view][i]]
    each = [alignment_loss(maps[v][i : i + 1], batch.gaze[v][i : i + 1]) for v, i in pairs]
    loss = objective(output, batch).terms["gaze"]
    torch.testing.assert_close(loss, torch.cat(each).mean())
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_a_batch_without_gaze_contributes_exactly_nothing(
    built: tuple[Preset, MultiViewClassifier, Objective],
) -> None:
    preset, model, objective = built
    batch = random_batch(preset.views)
    none = Gaze.of_heat_maps({view: torch.zeros(4, 32, 32) for view in preset.views})
    losses = objective(model(batch.images), replace(batch, gaze=none))
    assert losses.terms["gaze"].item() == 0
    losses.terms["gaze"].backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_target_is_the_label_or_always_the_positive_class(registry: Registry) -> None:
    torch.manual_seed(0)
    preset = tiny(registry)
    model = build_model(preset, registry, classes=2).eval()
    batch = random_batch(preset.views)
    output = model(batch.images)
    label = build_objective(tiny(registry, "gaze.target=label"), registry, model)
    positive = build_objective(tiny(registry, "gaze.target=positive"), registry, model)
    assert not torch.isclose(label(output, batch).terms["gaze"], positive(output, batch).terms["gaze"])
    ones = replace(batch, labels=torch.ones(4, dtype=torch.int64))
    torch.testing.assert_close(label(output, ones).terms["gaze"], positive(output, batch).terms["gaze"])
    several = build_model(preset, registry, classes=3).eval()
    batch = random_batch(preset.views, classes=3)
    output = several(batch.images)
    torch.testing.assert_close(positive(output, batch).terms["gaze"], label(output, batch).terms["gaze"])


def test_balanced_weights_are_the_papers_pos_weight() -> None:
    labels = torch.tensor([0] * 6 + [1] * 2)
    weights = balanced_weights(labels, 2)
    assert weights[1] / weights[0] == 6 / 2
    logits = torch.randn(8, 1)
    objective = Objective(class_weights=weights)
    expected = functional.binary_cross_entropy_with_logits(
        logits[:, 0], labels.float(), pos_weight=torch.tensor(3.0)
    )
    torch.testing.assert_close(objective.classification(logits, labels), expected)


def test_several_classes_are_weighted_cross_entropy() -> None:
    labels, logits = torch.tensor([0, 1, 2, 2]), torch.randn(4, 3)
    weights = balanced_weights(labels, 3)
    torch.testing.assert_close(weights * torch.bincount(labels), torch.full((3,), 4 / 3))
    expected = functional.cross_entropy(logits, labels, weight=weights)
    torch.testing.assert_close(Objective(class_weights=weights).classification(logits, labels), expected)


def test_gaze_is_not_read_when_predicting(built: tuple[Preset, MultiViewClassifier, Objective]) -> None:
    preset, model, _ = built
    batch = random_batch(preset.views)
    poison = Gaze.of_heat_maps({view: torch.full((4, 32, 32), torch.nan) for view in preset.views})
    assert torch.equal(model(batch.images).logits, model(batch.images, poison).logits)


def linear_output(exams: int = 3) -> Output:
    """Logits that are the sums of the pooled maps of one view."""
    maps = torch.randn(exams, 4, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    pooled = {"cc": maps.mean(dim=(2, 3))}
    return Output(pooled["cc"].sum(dim=1, keepdim=True), {"cc": maps}, pooled, pooled, pooled["cc"])


def test_terms_that_align_the_attention_of_other_classes_do_not_share_a_map() -> None:
    output, batch = linear_output(), random_batch(("cc",), exams=3, size=8)
    terms = {target: Alignment(MeanSquaredError(), target=target) for target in ("label", "positive")}
    both = Objective(attention_map=GradCAM(), terms=terms).values(output, batch)
    for name, term in terms.items():
        alone = Objective(attention_map=GradCAM(), terms={name: term}).values(output, batch)[name]
        torch.testing.assert_close(both[name], alone)
    assert not torch.allclose(both["label"], both["positive"])


class _Flat(Term):
    """The same number whatever the maps are."""

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return 1 + 0 * output.features["cc"].sum(dim=(1, 2, 3))


def test_a_term_without_a_slope_keeps_its_factor() -> None:
    objective = Objective(terms={"flat": _Flat()}, balanced=True)
    assert objective.balance(linear_output(), random_batch(("cc",), exams=3, size=8)) == ["flat"]
    assert objective.factors.tolist() == [1]
