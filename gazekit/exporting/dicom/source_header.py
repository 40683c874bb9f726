"""Read the header of a source image, with or without patient data; trust nothing in it."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import validate_value

from gazekit.errors import DataError
from gazekit.reading.dicom.file import damage, open_tags
from gazekit.reading.dicom.functional_groups import FUNCTIONAL_GROUPS, lift_functional_groups
from gazekit.reading.dicom.pixels import ALWAYS_LOSSY

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
STUDY = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_OF_THE_IMAGE = (
    *("Modality", "FrameOfReferenceUID", "PatientOrientation", "ImageLaterality"),
    *("Laterality", "PixelSpacing", "ImagerPixelSpacing", "ImageType", "BurnedInAnnotation"),
)
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_WORDS = {
    "PatientSex": ("M", "F", "O"),
    **dict.fromkeys(("ImageLaterality", "Laterality"), ("L", "R", "B", "U")),
    "BurnedInAnnotation": ("YES", "NO"),
    "LossyImageCompression": ("00", "01"),
}
_METHODS = re.compile(r"ISO_[0-9]+_[0-9]+")
"""Defined terms of LossyImageCompressionMethod; another word may be any text, even a name. Source: DICOM PS3.3
C.7.6.1.1.5.1."""
_DIRECTIONS = re.compile(r"[LRAPHF]{1,3}")
"""Letters of a patient's directions; public sets of film mammograms put the view there instead."""


def read_source(path: Path, *, copy_patient: bool) -> tuple[Dataset, tuple[str, ...]]:
    """Read the tags needed to refer to an image, and the names of tags that had to be left out.

    Patient and study tags are empty unless they are to be copied. A value that is invalid for its type (a StudyDate of
    ``2020-01-01``) is left out: archives would refuse an object with it.

    Raises:
        DataError: a unique identifier that is needed to refer to the image is missing or invalid.
    """
    header = open_tags(
        path, ("Rows", "Columns", *_NEEDED, *_OF_THE_IMAGE, *LOSSY, *PATIENT, *STUDY, *FUNCTIONAL_GROUPS)
    )
    with damage(path, "its functional groups cannot be read"):
        lift_functional_groups(header)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = header.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)
    left_out = []
    for name in _NEEDED:
        value = _value(header, name)
        if value is None:
            raise DataError(
                f"{path}: the DICOM header has no valid {name}, so nothing can refer to the image"
            )
        setattr(made, name, UID(str(value)))
    for name in (*_OF_THE_IMAGE, *LOSSY):
        value = _value(header, name)
        if value is not None:
            setattr(made, name, value)
        elif _is_given(header, name):
            left_out.append(name)
    for name in (*PATIENT, *STUDY):
        value = _value(header, name) if copy_patient else None
        setattr(made, name, "" if value is None else value)
        if copy_patient and value is None and _is_given(header, name):
            left_out.append(name)
    with damage(path, "its Rows and Columns cannot be read"):
        made.Rows, made.Columns = int(header.Rows), int(header.Columns)
    _say_one_frame(made)
    if made.file_meta.TransferSyntaxUID in ALWAYS_LOSSY:
        made.LossyImageCompression = "01"
    return made, tuple(left_out)


def _say_one_frame(made: Dataset) -> None:
    """Say what highdicom looks for in an object of a class that may have several frames; gazekit reads one."""
    groups, measures = Dataset(), Dataset()
    if "PixelSpacing" in made:
        measures.PixelSpacing = made.PixelSpacing
    groups.PixelMeasuresSequence = [measures]
    made.NumberOfFrames, made.SharedFunctionalGroupsSequence = 1, [groups]


def _is_given(header: Dataset, name: str) -> bool:
    """Whether a tag has any value, right or wrong."""
    element = header.get_item(name)
    return element is not None and bool(element.value)


def _value(header: Dataset, name: str) -> Any:
    """Return a value that DICOM allows for this tag, else None; nothing is said of it, lest it be quoted."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = header.get(name)
        if not value:
            return None
        for each in _parts(value):
            validate_value(dictionary_VR(name), str(each), config.RAISE)
    except Exception:  # whatever a damaged value makes pydicom raise
        return None
    return value if _is_meaningful(name, _parts(value)) else None


def _is_meaningful(name: str, parts: Sequence[Any]) -> bool:
    """Check a value beyond its type: the number of parts, and the words allowed."""
    if name in _WORDS:
        return len(parts) == 1 and parts[0] in _WORDS[name]
    if name == "LossyImageCompressionMethod":
        return all(_METHODS.fullmatch(each) for each in parts)
    if name in ("PixelSpacing", "ImagerPixelSpacing"):
        return len(parts) == 2 and all(side > 0 for side in parts)
    if name == "PatientOrientation":
        return len(parts) == 2 and all(_DIRECTIONS.fullmatch(str(each)) for each in parts)
    return name in ("ImageType", "LossyImageCompressionRatio") or len(parts) == 1


def _parts(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
