"""Write the page of a study from its contents."""

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
    """One system of a study.

    Args:
        name: name of the system.
        words: sentences on the system, its comparison and its failures.
        curves: figures, training curves included; empty if no run finished.
        runs: finished runs, in order: name and AUC.
    """

    name: str
    words: Sequence[str]
    curves: Sequence[Section]
    runs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class StudyPicture:
    """An existing picture of the study.

    Args:
        title: heading.
        path: path of a PNG file.
        alt: alternative text for readers who cannot see it.
        text: a sentence next to it.
    """

    title: str
    path: Path
    alt: str
    text: str

    def shown(self) -> dict[str, str]:
        """Return the values for the template. Raises DataError: the file is damaged, or not a PNG of allowed size."""
        try:
            with Image.open(io.BytesIO(read_bytes(self.path, _KIND)), formats=("PNG",)) as picture:
                self._check_size(picture)
                image = webp(picture.convert("RGB"), quality=85)
        except DataError:
            raise
        except Exception:  # a decoder may raise anything on damaged bytes
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
    """The contents of a study's page.

    Args:
        table: the formatted numbers.
        summary: a sentence on the comparison.
        figures: figures of all systems together.
        pictures: pictures in the study's directory, shown after the figures.
        panels: one per system, in the order of the study.
        facts: provenance of the study: group → name → value. The first group is shown open.
        newer: finished runs that the table does not count.
    """

    table: StudyTable
    summary: str
    figures: Sequence[Section]
    panels: Sequence[SystemPanel]
    facts: Mapping[str, Mapping[str, object]]
    pictures: Sequence[StudyPicture] = ()
    newer: int = 0


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
