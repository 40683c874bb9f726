"""The page of a study."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gazekit.disk.own_files import MIB, FileKind, read_bytes
from gazekit.errors import DataError
from gazekit.reporting.drawing.layers import webp
from gazekit.reporting.page import LIMITS, Section, plain, write_html
from gazekit.reporting.study.table import StudyTable

_KIND = FileKind("a PNG picture of a study", 64 * MIB, "remove it, or write it again with gazekit benchmark")
_MOST_PIXELS = 40_000_000


@dataclass(frozen=True, slots=True)
class SystemPanel:
    """One system of a study by itself.

    Args:
        name: of the system.
        words: what it is, what it was compared with, what failed: a sentence each.
        curves: its figures, the curves of its trainings among them; empty if no run was finished.
        runs: its finished runs, in order: name and AUC.
    """

    name: str
    words: Sequence[str]
    curves: Sequence[Section]
    runs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class StudyPicture:
    """A picture that the study has already.

    Args:
        title: heading.
        path: of a PNG file.
        alt: what it shows, for those who cannot see it.
        text: a sentence beside it.
    """

    title: str
    path: Path
    alt: str
    text: str

    def shown(self) -> dict[str, str]:
        """What the template needs of it. Raises DataError: the file is damaged, or no PNG file of such a size."""
        try:
            with Image.open(io.BytesIO(read_bytes(self.path, _KIND)), formats=("PNG",)) as picture:
                self._check_size(picture)
                image = webp(picture.convert("RGB"), quality=85)
        except DataError:
            raise
        except Exception:  # of a decoder, whatever it raises at damaged bytes
            raise DataError(f"{self.path}: not a readable picture; {_KIND.remedy}") from None
        return {"title": self.title, "text": self.text, "alt": self.alt, "image": image}

    def _check_size(self, picture: Image.Image) -> None:
        if picture.width * picture.height > _MOST_PIXELS:
            raise DataError(
                f"{self.path}: has {picture.width} × {picture.height} pixels, expected at most {_MOST_PIXELS}; "
                f"{_KIND.remedy}"
            )


@dataclass(frozen=True, slots=True)
class StudyPage:
    """All that the page of a study shows.

    Args:
        table: the numbers in words.
        summary: what was compared, in a sentence.
        figures: of all systems together.
        pictures: of the study's directory, shown after the figures.
        panels: one per system, in the order of the study.
        facts: where the study comes from: group → name → value. The first group is shown open.
    """

    table: StudyTable
    summary: str
    figures: Sequence[Section]
    panels: Sequence[SystemPanel]
    facts: Mapping[str, Mapping[str, object]]
    pictures: Sequence[StudyPicture] = ()


def write_study_page(path: Path, page: StudyPage) -> None:
    """Write the report of a study as one self-contained HTML page. Raises StorageError."""
    write_html(
        path,
        "study.html",
        title=page.table.title,
        summary=page.summary,
        warnings=page.table.warnings,
        table=page.table,
        figures=[section.shown() for section in page.figures],
        pictures=[picture.shown() for picture in page.pictures],
        panels=[
            {
                "name": p.name,
                "words": p.words,
                "runs": p.runs,
                "curves": [curve.shown() for curve in p.curves],
            }
            for p in page.panels
        ],
        facts=plain(page.facts),
        limits=LIMITS,
    )
