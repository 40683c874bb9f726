"""Identify an image: patient, visit, side and view."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gazekit.records.image_header import ImageHeader


@dataclass(frozen=True, slots=True)
class ImageIdentity:
    """The identity of an image; a text is empty if unknown.

    Args:
        patient: the patient's id; leave it empty if many patients share it.
        visit: equal for all images of one visit, such as the day of the study.
        study: distinguishes visits of one day, such as the study's unique identifier.
        side: ``"L"`` or ``"R"``.
        view: the name used in the field; compared with the preset's views, ignoring case.
        special: why it is not the usual image of its view (``"magnification"``); empty for the usual one, which is
            preferred.
        unfit: why it cannot be an image of an exam at all (``"a lesion mask"``).
        pseudonym: a public name of the patient that may be shown, as in a published data set.
        name_words: lower-case words of the file name that describe the image; the rest of the name distinguishes
            exams.
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
"""A data source's rule: (DICOM header or None, path) → identity, or None for a file that is not its own."""
