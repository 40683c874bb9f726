"""A run uses the weights its preset selects, reports their worth, and warns before it wastes a user's time."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny

from gazekit.errors import ConfigurationError, DataError, GazekitError, Preempted
from gazekit.measures.classification.metrics import area_under_roc
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.registry.registry import Registry
from gazekit.runs.best_epoch import is_better
from gazekit.runs.checkpoints import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.evaluation import evaluate_run
from gazekit.runs.selection import doubt, spread_of_guessing, why_selected
from gazekit.runs.stored import check_resume, extend, load_model, stored_preset
from gazekit.runs.trained import open_trained
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, start_run

CPU = torch.device("cpu")
SETTINGS = StartSettings(seed=1, device=CPU)
FEW = ("training.epochs=3", "training.batch_size=4", "fusion.vectors.dropout=0.2")


def start(path: Path, registry: Registry, dataset: PreparedDataset, *overrides: str) -> RunDirectory:
    preset = tiny(registry, *FEW, *overrides)
    return start_run(path, preset, registry, dataset, make_split(dataset), SETTINGS)


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, registry: Registry, dataset: PreparedDataset
) -> RunDirectory:
    made = start(tmp_path_factory.mktemp("selection") / "run", registry, dataset)
    continue_run(made, registry, dataset)
    return made


def chosen(select: str, epochs: list[tuple[float, float]]) -> int:
    """The epoch that a training with these validation AUCs and losses selects, counted from 1."""
    best, best_auc, best_loss = 0, -math.inf, math.inf
    for epoch, (auc, loss) in enumerate(epochs, start=1):
        if is_better(select, auc, loss, best_auc, best_loss):
            best, best_auc, best_loss = epoch, auc, loss
    return best


def test_of_equal_aucs_the_lowest_loss_is_selected() -> None:
    # as seen: epoch 3 had the first AUC of 1 at a loss of 1.37, epochs 6 to 10 had it at 0.0003
    epochs = [(0.6, 0.7), (0.9, 0.6), (1.0, 1.37), (0.95, 0.5), (1.0, 0.2), (1.0, 0.0003), (1.0, 0.01)]
    assert chosen("auc", epochs) == 6
    assert chosen("loss", epochs) == 6
    assert chosen("last", epochs) == 7
    assert chosen("loss", [(0.9, 0.1), (1.0, 0.2)]) == 1


@given(st.lists(st.tuples(st.sampled_from([0.5, 0.75, 1.0]), st.sampled_from([0.1, 0.2, 0.3])), min_size=1))
def test_the_selected_epoch_is_the_first_of_the_best(epochs: list[tuple[float, float]]) -> None:
    assert epochs[chosen("auc", epochs) - 1] == min(epochs, key=lambda each: (-each[0], each[1]))
    assert epochs[chosen("loss", epochs) - 1][1] == min(loss for _, loss in epochs)


def test_why_says_how_many_epochs_share_the_best_auc() -> None:
    lines = [
        {"epoch": i, "val_auc": auc, "val_loss": 1 / i} for i, auc in enumerate([0.5, 1.0, 1.0], start=1)
    ]
    assert why_selected(lines, 3, "auc") == (
        "highest validation AUC, 1.000 of 2 epochs, of these the lowest validation loss, 0.333"
    )
    assert why_selected(lines, 1, "auc") == "highest validation AUC, 0.500"
    assert why_selected(lines, 3, "loss") == "lowest validation loss, 0.333"
    assert why_selected(lines, 3, "last") == "the last epoch"
    assert why_selected([], 3, "auc") == "selected by validation"


@pytest.mark.parametrize(("negative", "positive"), [(5, 4), (30, 30), (3, 12)])
def test_the_spread_of_guessing_is_that_of_many_guesses(negative: int, positive: int) -> None:
    labels = np.array([0] * negative + [1] * positive)
    guesses = np.random.default_rng(0).random((4000, len(labels)))
    pairs = guesses[:, labels == 1, None] > guesses[:, None, labels == 0]
    aucs = pairs.mean(axis=(1, 2))
    assert aucs[0] == pytest.approx(area_under_roc(np.stack([1 - guesses[0], guesses[0]], axis=1), labels))
    assert spread_of_guessing(labels.tolist(), 2) == pytest.approx(np.std(aucs), rel=0.04)


def test_few_validation_exams_are_a_warning_with_their_number() -> None:
    few, enough = [0] * 9 + [1] * 3, [0] * 18 + [1] * 18
    assert doubt(few, 2, "auc").startswith(
        "only 12 exams validate (9, 3 per class): a model that guesses scatters"
    )
    assert "0.20 in AUC" in doubt(few, 2, "auc")
    assert doubt(enough, 2, "auc") == doubt(few, 2, "last") == doubt(few, 2, "loss") == ""
    assert spread_of_guessing([0, 0, 1], 3) == math.inf  # a class that is not there
    of_the_rarest = math.sqrt((18 + 1) / (12 * 2 * 16))
    assert spread_of_guessing([0] * 8 + [1] * 2 + [2] * 8, 3) == pytest.approx(of_the_rarest)


def test_the_last_weights_are_kept_beside_the_selected_ones(
    run: RunDirectory, registry: Registry, dataset: PreparedDataset
) -> None:
    selected, last = (open_trained(run.path, registry, CPU, which=which) for which in ("selected", "last"))
    lines = run.read_metrics()
    assert selected.weights.epoch == lines[-1]["best_epoch"]
    assert (last.weights.epoch, last.weights.why) == (3, "the last epoch")
    newest = checkpoint.load(sorted(run.checkpoints.glob("0*"))[-1]).weights
    for name, tensor in last.model.state_dict().items():
        assert torch.equal(tensor, newest[f"model.{name}"])
    told: list[tuple[int, int]] = []
    record = evaluate_run(last, dataset, "val", resamples=100, report=lambda *at: told.append(at))
    assert told == sorted(set(told)) and told[-1] == (record["exams"], record["exams"])
    assert (record["epoch"], record["weights"], record["chosen"]) == (3, "last", "the last epoch")
    assert json.loads((run.path / "evaluation_val_last.json").read_text())["metrics"] == record["metrics"]
    auc = record["metrics"]["classification"]["auc"]["value"]
    assert auc == pytest.approx(lines[-1]["val_auc"])  # it is what validation saw after that epoch


def test_a_run_may_select_its_last_epoch(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    made = start(tmp_path / "run", registry, dataset, "training.select=last")
    with pytest.raises(DataError, match=r"no epoch has been validated yet; train on with gazekit train"):
        load_model(made, registry, CPU)
    state = continue_run(made, registry, dataset)
    assert state.best_epoch == 3 and made.read_metrics()[-1]["best_epoch"] == 3
    assert not made.best.exists()
    _, weights = load_model(made, registry, CPU)
    assert (weights.which, weights.epoch) == ("selected", 3)
    assert open_trained(made.path, registry, CPU).weights.why == "the last epoch"


def test_last_weights_of_a_stopped_run_say_where_it_stands(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    made = start(tmp_path / "run", registry, dataset)
    steps = iter(range(1000))
    with pytest.raises(Preempted):
        continue_run(made, registry, dataset, should_stop=lambda: next(steps) >= 4)
    _, weights = load_model(made, registry, CPU, which="last")
    batches = 4 - made.read_metrics()[-1]["step"]
    assert weights.why == f"the newest checkpoint, {batches} batches after epoch {weights.epoch}"


@pytest.mark.parametrize("left", [-100, 1000])
def test_damaged_weights_are_called_damaged(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """Also where so little of the file is left that the model of the preset seems too large for it."""
    monkeypatch.setattr("gazekit.runs.stored._SMALL", 0)
    made = start(tmp_path / "run", registry, dataset, "training.epochs=1")
    continue_run(made, registry, dataset)
    file = next(made.best.glob("0*/weights.safetensors"))
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(
        DataError,
        match=r"weights.safetensors: has \d+ bytes, expected \d+; .*--weights last uses the last ones; or train",
    ):
        load_model(made, registry, CPU)
    assert load_model(made, registry, CPU, which="last")[1].epoch == 1
    for each in made.checkpoints.glob("**/weights.safetensors"):
        each.write_bytes(each.read_bytes()[:left])
    with pytest.raises(DataError, match=r"has \d+ bytes, expected \d+; .*no other copy; train the run again"):
        load_model(made, registry, CPU)


def test_a_finished_run_goes_on_to_more_epochs(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    """With a constant learning rate it is then the run that was started with as many, to the bit."""
    constant = "training.schedule=constant"
    short = start(tmp_path / "short", registry, dataset, constant, "training.epochs=2")
    continue_run(short, registry, dataset)
    stored = stored_preset(short, registry)
    wanted = registry.preset(str(short.preset_path), overrides=["training.epochs=3"])
    assert extend(short, stored, wanted, registry) == "goes on to epoch 3, begun with 2"
    continue_run(short, registry, dataset)
    whole = start(tmp_path / "whole", registry, dataset, constant)
    continue_run(whole, registry, dataset)
    assert short.metrics.read_bytes() == whole.metrics.read_bytes()
    newest = [sorted(each.checkpoints.glob("0*"))[-1] / "weights.safetensors" for each in (short, whole)]
    assert newest[0].read_bytes() == newest[1].read_bytes()
    assert stored_preset(short, registry).training.epochs == 3


def test_only_more_epochs_extend_a_run(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, run: RunDirectory
) -> None:
    stored = stored_preset(run, registry)
    fewer = registry.preset(str(run.preset_path), overrides=["training.epochs=2"])
    with pytest.raises(
        ConfigurationError, match="has already trained 3 epochs; it can go on to more, not to 2"
    ):
        extend(run, stored, fewer, registry)
    other = registry.preset(
        str(run.preset_path), overrides=["training.epochs=9", "training.weight_decay=0.5"]
    )
    assert extend(run, stored, other, registry) == ""
    with pytest.raises(ConfigurationError, match=r"training\.epochs, training\.weight_decay"):
        check_resume(run, stored, other)
    assert extend(run, stored, stored, registry) == ""
    more = start(tmp_path / "cycle", registry, dataset)
    cycle = stored_preset(more, registry)
    longer = registry.preset(str(more.preset_path), overrides=["training.epochs=4"])
    assert "the schedule one_cycle now spans 4 epochs" in extend(more, cycle, longer, registry)


def test_a_run_starts_from_the_weights_of_another(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, run: RunDirectory
) -> None:
    said: list[str] = []
    preset = tiny(registry, *FEW)
    split = make_split(dataset)
    again = start_run(
        tmp_path / "again",
        preset,
        registry,
        dataset,
        split,
        StartSettings(seed=5, device=CPU, initial=run.path),
        warn=said.append,
    )
    model, weights = load_model(run, registry, CPU)
    first = checkpoint.load(again.checkpoints / "000000").weights
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, first[f"model.{name}"])
    assert again.facts().weights_origin[0].startswith(f"run {run.path.name}, epoch {weights.epoch} (highest")
    other_head = tiny(registry, *FEW, "fusion.vectors.hidden=[5]")
    start_run(
        tmp_path / "head",
        other_head,
        registry,
        dataset,
        split,
        StartSettings(seed=5, device=CPU, initial=run.path),
        warn=said.append,
    )
    assert any("tensors copied; these start fresh: vector_fusion" in text for text in said)


def test_initial_weights_must_fit_and_must_not_have_seen_the_test_part(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, run: RunDirectory
) -> None:
    split, from_run = make_split(dataset), replace(SETTINGS, initial=run.path)
    wider = tiny(registry, *FEW, "backbone.widths=[5,6,8,10]")
    with pytest.raises(ConfigurationError, match="its branches are not those of this preset"):
        start_run(tmp_path / "a", wider, registry, dataset, split, from_run)
    parts = {"train": "test", "val": "val", "test": "train"}
    swapped = {exam: parts[part] for exam, part in split.items()}
    preset = tiny(registry, *FEW)
    with pytest.raises(
        DataError, match=r"trained or validated on \d+ of the \d+ patients of this split's test part"
    ):
        start_run(tmp_path / "b", preset, registry, dataset, swapped, from_run)
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_a_leak_of_initial_weights_is_kept_with_the_run_and_handed_on(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, run: RunDirectory
) -> None:
    parts = {"train": "test", "val": "val", "test": "train"}
    swapped = {exam: parts[part] for exam, part in make_split(dataset).items()}
    said: list[str] = []
    preset, allowed = tiny(registry, *FEW), replace(SETTINGS, initial=run.path, allow_leak=True)
    second = start_run(tmp_path / "b", preset, registry, dataset, swapped, allowed, warn=said.append)
    leak = second.facts().leak
    assert leak.startswith(f"run {run.path.name}: trained or validated on")
    assert [text for text in said if text.startswith(leak)] == [
        f"{leak}; the test result will flatter the model"
    ]
    assert f"warning: {leak}" in (second.path / "log.txt").read_text()
    continue_run(second, registry, dataset)
    third = replace(SETTINGS, initial=second.path)
    with pytest.raises(DataError, match=r"run b: has a leak .* start from another run .* --allow-leak"):
        start_run(tmp_path / "c", preset, registry, dataset, swapped, third)
    allowed = replace(third, allow_leak=True)
    assert leak in start_run(tmp_path / "c", preset, registry, dataset, swapped, allowed).facts().leak


def test_a_run_on_other_patients_between_two_runs_does_not_hide_what_the_first_has_seen(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, run: RunDirectory
) -> None:
    parts = {"train": "test", "val": "val", "test": "train"}
    split, preset = make_split(dataset), tiny(registry, *FEW)
    elsewhere = replace(dataset, patient_ids=tuple(f"other {patient}" for patient in dataset.patient_ids))
    between = start_run(
        tmp_path / "b", preset, registry, elsewhere, split, replace(SETTINGS, initial=run.path)
    )
    continue_run(between, registry, elsewhere)
    origin = between.facts().weights_origin[0]
    assert origin.startswith(f"run {run.path.name}, epoch") and origin.endswith("begun from random")
    assert not between.facts().leak
    assert not set(between.facts().seen) & set(dataset.patient_ids)  # no ids
    last, swapped = (
        replace(SETTINGS, initial=between.path),
        {exam: parts[part] for exam, part in split.items()},
    )
    start_run(tmp_path / "c", preset, registry, dataset, split, last)
    with pytest.raises(
        DataError, match=r"^run b: started from weights that had seen \d+ of the \d+ patients"
    ):
        start_run(tmp_path / "d", preset, registry, dataset, swapped, last)


def warnings_of(path: Path, registry: Registry, dataset: PreparedDataset, split: dict[str, str]) -> list[str]:
    said: list[str] = []
    preset = tiny(registry, *FEW)
    start_run(path, preset, registry, dataset, split, SETTINGS, warn=said.append)
    return said


def test_small_images_and_maps_and_a_missing_test_part_are_said_at_the_start(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    split = {exam: "train" if part == "test" else part for exam, part in make_split(dataset).items()}
    said = warnings_of(tmp_path / "run", registry, dataset, split)
    height, width = dataset.size
    assert any(
        text.startswith(f"the images have {height} × {width} px, under half of the 64") for text in said
    )
    assert any(f"cells for images of {height} × {width} px" in text for text in said)
    assert any("the split has no test part: evaluate with --part val" in text for text in said)
    log = (tmp_path / "run/log.txt").read_text()
    assert all(f"warning: {text}" in log for text in said)


def test_gaze_cannot_supervise_a_single_cell(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    preset = tiny(registry, *FEW, "backbone.use=timm", "backbone.model=resnet18", "backbone.pretrained=false")
    split = make_split(dataset)
    with pytest.raises(ConfigurationError, match="gaze cannot supervise attention maps of 1 × 1"):
        start_run(tmp_path / "run", preset, registry, dataset, split, SETTINGS)
    assert not (tmp_path / "run").exists()


def test_divergence_is_said_in_the_epoch_it_happens_and_once(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    said: list[str] = []
    made = start(
        tmp_path / "run", registry, dataset, "training.learning_rate=1000", "training.schedule=constant"
    )
    with pytest.raises(GazekitError, match="in 3 epochs no validation had finite outputs"):
        continue_run(made, registry, dataset, warn=said.append)
    assert (
        len(said) == 1
        and "the training diverges; stop it and try a smaller training.learning_rate" in said[0]
    )
    assert said[0].startswith("epoch 1: the classification loss on the training exams is ")
    quiet: list[str] = []
    calm = start(tmp_path / "calm", registry, dataset)
    continue_run(calm, registry, dataset, warn=quiet.append)
    assert quiet == []
