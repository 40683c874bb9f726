"""The run that a section of a report is given, and the parts that it may consist of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gazekit.records.arrays import Array, Floats, Integers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, eq=False)
class ReportedRun:
    """The predictions of a run on the exams of a report, with the truth.

    Args:
        name: of the run, without a path.
        part: of its split, ``all`` of every exam.
        classes: names in the order of the labels; of two, the second is positive.
        exam_ids, patient_ids: ``[N]``.
        truth: ``[N]``.
        probabilities: ``[N, classes]``.
        threshold: the second of two classes is called above it.
        others: title → probabilities of runs that the report compares with, on the same exams.
        attention: view → attention maps ``[N, h, w]``; empty for a run without.
        epochs: the lines of ``metrics.jsonl``.
        facts: provenance, group → name → value, as the page shows it.
    """

    name: str
    part: str
    classes: Sequence[str]
    exam_ids: Sequence[str]
    patient_ids: Sequence[str]
    truth: Integers
    probabilities: Floats
    threshold: float = 0.5
    others: Mapping[str, Floats] = field(default_factory=dict)
    attention: Mapping[str, Array] = field(default_factory=dict)
    epochs: Sequence[Mapping[str, Any]] = ()
    facts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def called(self) -> Integers:
        """The class that is called for each exam, ``[N]``."""
        if self.probabilities.shape[1] == 2:
            return np.asarray(self.probabilities[:, 1] > self.threshold, dtype=np.int64)
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table; cells are shown as ``str`` makes them, numbers to the right.

    Args:
        columns: titles.
        rows: cells, as many in each row as there are columns.
        caption: a sentence for readers who cannot see the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ReportFigure:
    """A drawing.

    Args:
        figure: a figure of Matplotlib, made with ``matplotlib.figure.Figure`` and not with pyplot.
        alt: a sentence for readers who cannot see it.
        text: a sentence below it.
    """

    figure: "Figure"
    alt: str
    text: str = ""


ReportPart = str | ReportTable | ReportFigure
"""A part of a section: a paragraph, a table or a figure."""
