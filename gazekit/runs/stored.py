"""Open the contents of a run directory: preset, model, data, split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gazekit.disk.home_folder import with_home
from gazekit.disk.plain_text import visible
from gazekit.errors import ConfigurationError, DataError
from gazekit.modelling.build import build_model, check_size
from gazekit.modelling.model import MultiViewClassifier
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import read_split
from gazekit.presets.layers import flattened
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.runs import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.files import RunFacts
from gazekit.runs.selection import Weights, Which, check_whole, read_weights

_SMALL = 2**20
"""Bytes that a model may have beyond twice those of its stored weights."""


def stored_preset(run: RunDirectory, registry: Registry, **layers: Any) -> Preset:
    """The preset of a run, with layers on top as ``registry.preset`` takes them.

    Raises:
        ConfigurationError: a component is missing; names the packages that the run was made with.
    """
    run.check_links()
    try:
        return registry.preset(str(run.preset), **layers)
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
