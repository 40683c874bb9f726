"""What the header of a DICOM mammogram says of its patient, side and view; pixels are not read."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from gazekit.data.dicom import VIEW_CODES
from gazekit.errors import DataError

_TAGS, _VIEW = ("PatientID", "StudyInstanceUID", "ImageLaterality"), "ViewCodeSequence"


@dataclass(frozen=True, slots=True)
class MammogramHeader:
    """Args: patient_id; study, its unique identifier; side, ``"L"`` or ``"R"``; view, ``"cc"`` or ``"mlo"``."""

    patient_id: str
    study: str
    side: str
    view: str


def read_header(path: Path) -> MammogramHeader:
    """Read the header of a mammogram.

    Raises:
        DataError: not a DICOM file, or its header names no patient, no side or another view than CC and MLO.
    """
    patient, study, side, *codes = _values(path)
    view = next((VIEW_CODES[code].lower() for code in codes if code in VIEW_CODES), "")
    if not patient:
        raise DataError(f"{path}: the header names no patient; expected PatientID")
    if side not in ("L", "R"):
        raise DataError(f"{path}: the header names no side; expected L or R as ImageLaterality")
    if not view:
        raise DataError(
            f"{path}: the header names another view or none; expected CC or MLO in ViewCodeSequence"
        )
    return MammogramHeader(patient, study, side, view)


def _values(path: Path) -> list[str]:
    """Patient, study, side and all codes of the view, empty where they are absent."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they may quote patients' names
            is_deflated = read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
            if not is_deflated:
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*_TAGS, _VIEW])
                codes = [str(item.get("CodeValue")) for item in header.get(_VIEW) or ()]
                return [str(header.get(tag) or "").strip() for tag in _TAGS] + codes
    except Exception:  # on damaged files it raises whatever its steps do
        raise DataError(f"{path}: not a DICOM file, or its header is damaged; copy it again") from None
    # pydicom would inflate all of it, however large, to read the header
    raise DataError(f"{path}: the file is deflated as a whole; store it uncompressed or as JPEG 2000")
