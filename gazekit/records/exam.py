"""The exam record: what a data source says of one exam before any pixel is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gazekit.records.lesions import Lesion

NOT_THERE = "image file not there"
"""What a finding says of an image that the tables name and the folder lacks."""
DOUBT = "doubtful"
"""Kind of a finding of the preparation: what was found in an image is not plausible."""
ODD = "odd"
"""Kind of a finding of the preparation: the header of an image does not fit its pixels."""
GAZE = "gaze"
"""Kind of a finding of the preparation: a gaze recording looks wrong."""
KINDS = ("dropped", "missing", "disagrees", ODD, DOUBT, GAZE, "note")
"""Kinds of findings, the gravest first."""


@dataclass(frozen=True, slots=True)
class Exam:
    """One breast of one visit (or whatever is one sample in another field).

    Args:
        exam_id: unique in its data set.
        patient_id: exams of one patient never fall on two sides of a split.
        label: the class name, as the source writes it (``"0"``, ``"malignant"`` …).
        images: view → image file, whether it is there or not; a view that the tables do not name is absent.
        gaze: view → raw gaze file, read by ``gaze_reader``; a view without gaze is absent.
        masks: view → its lesions, all of which make one mask; absent where nothing was annotated.
        gaze_reader: name of the gaze reader for ``gaze``; None when there is none.
        laterality: view → ``"L"`` or ``"R"``; absent when the image file must say so (or it does not matter).
        split: ``"train"``, ``"val"``, ``"test"`` where the source fixes it, else None.
        dataset: part of the source that the exam comes from, where there are several; splits are stratified by it.
    """

    exam_id: str
    patient_id: str
    label: str
    images: Mapping[str, Path]
    gaze: Mapping[str, Path] = field(default_factory=dict)
    masks: Mapping[str, tuple[Lesion, ...]] = field(default_factory=dict)
    gaze_reader: str | None = None
    laterality: Mapping[str, str] = field(default_factory=dict)
    split: str | None = None
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a source noticed that a user should know: nothing is left out silently.

    Args:
        kind: ``"dropped"`` (left out, by a rule), ``"missing"`` (named but not there), ``"disagrees"`` (two places
            say two things, and how that was settled), ``"odd"`` (an image whose header does not fit its pixels),
            ``"doubtful"`` (an image whose region is not plausible), ``"gaze"`` (a recording that looks wrong),
            ``"note"`` (anything else).
        about: the exam, image or file, without a folder.
        what: a sentence that is the same for all findings of its sort, so that they can be counted.
    """

    kind: str
    about: str
    what: str
