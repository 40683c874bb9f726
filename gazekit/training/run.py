"""One run: from a preset and a prepared data set to a run directory, and back to a model."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from gazekit.build import build_model, build_objective, check_size
from gazekit.data.batches import Exams
from gazekit.data.feed import check_gaze_of_all, check_views, prepared_exams
from gazekit.data.index import read_table
from gazekit.data.prepared import PreparedDataset
from gazekit.data.splits import COLUMNS, KIND, check_split, indices_of, leak_of, read_split, write_split
from gazekit.errors import ConfigurationError, DataError
from gazekit.home_folder import with_home, without_home
from gazekit.interfaces import Backbone
from gazekit.layers import flattened
from gazekit.model import MultiViewClassifier
from gazekit.objective import Objective, balanced_weights
from gazekit.plain_text import visible
from gazekit.preset import Preset
from gazekit.registry import Registry
from gazekit.training import checkpoint
from gazekit.training.checks import check_gaze, check_parts, check_processes, doubts, try_one_batch
from gazekit.training.environment import environment
from gazekit.training.execution import chosen_algorithms, explained_faults, prepare_execution
from gazekit.training.loop import Parts, State, train
from gazekit.training.memory import describe_memory, estimate_memory
from gazekit.training.run_directory import RunDirectory
from gazekit.training.run_files import Environment, PluginRow, RunFacts
from gazekit.training.selection import Weights, Which, check_whole, read_weights

Split = Mapping[str, str]
_SMALL = 2**20
"""Bytes that a model may have beyond twice those of its stored weights."""


def start_run(
    path: Path,
    preset: Preset,
    registry: Registry,
    dataset: PreparedDataset,
    split: Split,
    *,
    seed: int,
    device: torch.device,
    overwrite: bool = False,
    leftovers: bool = False,
    allow_leak: bool = False,
    initial: Path | None = None,
    warn: Callable[[str], None] = lambda _text: None,
) -> RunDirectory:
    """Check that everything fits, then make the run directory with the initial weights as its first checkpoint.

    Args:
        path: the folder to make.
        preset, registry, dataset, split: what is trained, on which exams.
        seed: of initial weights, order, augmentation and dropout.
        device: noted in the run.
        overwrite: replace a run that is there.
        leftovers: replace what is there if it is not yet a run, as a crash leaves it.
        allow_leak: train even if a patient is on two sides of the split.
        initial: a run whose selected weights this one starts from.
        warn: told what may spoil the result, line by line; ``log.txt`` has it too.

    Raises:
        ConfigurationError: the folder exists, or preset, data and initial weights do not fit.
        DataError: the split is unusable or leaks and may not, or gaze is to supervise and there is none.
    """
    RunDirectory.check_free(path, overwrite=overwrite, leftovers=leftovers)
    check_views(dataset, preset)
    check_split(dataset, split, allow_leak=allow_leak)
    check_parts(dataset, split)
    check_gaze(preset, dataset, split)
    check_size(preset, registry, classes=len(dataset.classes))
    torch.manual_seed(seed)
    model = build_model(preset, registry, classes=len(dataset.classes))
    if model.needs_gaze:
        check_gaze_of_all(dataset, np.arange(len(dataset)), preset)
    if initial is None:
        origins = tuple(_initialise(backbone) for backbone in model.backbones)
    else:
        origins = start_from(initial, model, registry, dataset, split, allow_leak=allow_leak, warn=warn)
    objective = _objective(preset, registry, dataset, split)
    maps = try_one_batch(model, objective, preset, dataset, split, registry)
    warnings = list(doubts(preset, dataset, split, maps))
    modules = torch.nn.ModuleDict({"model": model, "objective": objective})
    with RunDirectory.created(path, overwrite=overwrite, leftovers=leftovers) as run:
        for text in warnings:
            run.log(f"warning: {text}")
            warn(text)
        run.write_text("preset.toml", preset.to_toml())
        run.write_json("plugins.json", [PluginRow(**row).model_dump() for row in registry.table()])
        run.write_json("environment.json", Environment(**environment()).model_dump())
        for origin in dict.fromkeys(origins):
            run.log(f"initial weights: {origin}")
        write_split(run.split, dataset, split)
        checkpoint.save_step(run.checkpoints, 0, modules.state_dict(), {})
        run.write_facts(
            RunFacts(
                preset=preset.name,
                data=without_home(dataset.root.resolve()),
                fingerprint=dataset.fingerprint,
                classes=tuple(dataset.classes),
                preparation=dataset.settings.to_json(),
                seed=seed,
                device=device.type,
                weights_origin=origins,
                modalities=dataset.modalities,
                sides=dataset.sides,
                leak=str(leak_of(dataset, split) or ""),
            )
        )
    return run


def continue_run(
    run: RunDirectory,
    registry: Registry,
    dataset: PreparedDataset,
    *,
    device: torch.device | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[State, int], None] = lambda _state, _batches: None,
    note: Callable[[str], None] = lambda _text: None,
    warn: Callable[[str], None] = lambda _text: None,
) -> State:
    """Train a run to its end, from wherever it is; see ``training.loop.train``.

    Args:
        run: from ``start_run``, or interrupted.
        registry: where the components come from.
        dataset: the one it was started on.
        device: other than the one it was started on; the result is then equal up to rounding only.
        should_stop, report: see ``training.loop.train``.
        note: told how much memory it will take, before it begins.
        warn: told when the training diverges.

    Raises:
        ConfigurationError: another process trains this run.
        DataError: other data.
    """
    preset, facts = stored_preset(run, registry), run.facts()
    check_data_to_resume(run, facts, dataset)
    device = device or torch.device(facts.device)
    split = stored_split(run, dataset)
    check_processes(preset, len(indices_of(dataset, split, "train")))
    check_size(preset, registry, classes=len(facts.classes))
    model = build_model(preset, registry, classes=len(facts.classes))
    objective = _objective(preset, registry, dataset, split)
    memory = estimate_memory(model, objective, preset.views, dataset.size, preset.training)

    def part(name: str, *, with_gaze: bool) -> Exams:
        indices = indices_of(dataset, split, name)
        return prepared_exams(
            dataset,
            indices,
            preset,
            device,
            with_gaze=with_gaze,
            needs_gaze=model.needs_gaze,
            hold=preset.training.exams_on_device,
        )

    with run.lock(), chosen_algorithms(preset.training), explained_faults(preset.training, device):
        model, objective = model.to(device), objective.to(device)
        prepare_execution(model, preset.training)
        parts = Parts(
            part("train", with_gaze=preset.gaze is not None),
            part("val", with_gaze=False),
            dataset.exam_ids,
        )
        estimate = describe_memory(memory, [parts.training, parts.validation], preset.training)
        run.log(estimate)
        note(estimate)
        return train(
            model,
            objective,
            parts,
            preset.training,
            run,
            seed=facts.seed,
            should_stop=should_stop,
            report=report,
            warn=warn,
        )


def stored_preset(run: RunDirectory, registry: Registry) -> Preset:
    """The preset of a run. Raises ConfigurationError: a component is missing; names the packages it was made with."""
    run.check_links()
    try:
        return registry.preset(str(run.preset))
    except ConfigurationError as error:
        packages = dict.fromkeys(f"{row['package']} {row['version']}" for row in run.plugins())
        raise type(error)(f"{error}\n{run.path} was made with {', '.join(packages)}") from None


def stored_split(run: RunDirectory, dataset: PreparedDataset) -> dict[str, str]:
    """The split of a run. Raises DataError: it is damaged, or not of exactly the exams of its data."""
    split = read_split(run.split)
    wrong = sorted(set(split) ^ set(dataset.exam_ids))
    if wrong:
        raise DataError(
            f"{run.split}: exam {visible(wrong[0])[:60]} is {'in it' if wrong[0] in split else 'not in it'}, and "
            f"{'not ' if wrong[0] in split else ''}in {dataset.root} ({len(wrong)} such); the run is damaged; ask for "
            "it again, or train it again"
        )
    return split


def load_model(
    run: RunDirectory,
    registry: Registry,
    device: torch.device,
    *,
    which: Which = "selected",
    report: Callable[[str], None] = lambda _text: None,
) -> tuple[MultiViewClassifier, Weights]:
    """The model of a run in evaluation mode, and which weights it has.

    Args:
        run: finished, or far enough to have weights.
        registry: where the components come from.
        device: of the model.
        which: the selected weights or the last ones.
        report: told of each damaged checkpoint that is passed over; nothing is written into the run.

    Raises:
        DataError: there are no weights yet, or they are not those of the preset.
    """
    preset, facts = stored_preset(run, registry), run.facts()
    largest = max(map(checkpoint.largest_weights, (run.best, run.checkpoints)))
    try:
        check_size(preset, registry, classes=len(facts.classes), most=largest and 2 * largest + _SMALL)
    except ConfigurationError:
        check_whole(run)  # a file that was cut short is no fault of the preset
        raise
    model = build_model(preset, registry, classes=len(facts.classes))
    weights = read_weights(run, preset, model, which, report=report)
    checkpoint.put_weights(model, weights.tensors, run.path)
    return model.to(device).eval(), weights


def check_same_data(run: RunDirectory, facts: RunFacts, dataset: PreparedDataset, advice: str) -> None:
    """Raise DataError if the data set is not the one the run was started on.

    Args:
        run, facts: of the training.
        dataset: what was given.
        advice: what to do instead.
    """
    if dataset.fingerprint != facts.fingerprint:
        raise DataError(
            f"{dataset.root}: not the data that {run.path} was trained on (fingerprint {dataset.fingerprint[:12]}, "
            f"expected {facts.fingerprint[:12]}); {advice}"
        )


def check_data_to_resume(run: RunDirectory, facts: RunFacts, dataset: PreparedDataset) -> None:
    """Raise DataError if a run is to go on with other data than it began with."""
    check_same_data(
        run,
        facts,
        dataset,
        f"a run goes on with its own: resume without --data (they were in {facts.data}), or begin another run on these "
        "with another --out, from these weights with --from",
    )


def data_folder(run: RunDirectory, facts: RunFacts, data: Path | None) -> Path:
    """Where the data are: as given, else where they were at the training. Raises DataError: no longer there."""
    if data is not None:
        return data
    there = with_home(facts.data)
    if not there.exists():
        raise DataError(
            f"{visible(facts.data)}: the data that {run.path} was trained on are no longer there; "
            "say where they are with --data"
        )
    return there


def _initialise(backbone: torch.nn.Module) -> str:
    assert isinstance(backbone, Backbone)
    return backbone.load_initial_weights()


def start_from(
    source: Path,
    model: MultiViewClassifier,
    registry: Registry,
    dataset: PreparedDataset,
    split: Split,
    *,
    allow_leak: bool,
    warn: Callable[[str], None],
) -> tuple[str, ...]:
    """Give a new model the selected weights of another run, where name and shape agree; of its branches they all must.

    Returns:
        Where the weights of each branch came from.

    Raises:
        ConfigurationError: the branches differ.
        DataError: no such run, or it was trained on patients of this split's test part.
    """
    run = RunDirectory.open(source)
    _check_not_seen(run, dataset, split, allow_leak=allow_leak, warn=warn)
    other, weights = load_model(run, registry, torch.device("cpu"), report=warn)
    own = model.state_dict()
    given = {
        name: tensor
        for name, tensor in other.state_dict().items()
        if name in own and own[name].shape == tensor.shape
    }
    fresh = [name for name in own if name not in given]
    branches = [name for name in fresh if name.startswith("backbones.")]
    if branches:
        raise ConfigurationError(
            f"--from {source}: its branches are not those of this preset ({len(branches)} of their tensors differ, "
            f"first {branches[0]}); start from a run with the same backbone and views"
        )
    model.load_state_dict(given, strict=False)
    if fresh:
        modules = ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in fresh))
        warn(f"--from {source}: {len(given)} of {len(own)} tensors taken over; these start fresh: {modules}")
    origin = f"run {run.path.resolve().name}, epoch {weights.epoch} ({weights.why})"
    return (origin,) * len(model.backbones)


def _check_not_seen(
    run: RunDirectory,
    dataset: PreparedDataset,
    split: Split,
    *,
    allow_leak: bool,
    warn: Callable[[str], None],
) -> None:
    """Raise DataError if the weights of a run have seen a patient of the test part."""
    seen = {row["patient_id"] for row in read_table(run.split, COLUMNS, KIND) if row["split"] != "test"}
    tested = {dataset.patient_ids[i] for i in indices_of(dataset, split, "test")}
    both = sorted(seen & tested)
    if not both:
        return
    said = (
        f"{run.path}: trained or validated on {len(both)} of the {len(tested)} patients of this split's test part "
        f"(first {both[0]})"
    )
    if not allow_leak:
        raise DataError(
            f"{said}; train on the split of that run (--split {run.split}), or use it all the same with --allow-leak"
        )
    warn(f"{said}; the test result will flatter the model")


def _objective(preset: Preset, registry: Registry, dataset: PreparedDataset, split: Split) -> Objective:
    weights = None
    if preset.loss.class_weights == "balanced":
        labels = torch.as_tensor(dataset.labels[indices_of(dataset, split, "train")])
        weights = balanced_weights(labels, len(dataset.classes))
    return build_objective(preset, registry, class_weights=weights)


_WORDS = {"description", "stand_in", "quick", "reported"}


def preset_conflicts(stored: Preset, wanted: Preset) -> list[str]:
    """The keys in which the preset of a run differs from one asked for; words about a preset change nothing in it."""
    a, b = (flattened(each.model_dump(mode="json", exclude=_WORDS)) for each in (stored, wanted))
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))


def extend(run: RunDirectory, stored: Preset, wanted: Preset) -> str:
    """Let a run go on to more epochs than it was started with, where that is all that ``wanted`` changes.

    Returns:
        What was changed, in words; empty where the number of epochs is the same or other keys differ too.

    Raises:
        ConfigurationError: fewer epochs than the run has trained.
    """
    if preset_conflicts(stored, wanted) != ["training.epochs"]:
        return ""
    before, after = stored.training.epochs, wanted.training.epochs
    done = len(run.read_metrics())
    if after < done:
        raise ConfigurationError(
            f"{run.path}: has trained {done} epochs already; it can go on to more, not to {after}"
        )
    run.write_text("preset.toml", wanted.to_toml())
    said = f"goes on to epoch {after}, begun with {before}"
    if wanted.training.schedule != "constant":
        said += (
            f"; the schedule {wanted.training.schedule} now spans {after} epochs, so the learning rate "
            "is not the one that a run of so many epochs would have had until here"
        )
    run.log(said)
    return said


def check_resume(run: RunDirectory, stored: Preset, wanted: Preset) -> None:
    """Raise ConfigurationError if a run is to go on with another preset than it began with."""
    conflicts = preset_conflicts(stored, wanted)
    if conflicts:
        raise ConfigurationError(
            f"{run.path}: began with another preset; these keys differ: {', '.join(conflicts)}. "
            "Resume without them, or choose another --out"
        )
