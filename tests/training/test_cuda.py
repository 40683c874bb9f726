"""On a CUDA device: the same numbers as on the CPU, recorded steps equal to ordinary ones, and nothing that waits."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import TINY, gazekit
from tiny import random_batch, small_changes, tiny
from torch import Tensor, nn

from gazekit.contracts.types import Batch
from gazekit.errors import GazekitError
from gazekit.feeding.batches import epoch_batches
from gazekit.feeding.feed import prepared_exams
from gazekit.modelling.build import build_model, build_objective
from gazekit.prediction.predictions import predict
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import indices_of, make_split
from gazekit.presets.preset import Preset
from gazekit.registry.discovery import load_registry
from gazekit.registry.registry import Registry
from gazekit.training.computing import captured
from gazekit.training.computing.captured import Captured, fastest, fastest_validation
from gazekit.training.computing.execution import chosen_algorithms, explained_faults, prepare_execution
from gazekit.training.computing.loss_record import LossRecord
from gazekit.training.computing.step import TrainingStep
from gazekit.training.optimising.optimiser import make_optimizer, set_learning_rates
from gazekit.training.optimising.parts import RestingParts
from gazekit.training.optimising.recipe import Recipe

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
VIEWS = ("cc", "mlo")
CUDA = torch.device("cuda")
DETERMINISTIC = "training.deterministic=true"


def make_step(
    preset: Preset, registry: Registry, device: str = "cuda", *, double: bool = False
) -> TrainingStep:
    torch.manual_seed(0)
    model = build_model(preset, registry, classes=2).train()
    objective = build_objective(preset, registry, model)
    if double:
        model.double()
    model, objective = model.to(device), objective.to(device)
    prepare_execution(model, preset.training)
    modules = nn.ModuleDict({"model": model, "objective": objective})
    optimizer = make_optimizer(modules, Recipe.of(preset.training, registry))
    return TrainingStep(model, objective, optimizer, preset.training)


def batch(
    exams: int,
    views: tuple[str, ...] = VIEWS,
    *,
    seed: int = 0,
    device: str = "cuda",
    dtype: torch.dtype = torch.float32,
) -> Batch:
    made = random_batch(views, exams, size=64, seed=seed)
    return made.map(lambda each: each.to(device, dtype if each.is_floating_point() else each.dtype))


def tensors(step: TrainingStep) -> dict[str, Tensor]:
    """Of model and optimiser."""
    moments = {
        f"{index}.{name}": value
        for index, state in step.optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    average = step.average.modules.state_dict() if step.average else {}
    averaged = {f"average.{name}": value for name, value in average.items()}
    every = step.model.state_dict() | moments | averaged
    return {name: value.detach().cpu().clone() for name, value in every.items()}


def steps(
    take: Any, step: TrainingStep, numbers: range, views: tuple[str, ...] = VIEWS, *, poisoned: int = -1
) -> list[dict[str, float]]:
    """Steps on batches of two sizes in turn, each with its own dropout and learning rate."""
    losses = []
    for number in numbers:
        torch.manual_seed(number)
        set_learning_rates(step.optimizer, 1 + number % 5)
        exams = batch(4 + number % 2, views, seed=number)
        if number == poisoned:
            exams.images[views[0]][0, 0, 0, 0] = torch.nan
        taken, terms = take(exams)
        losses.append({name: float(term) for name, term in terms.items()} | {"taken": float(taken)})
    return losses


def test_the_gpu_computes_what_the_cpu_computes(registry: Registry) -> None:
    """In float64, ten steps; Adam divides by gradients near zero, so that rounding grows."""
    ours, theirs = (make_step(tiny(registry), registry, device, double=True) for device in ("cuda", "cpu"))
    for number in range(10):
        for step, device in ((ours, "cuda"), (theirs, "cpu")):
            taken, terms = step(batch(5, seed=number, device=device, dtype=torch.float64))
            assert bool(taken)
        assert float(terms["loss"]) > 0
    expected = tensors(theirs)
    for name, value in tensors(ours).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-8)


PRESETS = [row["name"] for row in load_registry().table("preset")]


@pytest.mark.parametrize("name", PRESETS)
def test_a_recorded_step_of_every_preset_is_the_ordinary_one_to_the_bit(
    registry: Registry, name: str
) -> None:
    same_to_the_bit(registry, registry.preset(name, overrides=[*small_changes(name), DETERMINISTIC]))


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_and_so_it_is_with_half_precision_and_dropout(registry: Registry, amp: str) -> None:
    dropout = "fusion.vectors.dropout=0.3"
    same_to_the_bit(registry, tiny(registry, dropout, DETERMINISTIC, f"training.amp={amp}"))


@pytest.mark.parametrize(
    "overrides",
    [
        ("training.optimizer=sgd",),
        ("training.groups.backbones={learning_rate=1e-4, layer_decay=0.5}",),
        ("training.ema=0.9",),
        ("loss.label_smoothing=0.1", "loss.focal_gamma=2"),
    ],
)
def test_and_so_it_is_with_any_recipe(registry: Registry, overrides: tuple[str, ...]) -> None:
    same_to_the_bit(registry, tiny(registry, DETERMINISTIC, *overrides))


def test_a_part_that_begins_to_learn_is_recorded_again(registry: Registry) -> None:
    preset = tiny(registry, DETERMINISTIC, "training.groups.backbones.freeze_epochs=1")
    results = []
    with chosen_algorithms(preset.training):
        for graphs in (True, False):
            step = make_step(preset, registry)
            resting = RestingParts(
                nn.ModuleDict({"model": step.model, "objective": step.objective}), preset.training
            )
            take = fastest(step, preset.training, pytest.fail) if graphs else step
            for epoch in (0, 1):
                step.resting = resting.begin(epoch)
                steps(take, step, range(10 * epoch, 10 * epoch + 10), preset.views)
                assert not graphs or (isinstance(take, Captured) and len(take.recorded) == 2)
            results.append(tensors(step))
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name]), name


@pytest.mark.parametrize("overrides", [(), ("training.ema=0.9",), ("training.amp=bf16",)])
def test_a_recorded_validation_is_the_ordinary_one_to_the_bit(
    registry: Registry, dataset: PreparedDataset, overrides: tuple[str, ...]
) -> None:
    """Beside recorded steps, which change weights and statistics; batches of two shapes, several of each."""
    preset = tiny(registry, DETERMINISTIC, *overrides)
    exams = prepared_exams(dataset, np.arange(13), preset, CUDA, with_gaze=False)
    seen = []
    with chosen_algorithms(preset.training):
        step = make_step(preset, registry)
        take = fastest(step, preset.training, pytest.fail)
        model: Any = step.average.modules["model"] if step.average else step.model
        forward = fastest_validation(model, preset.training, pytest.fail)
        for epoch in range(6):
            steps(take, step, range(10 * epoch, 10 * epoch + 3), preset.views)
            ours = predict(model, exams, batch_size=5, forward=forward).logits
            theirs = predict(model, exams, batch_size=5).logits
            np.testing.assert_array_equal(ours, theirs)
            seen.append(theirs)
    assert isinstance(forward, Captured) and len(forward.recorded) == 2
    assert all((one != other).any() for one, other in pairwise(seen))


def test_an_optimiser_that_needs_the_host_is_not_recorded_and_that_is_said(registry: Registry) -> None:
    preset, said = tiny(registry, "training.optimizer=timm"), []
    step = make_step(preset, registry)
    take = fastest(step, preset.training, said.append)
    assert take is step and said == [
        "no CUDA graphs: the host must know whether a step counts before this optimiser takes it"
    ]
    assert [loss["taken"] for loss in steps(take, step, range(4), poisoned=2)] == [1, 1, 0, 1]


def same_to_the_bit(registry: Registry, preset: Preset) -> None:
    """Twenty steps, one of them on an exam that is not a number."""
    said: list[str] = []
    results = []
    with chosen_algorithms(preset.training):
        for graphs in (True, False):
            step = make_step(preset, registry)
            take = fastest(step, preset.training, said.append) if graphs else step
            losses = steps(take, step, range(20), preset.views, poisoned=15)
            results.append((losses, tensors(step)))
            if graphs:
                assert isinstance(take, Captured) and len(take.recorded) == 2, said
    (ours, our_tensors), (theirs, their_tensors) = results
    np.testing.assert_equal(ours, theirs)
    assert [step["taken"] for step in theirs].count(0) >= 1 and theirs[15]["taken"] == 0
    for name, value in our_tensors.items():
        assert torch.equal(value, their_tensors[name]), name


@pytest.mark.parametrize(
    ("disturb", "reason"),
    [
        (float, r"test_cuda\.py, line \d+, makes the host wait for the device"),
        (lambda _loss: torch.cuda.synchronize(), "no CUDA graphs: "),
    ],
)
def test_what_cannot_be_recorded_is_taken_as_it_is(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, disturb: Any, reason: str
) -> None:
    preset = tiny(registry)
    step = make_step(preset, registry)
    ordinary = type(step.objective).values

    def disturbed(self: Any, output: Any, exams: Batch) -> dict[str, Tensor]:
        found = ordinary(self, output, exams)
        disturb(found["gaze"].detach().nansum())
        return found

    monkeypatch.setattr(type(step.objective), "values", disturbed)
    said: list[str] = []
    take = fastest(step, preset.training, said.append)
    losses = steps(take, step, range(12))
    assert all(loss["taken"] for loss in losses)
    assert isinstance(take, Captured) and not take.recorded
    assert len(said) == 1 and re.search(reason, said[0]), said


@pytest.mark.parametrize("hold", [True, False])
def test_nothing_in_an_epoch_waits(registry: Registry, dataset: PreparedDataset, hold: bool) -> None:
    preset = tiny(registry, "training.batch_size=5")
    indices = indices_of(dataset, make_split(dataset), "train")
    exams = prepared_exams(dataset, indices, preset, CUDA, with_gaze=True, hold=hold)
    step = make_step(preset, registry)
    take = fastest(step, preset.training, lambda _: None)
    for epoch in range(6):
        order = epoch_batches(len(indices), 5, seed=0, epoch=epoch)
        record = LossRecord(len(order), CUDA)
        if epoch > 0:
            torch.cuda.set_sync_debug_mode("error")
        try:
            for number, exam_batch in enumerate(
                exams.augmented(order, preset.training.augmentation, seed=0, epoch=epoch)
            ):
                torch.manual_seed(number)
                set_learning_rates(step.optimizer, 0.5)
                record.add(*take(exam_batch))
                list(record.arrived())
        finally:
            torch.cuda.set_sync_debug_mode("default")
        list(record.arrived(wait=True))
    assert isinstance(take, Captured) and take.recorded
    one = torch.ones((), device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    with pytest.raises(RuntimeError, match="synchronizing"):  # the search would find it
        float(one)
    torch.cuda.set_sync_debug_mode("default")


def test_streamed_and_resident_exams_are_the_same_to_the_bit(
    registry: Registry, dataset: PreparedDataset
) -> None:
    preset, indices = tiny(registry), np.arange(len(dataset))
    order = epoch_batches(len(indices), 4, seed=0, epoch=0)
    batches = [
        list(
            prepared_exams(dataset, indices, preset, CUDA, with_gaze=True, hold=hold).augmented(
                order, preset.training.augmentation, seed=0, epoch=0
            )
        )
        for hold in (True, False)
    ]
    for ours, theirs in zip(*batches, strict=True):
        for one, other in zip(ours.tensors(), theirs.tensors(), strict=True):
            assert torch.equal(one.nan_to_num(-1), other.nan_to_num(-1))


def test_bf16_and_compiled_stages_predict_nearly_the_same(
    registry: Registry, dataset: PreparedDataset
) -> None:
    preset, indices = tiny(registry), np.arange(len(dataset))
    exams = prepared_exams(dataset, indices, preset, CUDA, with_gaze=False)
    model = make_step(preset, registry).model
    plain = predict(model, exams, batch_size=8).logits
    on_cpu = predict(
        model.to("cpu"),
        prepared_exams(dataset, indices, preset, torch.device("cpu"), with_gaze=False),
        batch_size=8,
    ).logits
    np.testing.assert_allclose(plain, on_cpu, atol=2e-3)  # cuDNN multiplies in tf32
    model.to("cuda").amp = torch.bfloat16
    np.testing.assert_allclose(predict(model, exams, batch_size=8).logits, plain, atol=5e-2)


def test_memory_that_runs_out_says_what_to_do(registry: Registry) -> None:
    preset = tiny(registry)
    step = make_step(preset, registry)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with (
            pytest.raises(GazekitError, match=r"out of memory on cuda.*--accumulate 2"),
            explained_faults(preset.training, CUDA),
        ):
            step(batch(512))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_stopped_training_goes_on_to_the_bit(
    registry: Registry, dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole runs on the device; one ends after five steps and is resumed, with its steps recorded anew."""
    monkeypatch.setattr(captured, "_EAGER", 1)
    common = ["--data", dataset.root, *TINY, "--epochs", 6, "--deterministic", "--device", "cuda"]
    common += ["--set", "fusion.vectors.dropout=0.2", "--set", "training.checkpoint_every=1"]
    gazekit("train", "--preset", "mammonet_small", "--out", tmp_path / "straight", *common)
    short = [6 if item == 6 else item for item in common]
    original = LossRecord.add
    left = [5]

    def stop_after_five(self: LossRecord, *arguments: Any) -> None:
        original(self, *arguments)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(LossRecord, "add", stop_after_five)
    gazekit("train", "--preset", "mammonet_small", "--out", tmp_path / "stopped", *short, code=130)
    monkeypatch.setattr(LossRecord, "add", original)
    gazekit("train", "--resume", "--out", tmp_path / "stopped", "--data", dataset.root)
    ours, theirs = (tmp_path / name for name in ("stopped", "straight"))
    assert (ours / "metrics.jsonl").read_bytes() == (theirs / "metrics.jsonl").read_bytes()
    newest = max((ours / "checkpoints").glob("0*")).name
    for file in ("weights.safetensors", "state.safetensors"):
        assert (ours / "checkpoints" / newest / file).read_bytes() == (
            theirs / "checkpoints" / newest / file
        ).read_bytes()
    shown = gazekit("evaluate", ours)
    assert "auc" in shown.stdout
