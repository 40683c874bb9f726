"""Parts of a model by name learn at rates, decays and with layers of their own."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tiny import random_batch, tiny
from torch import nn

from gazekit.errors import ConfigurationError
from gazekit.modelling.build import build_model, build_objective
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.training.computing.step import TrainingStep
from gazekit.training.optimising.optimiser import make_optimizer, set_learning_rates
from gazekit.training.optimising.parts import parameter_groups, parts_of
from gazekit.training.optimising.recipe import Recipe
from gazekit.training.start import StartSettings, start_run


def made(preset: Preset, registry: Registry) -> nn.ModuleDict:
    torch.manual_seed(0)
    model = build_model(preset, registry, classes=2).train()
    return nn.ModuleDict({"model": model, "objective": build_objective(preset, registry, model)})


def settings_of(preset: Preset, modules: nn.ModuleDict) -> dict[str, tuple[float, float]]:
    """Parameter → its learning rate and weight decay."""
    names = {id(parameter): name for name, parameter in modules.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in parameter_groups(modules, preset.training)
        for parameter in group["params"]
    }


def under(found: dict[str, tuple[float, float]], *prefixes: str) -> set[tuple[float, float]]:
    chosen = {values for name, values in found.items() if name.startswith(prefixes)}
    assert chosen
    return chosen


def test_without_groups_there_is_a_single_one_in_the_order_of_the_modules(registry: Registry) -> None:
    """As in 0.1, whose checkpoints count parameters in this order."""
    preset = tiny(registry)
    modules = made(preset, registry)
    (group,) = parameter_groups(modules, preset.training)
    assert [id(each) for each in group["params"]] == [id(each) for each in modules.parameters()]
    assert (group["lr"], group["weight_decay"]) == (2e-3, 0.01)


def test_each_part_has_its_own_rate_and_decay_and_the_rest_has_that_of_all(registry: Registry) -> None:
    preset = tiny(
        registry,
        "training.learning_rate=0.1",
        "training.weight_decay=0.5",
        "training.groups.backbones.learning_rate=0.01",
        "training.groups.fusion.weight_decay=0",
        "training.groups.objective={learning_rate=0.2, weight_decay=0.3}",
        "terms.decoder.use=gaze_decoder",
    )
    modules = made(preset, registry)
    assert list(parts_of(modules)) == ["backbones", "fusion", "projections", "head", "objective"]
    found = settings_of(preset, modules)
    assert len(found) == len(list(modules.parameters()))
    assert under(found, "model.backbones.") == {(0.01, 0.5)}
    assert under(found, "model.map_fusion.", "model.vector_fusion.") == {(0.1, 0.0)}
    assert under(found, "model.projections.", "model.head.") == {(0.1, 0.5)}
    assert under(found, "objective.") == {(0.2, 0.3)}


def test_stages_of_backbones_learn_slower_the_earlier_they_are(registry: Registry) -> None:
    preset = tiny(
        registry,
        "training.groups.backbones={learning_rate=0.08, layer_decay=0.5}",
        "training.weight_decay=0",
    )
    found = settings_of(preset, made(preset, registry))
    for stage, rate in enumerate((0.01, 0.02, 0.04, 0.08)):
        for branch in (0, 1):
            assert under(found, f"model.backbones.{branch}.stages.{stage}.") == {(rate, 0.0)}
    assert under(found, "model.head.") == {(2e-3, 0.0)}


def test_norms_and_biases_can_be_spared_of_decay(registry: Registry) -> None:
    preset = tiny(registry, "training.decay_norms_and_biases=false")
    modules = made(preset, registry)
    found = settings_of(preset, modules)
    for name, parameter in modules.named_parameters():
        assert found[name][1] == (0.01 if parameter.ndim > 1 else 0), name
    assert {decay for _, decay in found.values()} == {0.0, 0.01}


def test_a_schedule_moves_every_rate_by_its_factor(registry: Registry) -> None:
    preset = tiny(registry, "training.groups.head.learning_rate=0.5")
    optimizer = make_optimizer(made(preset, registry), Recipe.of(preset.training, registry))
    set_learning_rates(optimizer, 0.1)
    set_learning_rates(optimizer, 0.25)
    assert sorted(group["lr"] for group in optimizer.param_groups) == [5e-4, 0.125]


def test_a_part_at_a_tenth_of_the_rate_moves_a_tenth(registry: Registry) -> None:
    """By plain gradient descent, from the same weights."""
    moved: dict[str, Sequence[float]] = {}
    for name, group in (("whole", ()), ("tenth", ("training.groups.backbones.learning_rate=2e-4",))):
        preset = tiny(
            registry,
            "training.optimizer=sgd",
            "training.optimizer.momentum=0",
            "training.weight_decay=0",
            *group,
        )
        modules = made(preset, registry).double()
        model, objective = modules["model"], modules["objective"]
        before = [each.detach().clone() for each in model.backbones.parameters()]  # type: ignore[union-attr]
        step = TrainingStep(
            model, objective, make_optimizer(modules, Recipe.of(preset.training, registry)), preset.training
        )  # type: ignore[arg-type]
        step(
            random_batch(("cc", "mlo")).map(lambda each: each.double() if each.is_floating_point() else each)
        )
        after = model.backbones.parameters()  # type: ignore[union-attr]
        moved[name] = [float((a - b).detach().norm()) for a, b in zip(after, before, strict=True)]
    assert max(moved["whole"]) > 0
    assert moved["tenth"] == pytest.approx([each / 10 for each in moved["whole"]], rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "training.groups.backbone.learning_rate=1e-5",
            r"training\.groups\.backbone: no part .* there are backbones, ",
        ),
        ("training.groups.objective.learning_rate=1e-5", r"training\.groups\.objective: no part"),
        (
            "training.groups.head.layer_decay=0.5",
            r"training\.groups\.head\.layer_decay: only backbones have stages",
        ),
        ("training.optimizer={use='timm', arguments={depth=3}}", "lamb does not take these: "),
    ],
)
def test_what_the_model_does_not_have_is_said_before_a_run_begins(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, override: str, message: str
) -> None:
    settings = StartSettings(seed=0, device=torch.device("cpu"))
    with pytest.raises(ConfigurationError, match=message):
        start_run(
            tmp_path / "run", tiny(registry, override), registry, dataset, make_split(dataset), settings
        )
    assert not (tmp_path / "run").exists()
