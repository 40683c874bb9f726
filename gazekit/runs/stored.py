"""Open the contents of a run directory: preset, model, data and split."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from gazekit.contracts.progress import Elapsed
from gazekit.disk.home_folder import with_home
from gazekit.disk.plain_text import visible
from gazekit.disk.wording import counted
from gazekit.errors import ConfigurationError, DataError
from gazekit.modelling.build import build_model, check_size
from gazekit.modelling.model import MultiViewClassifier
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import read_split
from gazekit.presets.layers import component_keys, component_kind, flattened, read_tables
from gazekit.presets.preset import Preset
from gazekit.presets.tables import ComponentChoice
from gazekit.registry.component import OWN, in_words
from gazekit.registry.registry import Registry
from gazekit.runs.best_epoch import stopped_early
from gazekit.runs.checkpoints import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.files import RunFacts, check_whole_preset
from gazekit.runs.selection import Weights, Which, check_whole, read_weights

_SMALL = 2**20
"""Bytes allowed for a model beyond twice the size of its stored weights."""


def stored_preset(run: RunDirectory, registry: Registry, **layers: Any) -> Preset:
    """Read the preset of a run, with further layers on top as ``registry.preset`` accepts them.

    Raises:
        DataError: it is cut off, or was changed after the training ended.
        ConfigurationError: a component is missing; the message names the packages that it was made with and lacks.
    """
    run.check_links()
    try:
        check_whole_preset(run.preset_path, read_tables(run.preset_path))
        run.check_unchanged(run.preset_path.name)
        with warnings.catch_warnings():  # nobody has to mend what an earlier gazekit stored
            warnings.filterwarnings("ignore", rf"{run.preset_path.name}: .* is now", FutureWarning)
            return registry.preset(str(run.preset_path), **layers)
    except ConfigurationError as error:
        packages = dict.fromkeys(f"{row['package']} {row['version']}" for row in run.plugins())
        lacking = [each for each in packages if each not in map(str, registry.provenance.values())]
        told = f"{', '.join(lacking)}, not installed here" if lacking else ", ".join(packages)
        raise type(error)(f"{error}\n{run.path} was made with {told}") from None


def other_versions(run: RunDirectory, preset: Preset, registry: Registry, *unread: str) -> Iterator[str]:
    """Say of each package of a plugin that it is not the version that the run was made with, one line each.

    Args:
        run, preset, registry: of the run, and where its components come from now.
        unread: tables of the preset whose components do not matter.
    """
    foreign = []
    for key in component_keys(preset.model_dump(mode="json")):
        kind, choice = component_kind(key), preset.component(key)
        if kind and choice and choice.use and key[0] not in unread:
            component = registry.component(kind, choice.use)
            foreign += [component] * (component.provenance.distribution != OWN)
    rows = run.plugins() if foreign else []
    made = {(row.get("kind"), row.get("name")): f"{row['package']} {row['version']}" for row in rows}
    changed: dict[tuple[str, str], list[str]] = {}
    for component in foreign:
        now = str(component.provenance)
        before = made.get((component.kind, component.name), now)
        if before != now:
            changed.setdefault((before, now), []).append(f"{in_words(component.kind)} '{component.name}'")
    for (before, now), components in changed.items():
        yield (
            f"{run.path}: was made with {before}; here it is {now}, whose {' and '.join(components)} may compute "
            f"something else: install {before} to get the same numbers"
        )


def stored_split(run: RunDirectory, dataset: PreparedDataset) -> dict[str, str]:
    """Read the split of a run. Raises DataError: it is damaged, changed, or does not cover exactly its data."""
    split = read_split(run.split_path)
    wrong = sorted(set(split) ^ set(dataset.exam_ids))
    if wrong:
        raise DataError(
            f"{run.split_path}: exam {visible(wrong[0])[:60]} is {'in it' if wrong[0] in split else 'not in it'}, and "
            f"{'not ' if wrong[0] in split else ''}in {dataset.root} ({len(wrong)} such); the run is damaged; get "
            "another copy, or train it again"
        )
    return run.split()


def load_model(
    run: RunDirectory,
    registry: Registry,
    device: torch.device,
    *,
    which: Which = "selected",
    report: Callable[[str], None] = lambda _text: None,
) -> tuple[MultiViewClassifier, Weights]:
    """Load the model of a run in evaluation mode, and say which weights it has.

    Args:
        run: finished, or far enough to have weights.
        registry: provides the components.
        device: for the model.
        which: the selected weights or the last ones.
        report: called for each damaged checkpoint that is skipped; nothing is written into the run.

    Raises:
        DataError: there are no weights yet, or they do not fit the preset.
    """
    preset, known = stored_preset(run, registry), run.facts().model_arguments()
    largest = max(map(checkpoint.largest_weights, (run.best, run.checkpoints)))
    try:
        check_size(preset, registry, **known, most=largest and 2 * largest + _SMALL)
    except ConfigurationError:
        check_whole(run)  # a truncated file is not the preset's fault
        raise
    model = build_model(preset, registry, **known)
    weights = read_weights(run, preset, model, which, report=report)
    checkpoint.put_weights(model, weights.tensors, run.path)
    return model.to(device).eval(), weights


def check_same_data(run: RunDirectory, facts: RunFacts, dataset: PreparedDataset, advice: str) -> None:
    """Raise DataError if the data set is not the one the run was started on.

    Args:
        run, facts: of the run.
        dataset: the data given.
        advice: what to do instead.
    """
    if dataset.fingerprint != facts.fingerprint:
        raise DataError(
            f"{dataset.root}: not the data that {run.path} was trained on (fingerprint {dataset.fingerprint[:12]}, "
            f"expected {facts.fingerprint[:12]}); {advice}"
        )


def check_data_to_resume(run: RunDirectory, facts: RunFacts, dataset: PreparedDataset) -> None:
    """Raise DataError if a run is to resume with other data than it began with."""
    check_same_data(
        run,
        facts,
        dataset,
        f"a run goes on with its own: resume without --data (they were in {facts.data}), or begin another run on these "
        "with another --out, from these weights with --from",
    )


def data_folder(run: RunDirectory, facts: RunFacts, data: Path | None) -> Path:
    """Return the data folder: as given, else as noted in the run. Raises DataError: it no longer exists."""
    if data is not None:
        return data
    there = with_home(facts.data)
    if not there.exists():
        raise DataError(
            f"{visible(facts.data)}: the data that {run.path} was trained on are no longer there; "
            "say where they are with --data"
        )
    return there


_WORDS = {"description", "stand_in", "quick", "reported", "tune"}


def preset_conflicts(stored: Preset, wanted: Preset) -> list[str]:
    """List the keys in which a run's preset differs from the requested one, ignoring what does not train it."""
    a, b = (flattened(each.model_dump(mode="json", exclude=_WORDS)) for each in (stored, wanted))
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))


def extend(run: RunDirectory, stored: Preset, wanted: Preset, registry: Registry) -> str:
    """Let a run train for more epochs than it was started with, or wait longer, if ``wanted`` changes nothing else.

    Args:
        run, stored: the run and its preset.
        wanted: with more epochs.
        registry: has its schedule.

    Returns:
        The change, in words; empty if epochs and patience are the same or other keys differ too.

    Raises:
        ConfigurationError: fewer epochs than the run has trained, or its patience has ended it.
    """
    changed = set(preset_conflicts(stored, wanted))
    before, after = stored.training.epochs, wanted.training.epochs
    waited, waits = stored.training.patience, wanted.training.patience
    longer = waits is None or (waited is not None and waits > waited)
    if not changed or changed - {"training.epochs", "training.patience"} or (waits != waited and not longer):
        return ""
    lines = run.read_metrics()
    done = len(lines)
    if after < done:
        raise ConfigurationError(
            f"{run.path}: has already trained {counted(done, 'epoch')}; it can go on to more, not to {after}"
        )
    if lines and stopped_early(done, lines[-1]["best_epoch"], waits):
        raise ConfigurationError(
            f"{run.path}: has ended after epoch {done}, because training.patience = {waits} epochs brought no better "
            f"weights; to go on, raise that too, or switch it off with --set training.patience=none"
        )
    run.unseal()
    run.write_text("preset.toml", wanted.to_toml())
    said = f"goes on to epoch {after}, begun with {before}"
    if waits != waited:
        said += f"; training.patience is now {waits or 'none'}, begun with {waited}"
    if wanted.training.schedule and _spans(wanted.training.schedule, registry):
        said += (
            f"; the schedule {wanted.training.schedule.use} now spans {after} epochs, so the learning rate "
            "is not the one that a run of so many epochs would have had until here"
        )
    if done == before and before % wanted.training.validate_every:
        said += f"; epoch {before} has been validated, which a run of {after} epochs would not have done"
    run.log(said)
    return said


def _spans(choice: ComponentChoice, registry: Registry) -> bool:
    """Whether a schedule depends on the length of the training."""
    schedule = registry.create("schedule", choice.use, **choice.options)
    return any(schedule(Elapsed(step, 1000)) != schedule(Elapsed(step, 2000)) for step in range(0, 1000, 50))


def check_resume(run: RunDirectory, stored: Preset, wanted: Preset, *, remedy: str = "") -> None:
    """Raise ConfigurationError if a run is to resume with another preset than it began with."""
    conflicts = preset_conflicts(stored, wanted)
    if conflicts:
        raise ConfigurationError(
            f"{run.path}: began with another preset; these keys differ: {', '.join(conflicts)}; "
            f"{remedy or 'resume without them, or choose another --out'}"
        )
