"""One run: from a preset and a prepared data set to a run directory, and back to a model."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from gazekit.contracts.interfaces import Backbone
from gazekit.disk.home_folder import without_home
from gazekit.errors import ConfigurationError, DataError
from gazekit.feeding.batches import Exams
from gazekit.feeding.feed import check_gaze_of_all, check_views, prepared_exams
from gazekit.modelling.build import build_model, build_objective, check_size
from gazekit.modelling.model import MultiViewClassifier
from gazekit.modelling.objective import Objective, balanced_weights
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.index import read_table
from gazekit.prepared.splits import COLUMNS, KIND, check_split, indices_of, leak_of, write_split
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.runs import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.environment import environment
from gazekit.runs.files import Environment, PluginRow, RunFacts
from gazekit.runs.stored import (
    check_data_to_resume,
    load_model,
    stored_preset,
    stored_split,
)
from gazekit.training.checks import check_gaze, check_parts, check_processes, doubts, try_one_batch
from gazekit.training.execution import chosen_algorithms, explained_faults, prepare_execution
from gazekit.training.loop import Parts, State, train
from gazekit.training.memory import describe_memory, peak_memory

Split = Mapping[str, str]


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
        note: told how much memory the first step took.
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
        told = False

        def after_step(state: State, batches: int) -> None:
            nonlocal told
            if not told:
                told, taken = True, describe_memory(peak_memory(device), [parts.training, parts.validation])
                run.log(taken)
                note(taken)
            report(state, batches)

        return train(
            model,
            objective,
            parts,
            preset.training,
            run,
            seed=facts.seed,
            should_stop=should_stop,
            report=after_step,
            warn=warn,
        )


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
