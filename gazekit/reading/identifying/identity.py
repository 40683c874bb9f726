"""Identify an image (patient, visit, side, view) by the rule of its data source, else by its header."""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from gazekit.records.identity import IdentityRule, ImageIdentity
from gazekit.records.image_header import ImageHeader

FOR_PROCESSING = "FOR PROCESSING"
"""Intent of an image that is not for viewing. Source: DICOM PS3.3 C.8.11.1.1.1."""
PLACEHOLDERS = frozenset(
    {
        *("anon", "anonym", "anonymous", "anonymized", "anonymised", "anonymus", "deidentified", "removed"),
        *("unknown", "none", "null", "nan", "na", "n a", "nil", "empty", "noid", "no id", "patient id"),
        *("patient", "patientid", "dummy", "hidden", "masked", "redacted", "confidential"),
        *("unnamed", "noname", "no name"),
    }
)
"""Placeholders for a removed patient id, the same for all patients."""


class Disagreement(Exception):
    """Two data sources disagree about an image; the message names both."""


def identify(header: ImageHeader | None, path: Path, rules: Mapping[str, IdentityRule]) -> ImageIdentity:
    """Identify a file by the rules of the data sources, else by its header.

    Args:
        header: of a DICOM file; None for any other.
        path: of the file.
        rules: name of the data source → its rule.

    Raises:
        Disagreement: two rules give different answers.
    """
    merged: dict[str, object] = {}
    source: dict[str, str] = {}
    for name, rule in rules.items():
        answer = rule(header, path)
        for key, value in _said(answer).items():
            if key in merged and merged[key] != value:
                raise Disagreement(f"the data sources {source[key]} and {name} disagree about its {key}")
            merged[key], source[key] = value, name
    return ImageIdentity(**(_said(_by_header(header)) | merged))  # type: ignore[arg-type]


def is_placeholder(patient: str) -> bool:
    """Whether a patient's id is a placeholder: empty, only punctuation and zeros, or words for removed."""
    word = re.sub(r"[\W_]+", " ", patient).strip().casefold()
    return set(word) <= {"0", "x", " "} or word in PLACEHOLDERS or PLACEHOLDERS.issuperset(word.split())


def _said(identity: ImageIdentity | None) -> dict[str, object]:
    if identity is None:
        return {}
    values = {item.name: getattr(identity, item.name) for item in fields(identity)}
    return {name: value for name, value in values.items() if value}


def _by_header(header: ImageHeader | None) -> ImageIdentity | None:
    """Identify an image by any DICOM header, whatever the field."""
    if header is None:
        return None
    special = ""
    if header.intent.upper() == FOR_PROCESSING:
        special = FOR_PROCESSING
    elif header.is_partial:
        special = "a partial view"
    return ImageIdentity(
        patient="" if is_placeholder(header.patient) else header.patient,
        visit=header.date,
        study=header.study,
        side=header.side,
        view=header.view_position,
        special=special,
        unfit=_unfit(header),
    )


def _unfit(header: ImageHeader) -> str:
    if not header.rows or not header.columns:
        return "not an image but another kind of DICOM object"
    if header.frames > 1:
        return f"a stack of {header.frames} frames"
    if header.samples > 1:
        return "in colour, like drawings over an image"
    if header.bits == 1:
        return "a mask of two values"
    return ""
