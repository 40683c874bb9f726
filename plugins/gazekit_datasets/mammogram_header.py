"""What the header of a DICOM mammogram says of its patient, side and view; pixels are not read."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from gazekit.data.dicom import VIEW_CODES
from gazekit.errors import DataError

_TAGS = ["PatientID", "StudyInstanceUID", "ImageLaterality", "ViewCodeSequence"]


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
        DataError: not a DICOM file, or no patient, side or view of CC or MLO in it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they may quote patients' names
            if read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
                raise DataError(
                    f"{path}: deflated as a whole; expected a header that can be read without its pixels"
                )
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
            patient = str(header.get("PatientID") or "").strip()
            study = str(header.get("StudyInstanceUID") or "")
            side = str(header.get("ImageLaterality") or "")
            codes = [str(item.get("CodeValue")) for item in header.get("ViewCodeSequence") or ()]
    except DataError:
        raise
    except Exception:  # on damaged files it raises whatever its steps do
        raise DataError(f"{path}: not a DICOM file, or its header is damaged; copy it again") from None
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
