"""Split the exams of each data set of a study, by patient, alike for all systems."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from gazekit.errors import ConfigurationError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import Split, check_split, k_folds, make_split
from gazekit.presets.preset import Preset
from gazekit.study.settings import RandomSplits, StudySettings
from gazekit.training.start import split_of

_KEYS = ("split_seed", "test", "val")
"""Keys of a preset's ``data`` table that define the split."""


def study_splits(
    dataset: PreparedDataset, settings: StudySettings, presets: Mapping[str, Preset]
) -> dict[str, Split]:
    """Split the exams as the study says, with the shares and seed of its presets; fold name → split.

    Args:
        dataset: what to split.
        settings: the study's settings.
        presets: of every system; their ``data`` tables must give the same splits.

    Raises:
        ConfigurationError: the presets of two systems split in different ways.
        DataError: too few patients for the folds, the split file does not fit, or the split leaks without permission.
    """
    ways: dict[tuple[object, ...], str] = {}  # first system that splits this way
    for system, preset in presets.items():
        ways.setdefault(tuple(getattr(preset.data, key) for key in _KEYS), system)
    first, *others = ways.values()
    splits = _splits(dataset, settings, presets[first])
    for other in others:
        if _splits(dataset, settings, presets[other]) != splits:
            raise _different({name: presets[name] for name in (first, other)})
    return splits


def _splits(dataset: PreparedDataset, settings: StudySettings, preset: Preset) -> dict[str, Split]:
    if isinstance(settings.folds, str):
        given = None if settings.folds == "given" else Path(settings.folds)
        split = split_of(preset, dataset, given, allow_leak=settings.allow_leak)
        check_split(dataset, split, allow_leak=settings.allow_leak)
        return {"fold-1": split}
    seed, val = preset.data.split_seed, preset.data.val
    if isinstance(settings.folds, RandomSplits):
        shares = settings.folds
        return {
            f"split-{number + 1}": make_split(
                dataset, seed=seed + number, test=shares.test, val=shares.val, anew=True
            )
            for number in range(settings.repeats)
        }
    return {
        ("" if settings.repeats == 1 else f"repeat-{repeat}-") + f"fold-{fold}": split
        for repeat in range(1, settings.repeats + 1)
        for fold, split in enumerate(
            k_folds(dataset, settings.folds, seed, val=val, repeat=repeat - 1), start=1
        )
    }


def _different(presets: Mapping[str, Preset]) -> ConfigurationError:
    """Make the error for two systems that split differently."""
    one, other = presets.values()
    keys = [key for key in _KEYS if getattr(one.data, key) != getattr(other.data, key)]
    said = "; ".join(
        f"{name} with {', '.join(f'data.{key}={getattr(preset.data, key):g}' for key in keys)}"
        for name, preset in presets.items()
    )
    return ConfigurationError(
        f"the systems split the exams in different ways: {said}; all systems of a study share one split: give these "
        "keys one value for all of them, or the study a split file (gazekit data split)"
    )


def protocol(
    dataset: PreparedDataset, settings: StudySettings, splits: Mapping[str, Split], preset: Preset
) -> str:
    """Describe the split in words; any system's preset gives the shares."""
    counts = Counter(next(iter(splits.values())).values())
    parts = (
        f"about {counts['train']} exams to train on, {counts['val']} to validate, {counts['test']} to test"
    )
    if isinstance(settings.folds, str):
        test = preset.data.test
        who = f"one split by patient, {10 - 10 * test:g}:{10 * test:g}"
        if settings.folds != "given":
            who = f"the split {Path(settings.folds).name}"
        elif dataset.parts:
            who = "the source's own split"
        return f"{who}: {parts.removeprefix('about ')}"
    if isinstance(settings.folds, RandomSplits):
        number = f"{settings.repeats} random splits" if settings.repeats > 1 else "one random split"
        share = f"{100 * settings.folds.test:.3g} % of the patients in the test part"
        return f"{number} by patient, {share}: {parts}" + (" in each" if settings.repeats > 1 else "")
    times = f", dealt {settings.repeats} times" if settings.repeats > 1 else ""
    return f"{settings.folds}-fold cross-validation by patient{times}: {parts} in each"
