"""The header of a source image, with or without what it says of the patient."""

from pathlib import Path
from typing import Any

from gazekit.data.dicom_file import open_tags
from gazekit.errors import DataError

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
STUDY = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")
_REFERENCE = (
    *(
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "Modality",
        "Rows",
        "Columns",
    ),
    *("FrameOfReferenceUID", "PatientOrientation", "ImageLaterality", "Laterality", "PixelSpacing"),
    *("ImagerPixelSpacing", "ImageType"),
)
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def read_source(path: Path, *, copy_patient: bool) -> Any:
    """The tags by which an image is referred to; those of patient and study are empty unless they are to be copied.

    Raises:
        DataError: a unique identifier is missing, without which nothing can refer to the image.
    """
    header = open_tags(path, (*_REFERENCE, *PATIENT, *STUDY))
    missing = [name for name in _NEEDED if not header.get(name)]
    if missing:
        raise DataError(f"the DICOM header has no {missing[0]}, so nothing can refer to the image")
    for name in (*PATIENT, *STUDY):
        if not copy_patient or name not in header:
            setattr(header, name, "")
    return header
