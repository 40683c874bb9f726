"""Texts and names shared by the DICOM objects."""

from pydicom.dataset import Dataset

import gazekit

NAME = "gazekit"
VERSION = gazekit.__version__
RESEARCH_ONLY = "research only, not for diagnosis"
CHARACTER_SET = "ISO_IR 192"
"""UTF-8: names of classes and (if copied) of patients may use any script."""


def short(words: str, most: int = 64) -> str:
    """Make text a DICOM string: no control character, no backslash (it separates values), at most ``most`` letters."""
    return "".join(c if c.isprintable() and c != "\\" else " " for c in words).strip()[:most].strip() or "-"


def in_utf8(made: Dataset) -> Dataset:
    """Declare an object to be encoded in UTF-8."""
    made.SpecificCharacterSet = CHARACTER_SET
    return made
