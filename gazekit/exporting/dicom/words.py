"""Texts and names that DICOM objects share."""

from typing import Any

import gazekit

NAME = "gazekit"
VERSION = gazekit.__version__
RESEARCH_ONLY = "research only, not for diagnosis"
CHARACTER_SET = "ISO_IR 192"
"""UTF-8: names of classes and, where they are copied, of patients may be of any script."""


def short(words: str, most: int = 64) -> str:
    """Words that fit a DICOM string: no control character, no backslash (it parts values), no more than ``most``."""
    return "".join(c if c.isprintable() and c != "\\" else " " for c in words).strip()[:most].strip() or "-"


def in_utf8(made: Any) -> Any:
    """The object, declared to be written in UTF-8."""
    made.SpecificCharacterSet = CHARACTER_SET
    return made
