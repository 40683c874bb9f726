"""Options of a recipe do as they say, and every one of them resumes to the bit."""

import copy
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tomlkit
import torch
from tiny import SMALL, random_batch, tiny
from torch import nn

from gazekit.contracts.progress import Elapsed
from gazekit.errors import ConfigurationError, DataError, PluginError, Preempted
from gazekit.modelling.build import build_model, build_objective
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.registry.registry import Registry
from gazekit.reporting.drawing.charts.training import training_figure
from gazekit.runs.checkpoints import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.stored import extend, load_model, preset_conflicts, stored_preset
from gazekit.runs.table import summarise
from gazekit.runs.trained import open_trained
from gazekit.training import loop
from gazekit.training.computing.step import TrainingStep
from gazekit.training.optimising.average import WeightAverage
from gazekit.training.optimising.optimiser import factor_of, make_optimizer
from gazekit.training.optimising.recipe import Recipe
from gazekit.training.resume import Checkpoints
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, start_run

CPU = torch.device("cpu")
FEW = ("training.epochs=3", "training.batch_size=6", "fusion.vectors.dropout=0.2")
OPTIONS = {
    "sgd, label smoothing": (
        "training.optimizer=sgd",
        "training.optimizer.nesterov=true",
        "loss.label_smoothing=0.1",
    ),
    "lamb, cosine, focal": ("training.optimizer=timm", "training.schedule=cosine", "loss.focal_gamma=2"),
    "lion, polynomial, sampling": (
        "training.optimizer={use='timm', algorithm='lion'}",
        "training.schedule=polynomial",
        "training.sampling=balanced",
    ),
    "muon, stepwise, groups": (
        "training.optimizer={use='timm', algorithm='muon'}",
        "training.schedule={use='stepwise', every=1}",
        "training.groups.backbones={learning_rate=1e-4, layer_decay=0.5}",
        "training.groups.head.weight_decay=0.1",
        "training.decay_norms_and_biases=false",
    ),
    "plateau, mixup": (
        "training.schedule={use='plateau', patience=0, threshold=0.5}",
        "training.augmentation.mixup=0.4",
    ),
    "frozen, intensity": (
        "training.groups.backbones={freeze_epochs=2}",
        "training.groups.head={freeze_epochs=1}",
        "training.augmentation={gain=0.2, gamma=0.3, noise=0.02, blur=1.0}",
    ),
    "frozen, average": ("training.groups.backbones={freeze_epochs=1}", "training.ema=0.9"),
    "frozen in parts": ("training.groups.backbones={freeze_epochs=2}", "training.accumulate=2"),
    "patience": ("training.patience=1",),
    "validate_every": ("training.validate_every=2",),
    "average": ("training.ema=0.9",),
    "average, last": ("training.ema=0.9", "training.select=last"),
}
"""Name → overrides."""


def start(path: Path, registry: Registry, dataset: PreparedDataset, *overrides: str) -> RunDirectory:
    settings = StartSettings(seed=1, device=CPU)
    preset = tiny(registry, *FEW, *overrides)
    return start_run(path, preset, registry, dataset, make_split(dataset), settings)


def stop_before(step: int) -> Callable[[], bool]:
    calls = iter(range(10_000))
    return lambda: next(calls) >= step


def outcome(run: RunDirectory) -> dict[str, bytes]:
    """Every byte of the newest checkpoint, of the selected weights and of the metrics."""
    newest = checkpoint.steps_of(run.checkpoints)[-1]
    best = checkpoint.steps_of(run.best)[-1:]
    files = [run.metrics, *(file for folder in (newest, *best) for file in folder.iterdir())]
    return {str(file.relative_to(run.path)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def plain(
    tmp_path_factory: pytest.TempPathFactory, registry: Registry, dataset: PreparedDataset
) -> dict[str, bytes]:
    """Outcome of the training without any of the options."""
    run = start(tmp_path_factory.mktemp("plain") / "run", registry, dataset)
    continue_run(run, registry, dataset)
    return outcome(run)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_resumes_to_the_bit(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, plain: dict[str, bytes], name: str
) -> None:
    """Stopped within the first epoch and within the second, if it comes to that; and the options do something."""
    straight = start(tmp_path / "straight", registry, dataset, *OPTIONS[name])
    continue_run(straight, registry, dataset)
    stopped = start(tmp_path / "stopped", registry, dataset, *OPTIONS[name])
    for steps in (1, 4):
        try:
            continue_run(stopped, registry, dataset, should_stop=stop_before(steps))
        except Preempted:
            torch.rand(17)  # whatever else draws from the global stream in between
    continue_run(stopped, registry, dataset)
    assert outcome(stopped) == outcome(straight) != plain
    assert "skipped" not in (straight.path / "log.txt").read_text()


def test_a_run_that_0_1_began_goes_on(tmp_path: Path, registry: Registry, dataset: PreparedDataset) -> None:
    """Its preset names optimiser and schedule by a word, and its checkpoint knows a single group and no validations."""
    straight = start(tmp_path / "straight", registry, dataset)
    continue_run(straight, registry, dataset)
    run = start(tmp_path / "run", registry, dataset)
    with pytest.raises(Preempted):
        continue_run(run, registry, dataset, should_stop=stop_before(4))
    began = stored_preset(run, registry)
    document = tomlkit.parse(run.preset_path.read_text())
    training: Any = document["training"]
    for key in ("groups", "patience", "ema", "sampling", "decay_norms_and_biases"):
        training.pop(key, None)
    training["optimizer"], training["schedule"] = "adamw", "one_cycle"
    training.add("betas", [0.9, 0.999])
    run.preset_path.write_text(tomlkit.dumps(document))
    assert preset_conflicts(stored_preset(run, registry), began) == []
    newest = checkpoint.steps_of(run.checkpoints)[-1]
    found = checkpoint.load(newest)
    found.state["state"].pop("validated")
    (group,) = found.state["optimizer"]["param_groups"]
    group.pop("initial_lr")
    checkpoint.save_step(run.checkpoints, int(newest.name), found.weights, found.state)
    continue_run(run, registry, dataset)
    ours, theirs = (checkpoint.load_latest(each.checkpoints, pytest.fail) for each in (run, straight))
    assert ours is not None and theirs is not None
    assert all(torch.equal(each, theirs.weights[name]) for name, each in ours.weights.items())
    assert run.metrics.read_bytes() == straight.metrics.read_bytes()


def weights_after(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, *overrides: str
) -> list[dict[str, torch.Tensor]]:
    """Weights before the training and after each epoch."""
    run = start(tmp_path / "run", registry, dataset, "training.checkpoint_every=1", *overrides)
    first = checkpoint.load_latest(run.checkpoints, pytest.fail)
    assert first is not None
    found = [first.weights]

    def saved(checkpoints: Checkpoints, _step: int, state: dict[str, Any], **_more: Any) -> bool:
        if state["state"]["batch"] == 0 and state["state"]["epoch"] == len(found):
            found.append({name: each.clone() for name, each in checkpoints.modules.state_dict().items()})
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", saved)
        continue_run(run, registry, dataset)
    return found


def under(weights: dict[str, torch.Tensor], prefix: str) -> torch.Tensor:
    return torch.cat(
        [weights[name].flatten().double() for name in sorted(weights) if name.startswith(prefix)]
    )


def test_a_backbone_frozen_for_two_epochs_then_learns_at_a_tenth_of_the_rate(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    """Weights and running statistics stay to the bit for two epochs, while the rest learns; then they move."""
    backbones = "training.groups.backbones={freeze_epochs=2, learning_rate=2e-4}"
    constant = "training.schedule=constant"
    rate = "training.learning_rate=2e-3"
    found = weights_after(tmp_path, registry, dataset, "training.epochs=4", constant, rate, backbones)
    assert len(found) == 5
    part = "model.backbones."
    for epoch in (1, 2):
        assert torch.equal(under(found[epoch], part), under(found[0], part))
        assert not torch.equal(under(found[epoch], "model.head."), under(found[epoch - 1], "model.head."))
    for epoch in (3, 4):
        assert not torch.equal(under(found[epoch], part), under(found[epoch - 1], part))
    weight = "model.backbones.0.stages.3"
    name = next(each for each in found[0] if each.startswith(weight) and found[0][each].ndim == 4)
    steps = -(-int(np.sum([part == "train" for part in make_split(dataset).values()])) // 6)
    moved = (found[3][name] - found[2][name]).abs().max()
    assert 0 < float(moved) <= 1.05 * 2e-4 * steps + 2e-4 * 0.01  # a step of Adam is at most its rate


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("training.accumulate=2",),
        ("fusion.maps=none",),
        ("fusion.maps=none", "attention_map=layer_cam", "attention_map.stage=2"),
        ("fusion.maps=none", "training.checkpoint_activations=true"),
    ],
)
def test_gaze_supervises_what_follows_a_frozen_backbone_as_if_it_learnt(
    registry: Registry, overrides: tuple[str, ...]
) -> None:
    """The gradients of the parts that learn are those of an ordinary step, to rounding; the others have none."""
    preset = tiny(registry, *overrides)
    batch = random_batch(("cc", "mlo"))
    gradients = []
    for frozen in (False, True):
        torch.manual_seed(0)
        model = build_model(preset, registry, classes=2).train()
        objective = build_objective(preset, registry, model)
        modules = nn.ModuleDict({"model": model, "objective": objective})
        step = TrainingStep(
            model, objective, make_optimizer(modules, Recipe.of(preset.training, registry)), preset.training
        )
        if frozen:
            model.backbones.requires_grad_(False)
            step.resting = ("backbones",)
        step._gradients(batch)
        gradients.append({name: each.grad for name, each in model.named_parameters()})
    for name, expected in gradients[0].items():
        assert expected is not None
        came = gradients[1][name]
        if name.startswith("backbones."):
            assert came is None
        else:
            torch.testing.assert_close(came, expected, rtol=1e-5, atol=1e-7)


def test_the_recipe_of_the_documentation_is_one(tmp_path: Path, registry: Registry) -> None:
    page = (Path(__file__).parents[2] / "docs/recipes.md").read_text()
    block = re.search(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    assert block is not None
    file = tmp_path / "fine_tuned.toml"
    file.write_text(block[1])
    preset = registry.preset(str(file), overrides=[*SMALL, "fusion.maps.heads=2", "fusion.maps.head_dim=3"])
    training, backbones = preset.training, preset.training.groups["backbones"]
    assert backbones.freeze_epochs == 2 and backbones.learning_rate == pytest.approx(
        training.learning_rate / 10
    )
    model = build_model(preset, registry, classes=2)
    modules = nn.ModuleDict({"model": model, "objective": build_objective(preset, registry, model)})
    rates = {group["lr"] for group in make_optimizer(modules, Recipe.of(training, registry)).param_groups}
    assert rates == {1e-3, *(1e-4 * 0.75**stage for stage in range(4))}
    shown = preset.to_toml()
    for line in ("freeze_epochs = 2 # fine_tuned.toml", "ema = 0.999 # fine_tuned.toml: validate and keep"):
        assert line in shown
    assert "rotation = 15.0 # mammonet.toml: Sec. 3.2" in shown


def test_a_run_names_the_file_of_its_preset_without_the_folders(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    """The name is handed on in reports, cards, exported models and DICOM objects."""
    file = tmp_path / "jane roe" / "clinic.toml"
    file.parent.mkdir()
    file.write_text('extends = "mammonet_small"\n')
    fewer = (*FEW, "fusion.maps.heads=2", "fusion.maps.head_dim=3", "gaze.alignment_loss.levels=2")
    preset = tiny(registry, *fewer, preset=str(file))
    settings = StartSettings(seed=1, device=CPU)
    run = start_run(tmp_path / "run", preset, registry, dataset, make_split(dataset), settings)
    assert run.facts().preset == "clinic.toml"


def test_everything_frozen_is_refused(tmp_path: Path, registry: Registry, dataset: PreparedDataset) -> None:
    names = ("backbones", "fusion", "projections", "head")
    frozen = [f"training.groups.{name}.freeze_epochs=1" for name in names]
    with pytest.raises(ConfigurationError, match="every part rests at first"):
        start(tmp_path / "run", registry, dataset, *frozen)


def test_patience_ends_a_training_and_says_so(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a validation that never improves on the second epoch, a patience of two ends it with the fourth."""
    aucs = iter([0.5, 0.7, 0.6, 0.7, *[0.9] * 9])
    monkeypatch.setattr(loop, "area_under_roc", lambda *_: next(aucs))
    monkeypatch.setattr(loop, "is_better", lambda _select, auc, _loss, best, _best_loss: auc > best)
    run = start(tmp_path / "run", registry, dataset, "training.epochs=9", "training.patience=2")
    state = continue_run(run, registry, dataset)
    assert (state.epoch, state.best_epoch) == (4, 2)
    assert "ended after epoch 4 of 9: training.patience = 2 epochs" in (run.path / "log.txt").read_text()
    assert summarise(run.path).state == "finished early, epoch 4 of 9"
    assert checkpoint.steps_of(run.checkpoints)[-1].name == f"{state.step:06d}"
    again = continue_run(run, registry, dataset)
    assert (again.epoch, again.step) == (4, state.step), "it is finished"
    stored = stored_preset(run, registry)
    more = registry.preset(str(run.preset_path), overrides=["training.epochs=12"])
    with pytest.raises(
        ConfigurationError, match=r"ended after epoch 4, because training\.patience = 2 .* raise that"
    ):
        extend(run, stored, more, registry)
    longer = registry.preset(str(run.preset_path), overrides=["training.patience=3"])
    assert "training.patience is now 3, begun with 2" in extend(run, stored, longer, registry)
    assert continue_run(run, registry, dataset).epoch > 4


def test_epochs_between_validations_are_trained_alike_and_never_selected(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    few = ("training.epochs=7", "training.validate_every=3")
    run = start(tmp_path / "run", registry, dataset, *few)
    seen: list[tuple[int, float | None]] = []
    state = continue_run(
        run, registry, dataset, report=lambda s, _: seen.append((s.epoch, s.auc)) if s.batch == 0 else None
    )
    assert [epoch for epoch, auc in seen if auc is not None] == [3, 6, 7]
    lines = run.read_metrics()
    assert [line["epoch"] for line in lines if "val_auc" in line] == [3, 6, 7] and len(lines) == 7
    assert [line["best_epoch"] for line in lines[:2]] == [0, 0] and state.best_epoch in (3, 6, 7)
    assert len(state.validated) == 3
    longer = registry.preset(str(run.preset_path), overrides=["training.epochs=8"])
    told = extend(run, stored_preset(run, registry), longer, registry)
    assert "epoch 7 has been validated, which a run of 8 epochs would not have done" in told
    every = start(tmp_path / "every", registry, dataset, few[0])
    continue_run(every, registry, dataset)
    for mine, other in zip(lines, every.read_metrics(), strict=True):
        assert mine.items() - {"best_epoch": mine["best_epoch"]}.items() <= other.items()
    top, bottom = training_figure(lines).axes
    curves = {curve.get_label(): list(curve.get_xdata()) for curve in top.get_lines()}
    assert curves["classification, validation"] == [3, 6, 7] and curves["total"] == list(range(1, 8))
    assert list(bottom.get_lines()[0].get_xdata()) == [3, 6, 7]
    assert training_figure(lines[:2]).axes[1].get_legend() is None


def test_weights_before_the_first_validation_are_said_to_be_yet_to_come(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    run = start(tmp_path / "run", registry, dataset, "training.epochs=4", "training.validate_every=3")
    ended = [0]

    def count(state: loop.State, _batches: int) -> None:
        ended[0] = state.epoch

    with pytest.raises(Preempted):
        continue_run(run, registry, dataset, report=count, should_stop=lambda: ended[0] == 2)
    with pytest.raises(DataError, match="no epoch has been validated yet; train on"):
        open_trained(run.path, registry, CPU)


def test_patience_looks_once_more_before_it_ends_a_training(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    aucs = {3: 0.5, 6: 0.4, 7: 0.6, 9: 0.1, 11: 0.2}
    found = iter(aucs.values())
    monkeypatch.setattr(loop, "area_under_roc", lambda *_: next(found))
    asked = ("training.epochs=20", "training.validate_every=3", "training.patience=4")
    run = start(tmp_path / "run", registry, dataset, *asked)
    state = continue_run(run, registry, dataset)
    assert [line["epoch"] for line in run.read_metrics() if "val_auc" in line] == [*aucs]
    assert (state.epoch, state.best_epoch) == (11, 7)


def test_patience_needs_something_to_wait_for(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match=r"training\.patience: cannot wait for better weights"):
        tiny(registry, "training.patience=3", "training.select=last")


def test_the_average_is_that_of_a_slow_loop_and_a_skipped_step_does_not_move_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    modules = nn.ModuleDict({"model": model, "objective": nn.Module()})
    average = WeightAverage(modules, 0.5)  # reached after eight steps that count
    assert not any(each.training for each in average.modules.modules())
    expected = {name: each.double().numpy().copy() for name, each in modules.state_dict().items()}
    counted = 0
    for step in range(30):
        with torch.no_grad():
            for each in [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]:
                each.add_(torch.randn_like(each))
            model[1].num_batches_tracked.add_(1)
        before = copy.deepcopy(average.state_dict())
        taken = step % 7 != 3
        average.update(torch.tensor(taken))
        if not taken:
            after = average.state_dict()["weights"]
            kept = [name for name in after if "num_batches" not in name]
            assert all(torch.equal(after[name], before["weights"][name]) for name in kept)
            continue
        counted += 1
        decay = min(0.5, (1 + counted) / (10 + counted))
        for name, each in modules.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * each.double().numpy()
    for name, each in average.modules.state_dict().items():
        if "num_batches" in name:
            assert int(each) == 30
        else:
            np.testing.assert_allclose(each.numpy(), expected[name], rtol=1e-5, atol=1e-6)
    assert torch.equal(average.steps, torch.tensor(float(counted)))


def test_the_average_is_validated_selected_and_used(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    """Both weights that a run is opened with are those of the average, and so is the validation."""
    run = start(tmp_path / "run", registry, dataset, "training.ema=0.9", "training.select=last")
    state = continue_run(run, registry, dataset)
    newest = checkpoint.load_latest(run.checkpoints, pytest.fail)
    assert newest is not None
    averaged = newest.state["average"]["weights"]
    for which in ("selected", "last"):
        model, _ = load_model(run, registry, CPU, which=which)  # type: ignore[arg-type]
        for name, each in model.state_dict().items():
            assert torch.equal(each, averaged[f"model.{name}"])
    assert any(not torch.equal(averaged[name], each) for name, each in newest.weights.items())
    best = start(tmp_path / "best", registry, dataset, "training.ema=0.9", "training.epochs=1")
    state = continue_run(best, registry, dataset)
    newest, selected = (checkpoint.load_latest(f, pytest.fail) for f in (best.checkpoints, best.best))
    assert state.best_epoch == 1 and newest is not None and selected is not None
    averaged = newest.state["average"]["weights"]
    own = {
        f"model.{name}": each for name, each in selected.weights.items() if not name.startswith("objective.")
    }
    assert all(torch.equal(each, averaged[name]) for name, each in own.items())


@pytest.mark.parametrize("factor", [np.float32(0.5), np.int64(1), torch.tensor(0.5), 1])
def test_a_factor_is_any_number(factor: Any) -> None:
    recipe = SimpleNamespace(schedule=lambda _now: factor)
    found = factor_of(recipe, Elapsed(3, 8, 1, 4, ()))  # type: ignore[arg-type]
    assert type(found) is float and found == factor


@pytest.mark.parametrize("factor", [math.nan, -1.0, None, math.inf, "half"])
def test_a_factor_that_is_none_is_the_schedules_fault(factor: Any) -> None:
    recipe = SimpleNamespace(schedule=lambda _now: factor)
    with pytest.raises(
        PluginError, match=r"promises a finite factor of at least 0; came: .* for step 3 of 8"
    ):
        factor_of(recipe, Elapsed(3, 8, 1, 4, ()))  # type: ignore[arg-type]
