"""Read a DICOM header without its pixels: patient, visit, view, kind of image."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from gazekit.reading.dicom.file import damage, open_tags, text_of
from gazekit.reading.dicom.functional_groups import FUNCTIONAL_GROUPS, lift_functional_groups
from gazekit.records.image_header import Code, ImageHeader

_TEXTS = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "study_id": "StudyID",
    "date": "StudyDate",
    "modality": "Modality",
    "view_position": "ViewPosition",
    "series_description": "SeriesDescription",
    "study_description": "StudyDescription",
    "protocol": "ProtocolName",
    "body_part": "BodyPartExamined",
    "paddle": "PaddleDescription",
    "intent": "PresentationIntentType",
    "sop_class": "SOPClassUID",
}
"""Field → DICOM attribute."""
_LISTS = {"orientation": "PatientOrientation", "image_type": "ImageType"}
_NUMBERS = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "NumberOfFrames", "PartialView")
_MAGNIFICATION = "EstimatedRadiographicMagnificationFactor"
_CODES = ("ViewCodeSequence", "ViewModifierCodeSequence")
_SIDES = ("ImageLaterality", "Laterality")
_NAMING = (
    *("PatientID", "PatientName", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName"),
    *("PatientBirthDate", "AccessionNumber", "ReferringPhysicianName"),
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
)
"""Attributes that identify the patient, or help to."""


def read_image_header(path: Path) -> ImageHeader:
    """Read the header of a DICOM file, without its pixels. Raises: DataError."""
    tags = (*_TEXTS.values(), *_LISTS.values(), *_NUMBERS, _MAGNIFICATION, *_CODES, *_SIDES, *_NAMING)
    header = open_tags(path, tuple(dict.fromkeys((*tags, *FUNCTIONAL_GROUPS))))
    with damage(path, "its tags cannot be read"):
        lift_functional_groups(header)
        texts: dict[str, Any] = {name: text_of(header, attribute) for name, attribute in _TEXTS.items()}
        texts |= {name: tuple(_values(header, attribute)) for name, attribute in _LISTS.items()}
        views, modifiers = (_codes(header, name) for name in _CODES)
        nested = [code for item in header.get(_CODES[0]) or () for code in _codes(item, _CODES[1])]
        return ImageHeader(
            **texts,
            side=next(
                (side for side in (text_of(header, name) for name in _SIDES) if side in ("L", "R")), ""
            ),
            view_codes=tuple(views),
            modifier_codes=(*modifiers, *nested),
            rows=int(header.get("Rows") or 0),
            columns=int(header.get("Columns") or 0),
            samples=int(header.get("SamplesPerPixel") or 1),
            bits=int(header.get("BitsAllocated") or 0),
            frames=int(header.get("NumberOfFrames") or 1),
            is_partial=text_of(header, "PartialView").upper() == "YES",
            magnification=float(header.get(_MAGNIFICATION) or 0),
            naming=tuple(_naming(header)),
        )


def _values(dataset: Dataset, name: str) -> list[str]:
    """Return the values of an attribute that may have several."""
    value = dataset.get(name)
    several: Iterable[Any] = (value,) if value is None or isinstance(value, str) else value
    return [text for text in (str(each or "").strip() for each in several) if text]


def _codes(dataset: Dataset, name: str) -> list[Code]:
    """Return the codes of a sequence. In older files the modifiers are items of the view's own item."""
    return [
        Code(text_of(item, "CodeValue"), text_of(item, "CodeMeaning")) for item in dataset.get(name) or ()
    ]


def _naming(dataset: Dataset) -> Iterable[str]:
    """Return values that name a patient, and the parts of personal names."""
    for name in _NAMING:
        value = dataset.get(name)
        for text in _values(dataset, name) if not hasattr(value, "components") else [str(value)]:
            yield text
            if name.endswith("Name") or name.endswith("Names"):
                yield from (part for part in re.split(r"[\^=,\s]+", text) if part)
