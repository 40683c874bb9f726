"""Whose image a file is, of which visit, side and view."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gazekit.records.image_header import ImageHeader


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
