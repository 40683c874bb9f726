"""The exam record: what a data source says of one exam before any pixel is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Exam:
    """One breast of one visit (or whatever is one sample in another field).

    Args:
        exam_id: unique in its data set.
        patient_id: exams of one patient never fall on two sides of a split.
        label: the class name, as the source writes it (``"0"``, ``"malignant"`` …).
        images: view → image file; a view that is missing is absent.
        gaze: view → raw gaze file, read by ``gaze_reader``; a view without gaze is absent.
        masks: view → lesion mask file, same pixels as the image; absent where there is none.
        gaze_reader: name of the gaze reader for ``gaze``; None when there is none.
        laterality: ``"L"``, ``"R"`` or None when the image file must say so (or it does not matter).
        split: ``"train"``, ``"val"``, ``"test"`` where the source fixes it, else None.
    """

    exam_id: str
    patient_id: str
    label: str
    images: Mapping[str, Path]
    gaze: Mapping[str, Path] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)
    gaze_reader: str | None = None
    laterality: str | None = None
    split: str | None = None
