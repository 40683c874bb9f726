"""One exam as a data source describes it, before any pixel is read."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from gazekit.records.lesions import Lesion, MaskFile

NOT_THERE = "image file not there"
"""Text of a finding about an image that is in the tables but not in the folder."""
REFUSED_GAZE = "refused"
"""Kind of a finding: gaze on an image that is not used, though the image is."""
DOUBT = "doubtful"
"""Kind of a finding: the region found in an image is not plausible."""
ODD = "odd"
"""Kind of a finding: the header of an image does not match its pixels, or the tables of its data set."""
GAZE = "gaze"
"""Kind of a finding: a gaze recording looks wrong."""
NOTE = "note"
"""Kind of a finding: anything else."""
KINDS = (REFUSED_GAZE, "dropped", "missing", "disagrees", ODD, DOUBT, GAZE, NOTE)
"""Kinds of findings, most serious first."""


def _warn_of_split() -> None:
    warnings.warn("Exam.split is now Exam.part; it goes in the next release", FutureWarning, stacklevel=3)


def _with_former_argument(kind: type) -> Any:
    """Let a class take ``split`` for ``part``, with a warning."""
    make = kind.__init__  # type: ignore[misc]

    @wraps(make)
    def accepting(exam: Any, *values: Any, **named: Any) -> None:
        if "split" in named:
            _warn_of_split()
            named["part"] = named.pop("split")
        make(exam, *values, **named)

    kind.__init__ = accepting  # type: ignore[misc]
    return kind


@_with_former_argument
@dataclass(frozen=True, slots=True)
class Exam:
    """One breast of one visit (or whatever is one sample in another field).

    Args:
        exam_id: unique in its data set.
        patient_id: exams of one patient always share a part of a split.
        label: class name as in the source (``"0"``, ``"malignant"`` …).
        images: view → image file, which may be missing; a view that the tables do not name, or that was not taken, is
            absent.
        gaze: view → raw gaze file, read by ``gaze_reader``; a view without gaze is absent.
        masks: view → its lesions, drawn into one mask; a view without annotations is absent.
        gaze_reader: name of the gaze reader for ``gaze``; None when there is none.
        heat_maps: view → a finished gaze heat map, an image of the size of that on which it lies; where there are
            recordings, leave it out.
        laterality: view → ``"L"`` or ``"R"``; absent when the image file gives it (or it does not matter).
        part: ``"train"``, ``"val"`` or ``"test"`` if the source fixes it, else None.
        dataset: sub-collection of the source, if it has several; splits are stratified by it.
        targets: further target → class of the exam (``"density": "C"``); a target that is not known is absent.
        covariates: name → number (``"age": 61``); one that is not known is absent.
    """

    exam_id: str
    patient_id: str
    label: str
    images: Mapping[str, Path]
    gaze: Mapping[str, Path] = field(default_factory=dict)
    masks: Mapping[str, tuple[Lesion, ...]] = field(default_factory=dict)
    gaze_reader: str | None = None
    laterality: Mapping[str, str] = field(default_factory=dict)
    part: str | None = None
    dataset: str = ""
    heat_maps: Mapping[str, Path] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    covariates: Mapping[str, float] = field(default_factory=dict)

    @property
    def split(self) -> str | None:
        """The name of ``part`` until 0.1; also as an argument."""
        _warn_of_split()
        return self.part

    def mask_files(self) -> list[tuple[str, Path]]:
        """List view and file of each lesion that a file marks."""
        every = [(view, lesion) for view, lesions in self.masks.items() for lesion in lesions]
        return [(view, lesion.path) for view, lesion in every if isinstance(lesion, MaskFile)]

    def files(self) -> list[Path]:
        """List all files of the exam; some may be missing."""
        masks = (path for _, path in self.mask_files())
        return [*self.images.values(), *self.gaze.values(), *self.heat_maps.values(), *masks]


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark of a data source to the user, so that nothing is left out silently.

    Args:
        kind: ``"refused"`` (gaze on an image that is used without it), ``"dropped"`` (left out, by a rule),
            ``"missing"`` (named but not there), ``"disagrees"`` (two places differ, and how that was settled),
            ``"odd"`` (an image whose header does not match its pixels), ``"doubtful"`` (an image whose region is not
            plausible), ``"gaze"`` (a recording that looks wrong), ``"note"`` (anything else).
        about: the exam, image or file, without a folder.
        what: a sentence, the same for all findings of one sort, so that they can be counted.
    """

    kind: str
    about: str
    what: str
