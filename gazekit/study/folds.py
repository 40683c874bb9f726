"""The splits of a study: made once, by patient, the same for all systems."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import Split, check_split, k_folds, make_split, read_split
from gazekit.study.settings import StudySettings


def study_splits(dataset: PreparedDataset, settings: StudySettings) -> dict[str, Split]:
    """Name of a fold → split.

    Raises:
        DataError: too few patients for the folds, the split file does not fit, or the split leaks and may not.
    """
    if settings.folds == "given":
        return {"fold-1": make_split(dataset, allow_leak=settings.allow_leak)}
    if isinstance(settings.folds, str):
        split = read_split(Path(settings.folds))
        check_split(dataset, split, allow_leak=settings.allow_leak)
        return {"fold-1": split}
    return {
        ("" if settings.repeats == 1 else f"repeat-{repeat}-") + f"fold-{fold}": split
        for repeat in range(1, settings.repeats + 1)
        for fold, split in enumerate(k_folds(dataset, settings.folds, repeat=repeat - 1), start=1)
    }


def protocol(dataset: PreparedDataset, settings: StudySettings, splits: Mapping[str, Split]) -> str:
    """How the exams were divided, in words."""
    counts = Counter(next(iter(splits.values())).values())
    parts = (
        f"about {counts['train']} exams to train on, {counts['val']} to validate, {counts['test']} to test"
    )
    if isinstance(settings.folds, str):
        who = "one split by patient, 7:3"
        if settings.folds != "given":
            who = f"the split {Path(settings.folds).name}"
        elif dataset.split:
            who = "the source's own split"
        return f"{who}: {parts.removeprefix('about ')}"
    times = f", dealt {settings.repeats} times" if settings.repeats > 1 else ""
    return f"{settings.folds}-fold cross-validation by patient{times}: {parts} in each"
