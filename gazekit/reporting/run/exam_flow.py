"""Say what became of the exams of a data set: read, left out and refused with the reasons, prepared, in each part."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from gazekit.disk.wording import counted, first_few
from gazekit.prepared.dataset import PreparedDataset
from gazekit.preparing.summary import summarise
from gazekit.records.arrays import Booleans
from gazekit.records.labels import count_classes

_PARTS = {"train": "to train on", "val": "to validate", "test": "to test"}


def exam_flow(dataset: PreparedDataset, split: Mapping[str, str] | None) -> dict[str, str]:
    """Return step → exams, as the flow diagram of STARD has them (Bossuyt et al. 2015, doi:10.1136/bmj.h5527).

    Args:
        dataset: the prepared exams.
        split: exam → part; None for data that have no parts.
    """
    summary = summarise(dataset.root)
    dropped = [each.what for each in summary.findings if each.kind == "dropped"]
    gaze = [each.what for each in summary.refused_gaze]
    found = {"left out by the source": _reasons(dropped)} if dropped else {}
    found["read"] = counted(summary.exams + len(summary.refused), "exam")
    found["refused"] = _reasons(each.reason for each in summary.refused)
    found |= {"gaze refused": _reasons(gaze)} if gaze else {}
    found["prepared"] = _exams(dataset, np.ones(len(dataset), dtype=bool))
    if split is not None:
        parts = np.array([split[exam] for exam in dataset.exam_ids])
        found |= {words: _exams(dataset, parts == part) for part, words in _PARTS.items()}
    return found


def _exams(dataset: PreparedDataset, chosen: Booleans) -> str:
    """Count exams, their patients and classes, and those without gaze."""
    labels = dataset.labels[chosen]
    classes = count_classes({name: int((labels == k).sum()) for k, name in enumerate(dataset.classes)})
    patients = len({dataset.patient_ids[exam] for exam in np.flatnonzero(chosen)})
    without = int((~dataset.has_gaze[chosen].any(axis=1)).sum())
    said = f"{counted(len(labels), 'exam')} of {counted(patients, 'patient')} ({classes})"
    return f"{said}, {without} without gaze" if dataset.has_gaze.any() else said


def _reasons(reasons: Iterable[str]) -> str:
    """Count by reason, the most frequent first, each without its remedy."""
    counts = Counter(reason.split("; ")[0] for reason in reasons)
    if not counts:
        return "0"
    each = (f"{number} × {reason}" for reason, number in counts.most_common())
    return f"{counts.total()}: {first_few(each, 5)}"
