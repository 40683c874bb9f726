"""One run: from a preset and a prepared data set to a run directory, and back to a model."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from gazekit.build import build_model, build_objective
from gazekit.data.batches import Exams
from gazekit.data.feed import check_gaze_of_all, check_views, prepared_exams
from gazekit.data.prepared import PreparedDataset
from gazekit.data.splits import check_split, indices_of, leak_of, read_split, write_split
from gazekit.errors import ConfigurationError, DataError
from gazekit.interfaces import Backbone
from gazekit.layers import flattened
from gazekit.model import MultiViewClassifier
from gazekit.objective import Objective, balanced_weights
from gazekit.preset import Preset
from gazekit.registry import Registry
from gazekit.training import checkpoint
from gazekit.training.checks import check_gaze, check_parts, check_processes, try_one_batch
from gazekit.training.environment import environment
from gazekit.training.execution import chosen_algorithms, explained_faults, prepare_execution
from gazekit.training.loop import Parts, State, train
from gazekit.training.memory import describe_memory, estimate_memory
from gazekit.training.run_directory import RunDirectory, RunFacts

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
    allow_leak: bool = False,
) -> RunDirectory:
    """Check that everything fits, then make the run directory with the initial weights as its first checkpoint.

    Raises:
        ConfigurationError: the folder exists, or preset and data do not fit.
        DataError: the split is unusable or leaks and may not, or gaze is to supervise and there is none.
    """
    RunDirectory.check_free(path, overwrite=overwrite)
    check_views(dataset, preset)
    check_split(dataset, split, allow_leak=allow_leak)
    check_parts(dataset, split)
    check_gaze(preset, dataset, split)
    torch.manual_seed(seed)
    model = build_model(preset, registry, classes=len(dataset.classes))
    if model.needs_gaze:
        check_gaze_of_all(dataset, np.arange(len(dataset)), preset)
    origins = tuple(_initialise(backbone) for backbone in model.backbones)
    objective = _objective(preset, registry, dataset, split)
    try_one_batch(model, objective, preset, dataset, split, registry)
    run = RunDirectory.create(path, overwrite=overwrite)
    run.write_text("preset.toml", preset.to_toml())
    run.write_json("plugins.json", registry.table())
    run.write_json("environment.json", environment())
    write_split(run.split, dataset, split)
    modules = torch.nn.ModuleDict({"model": model, "objective": objective})
    checkpoint.save_step(run.checkpoints, 0, modules.state_dict(), {})
    run.write_facts(
        RunFacts(
            preset=preset.name,
            data=str(dataset.root.resolve()),
            fingerprint=dataset.fingerprint,
            classes=tuple(dataset.classes),
            preparation=dataset.settings.to_json(),
            seed=seed,
            device=device.type,
            weights_origin=origins,
            modalities=dataset.modalities,
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
) -> State:
    """Train a run to its end, from wherever it is; see ``training.loop.train``.

    Args:
        run: from ``start_run``, or interrupted.
        registry: where the components come from.
        dataset: the one it was started on.
        device: other than the one it was started on; the result is then equal up to rounding only.
        should_stop, report: see ``training.loop.train``.
        note: told how much memory it will take, before it begins.

    Raises:
        ConfigurationError: another process trains this run.
        DataError: other data.
    """
    preset, facts = stored_preset(run, registry), run.facts()
    check_same_data(run, facts, dataset)
    device = device or torch.device(facts.device)
    split = read_split(run.split)
    check_processes(preset, len(indices_of(dataset, split, "train")))
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
        )


def stored_preset(run: RunDirectory, registry: Registry) -> Preset:
    """The preset of a run. Raises ConfigurationError: a component is missing; names the packages it was made with."""
    try:
        return registry.preset(str(run.preset))
    except ConfigurationError as error:
        packages = dict.fromkeys(
            f"{row['package']} {row['version']}" for row in run.read_json("plugins.json")
        )
        raise type(error)(f"{error}\n{run.path} was made with {', '.join(packages)}") from None


def load_model(run: RunDirectory, registry: Registry, device: torch.device) -> MultiViewClassifier:
    """The model of a run with its selected weights, in evaluation mode. Raises DataError: none selected yet."""
    preset, facts = stored_preset(run, registry), run.facts()
    model = build_model(preset, registry, classes=len(facts.classes))
    best = checkpoint.load_latest(run.best, report=run.log, module=model)
    if best is None:
        raise DataError(
            f"{run.path}: no weights in checkpoints/best: no epoch has been validated yet, or they were removed"
        )
    checkpoint.put_weights(model, best.weights, run.path)
    return model.to(device).eval()


def check_same_data(run: RunDirectory, facts: RunFacts, dataset: PreparedDataset) -> None:
    """Raise DataError if the data set is not the one the run was started on."""
    if dataset.fingerprint != facts.fingerprint:
        raise DataError(
            f"{dataset.root}: not the data that {run.path} was trained on (fingerprint {dataset.fingerprint[:12]}, "
            f"expected {facts.fingerprint[:12]}); to evaluate on other data add --split all"
        )


def _initialise(backbone: torch.nn.Module) -> str:
    assert isinstance(backbone, Backbone)
    return backbone.load_initial_weights()


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


def check_resume(run: RunDirectory, stored: Preset, wanted: Preset) -> None:
    """Raise ConfigurationError if a run is to go on with another preset than it began with."""
    conflicts = preset_conflicts(stored, wanted)
    if conflicts:
        raise ConfigurationError(
            f"{run.path}: began with another preset; these keys differ: {', '.join(conflicts)}. "
            "Resume without them, or choose another --out"
        )
