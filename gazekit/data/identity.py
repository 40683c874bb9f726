"""Whose image a file is, of which visit, side and view: what a data source knows of its own files, else the header."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from gazekit.data.image_header import ImageHeader

FOR_PROCESSING = "FOR PROCESSING"
"""Of an image that was not made to be looked at. Source: DICOM PS3.3 C.8.11.1.1.1."""
PLACEHOLDERS = frozenset(
    {
        *("anon", "anonym", "anonymous", "anonymized", "anonymised", "anonymus", "deidentified", "removed"),
        *("unknown", "none", "null", "nan", "na", "n a", "nil", "empty", "noid", "no id", "patient id"),
        *("patient", "patientid", "dummy", "hidden", "masked", "redacted", "confidential"),
        *("unnamed", "noname", "no name"),
    }
)
"""What stands in the place of a patient's id once it was taken out: the same for all patients."""


@dataclass(frozen=True, slots=True)
class ImageIdentity:
    """What is known of an image; a text is empty where nothing is known.

    Args:
        patient: the patient's id; one that is the same for many patients must be left empty.
        visit: the same for all images of one visit, such as the day of the study.
        study: what tells visits of one day apart, such as the study's unique identifier.
        side: ``"L"`` or ``"R"``.
        view: as the field calls it; compared with the names of a preset's views, case aside.
        special: words for what makes it another image than the usual one of its view (``"magnification"``); empty for
            the usual one, which is preferred.
        unfit: why it cannot be an image of an exam at all (``"a lesion mask"``).
        pseudonym: a name of the patient that is public and may be shown, as in a published data set.
        name_words: words of the file's name, in small letters, that say something about the image; the rest of the
            name tells exams apart.
    """

    patient: str = ""
    visit: str = ""
    study: str = ""
    side: str = ""
    view: str = ""
    special: str = ""
    unfit: str = ""
    pseudonym: str = ""
    name_words: frozenset[str] = frozenset()


IdentityRule = Callable[[ImageHeader | None, Path], ImageIdentity | None]
"""What a data source knows of a file, by its header (None unless it is DICOM) and path; None of a stranger."""


class Disagreement(Exception):
    """Two data sources say two things about one image; the text names both."""


def identify(header: ImageHeader | None, path: Path, rules: Mapping[str, IdentityRule]) -> ImageIdentity:
    """What the rules of the data sources say of a file, else its header.

    Args:
        header: of a DICOM file; None for any other.
        path: of the file.
        rules: by the name of the data source.

    Raises:
        Disagreement: two rules answer, and not alike.
    """
    merged: dict[str, object] = {}
    source: dict[str, str] = {}
    for name, rule in rules.items():
        answer = rule(header, path)
        for key, value in _said(answer).items():
            if key in merged and merged[key] != value:
                raise Disagreement(
                    f"the data sources {source[key]} and {name} say two things about its {key}"
                )
            merged[key], source[key] = value, name
    return ImageIdentity(**(_said(_by_header(header)) | merged))  # type: ignore[arg-type]


def is_placeholder(patient: str) -> bool:
    """Whether a patient's id says nothing: empty, signs and noughts only, or words for having been taken out."""
    word = re.sub(r"[\W_]+", " ", patient).strip().casefold()
    return set(word) <= {"0", "x", " "} or word in PLACEHOLDERS or PLACEHOLDERS.issuperset(word.split())


def _said(identity: ImageIdentity | None) -> dict[str, object]:
    if identity is None:
        return {}
    values = {item.name: getattr(identity, item.name) for item in fields(identity)}
    return {name: value for name, value in values.items() if value}


def _by_header(header: ImageHeader | None) -> ImageIdentity | None:
    """What any DICOM header says, whatever the field."""
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
        return "no image, but another kind of DICOM object"
    if header.frames > 1:
        return f"a stack of {header.frames} frames"
    if header.samples > 1:
        return "in colour, as drawings over an image are"
    if header.bits == 1:
        return "a mask of two values"
    return ""
