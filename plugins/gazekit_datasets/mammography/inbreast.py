"""Read INbreast: full-field digital mammograms with outlined lesions.

Source: Moreira et al. 2012, DOI 10.1016/j.acra.2011.09.014.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gazekit.disk.walk import is_litter
from gazekit.errors import ConfigurationError, DataError
from gazekit.reading.tables.table import Row, open_table
from gazekit.records.exam import NOT_THERE, Exam, Finding
from gazekit.records.identity import ImageIdentity
from gazekit.records.image_header import ImageHeader
from gazekit_datasets.mammography.birads import BiradsLabels, Category3, Labels
from gazekit_datasets.mammography.breasts import (
    BreastGrouping,
    ExamUnit,
    Mammogram,
    OnDisagreement,
    OnRepeat,
    group,
)
from gazekit_datasets.osirix import OsirixRegion, read_regions

RELEASE, TABLE, IMAGES, ANNOTATIONS = "INbreast Release 1.0", "INbreast.csv", "AllDICOMs", "AllXML"
COLUMNS = ("Laterality", "View", "Acquisition date", "File Name", "Bi-Rads")
CATEGORIES = ("1", "2", "3", "4a", "4b", "4c", "5", "6")
VIEWS = {"CC": "cc", "MLO": "mlo", "ML": "mlo"}
"""View in the table (``MLO``) or the file name (``ML``) → view."""
KINDS = ("Asymmetry", "Calcification", "Cluster", "Distortion", "Mass", "Spiculated Region")
SPELLINGS = {
    "assymetry": "Asymmetry",
    "calcifications": "Calcification",
    "espiculated region": "Spiculated Region",
}
"""Readers' other spellings, in small letters → kind."""
_NAME = re.compile(r"(\d{8})_([0-9a-f]{16})_MG_([LR])_([A-Z]+)_ANON\.dcm", re.IGNORECASE)
_CELLS = {
    "Laterality": ("[LR]", "L or R"),
    "View": ("CC|MLO|FB", "CC, MLO or FB"),
    "Acquisition date": (r"\d{6}", "year and month in six digits"),
    "File Name": (r"\d{8}", "eight digits"),
}
"""Column → pattern of its cells, and its meaning in words."""


class INbreast:
    """INbreast as released: ``INbreast.csv``, ``AllDICOMs``, ``AllXML``; the patient is known from file names only.

    Args:
        unit: ``"breast"`` of one visit (views cc, mlo) or ``"visit"`` (views l_cc, l_mlo, r_cc, r_mlo).
        labels: ``"malignancy"`` (BI-RADS 1, 2 benign; 4, 5, 6 malignant), ``"birads"`` (the categories, 4a to 4c as
            one) or ``"birads_4abc"`` (all categories).
        birads3: with malignancy, drop BI-RADS 3, or call it benign or malignant.
        disagreement: of the views of a breast: take the worse, or drop the exam.
        repeated: for a view that comes twice in a visit: take the first or the last, or drop the exam.
        annotations: kinds of lesions included in the masks, such as ``Mass``; None takes all.
    """

    region = "breast"

    @staticmethod
    def identify(_header: ImageHeader | None, path: Path) -> ImageIdentity | None:
        """Identify an image by its file name in the release; its header names no patient."""
        match = _NAME.fullmatch(path.name)
        if match is None:
            return None
        patient, side, view = match[2].lower(), match[3].upper(), match[4].upper()
        return ImageIdentity(patient=patient, side=side, view=VIEWS.get(view, view), pseudonym=patient)

    def __init__(
        self,
        *,
        unit: ExamUnit = "breast",
        labels: Labels = "malignancy",
        birads3: Category3 = "drop",
        disagreement: OnDisagreement = "max",
        repeated: OnRepeat = "last",
        annotations: tuple[str, ...] | None = None,
    ) -> None:
        unknown = [name for name in annotations or () if name not in KINDS]
        if unknown:
            raise ConfigurationError(
                f"annotations: no kind {unknown[0]!r}; expected some of {', '.join(KINDS)}"
            )
        self.birads = BiradsLabels(CATEGORIES, labels, birads3)
        self.grouping = BreastGrouping(
            self.birads.label, unit, disagreement, repeated, grade_name=self.birads.name
        )
        self.annotations = annotations
        self.classes = self.birads.classes

    def exams(self, root: Path) -> Iterator[Exam | Finding]:
        """Yield the exams below ``root``, and findings on missing or conflicting data. Raises: DataError."""
        home = root if (root / TABLE).exists() else root / RELEASE
        if not (home / TABLE).exists():
            raise DataError(
                f"{root / TABLE}: there is no such file; expected it beside {IMAGES} and {ANNOTATIONS}"
            )
        yield from group(self._mammograms(home), self.grouping)

    def _mammograms(self, home: Path) -> Iterator[Mammogram | Finding]:
        rows = _rows(home / TABLE)
        images: dict[str, re.Match[str]] = {}
        for name in _names(home / IMAGES):
            match = _NAME.fullmatch(name)
            if match is None:
                yield Finding("dropped", name, "file name of another pattern: not used")
            elif match[1] not in rows:
                yield Finding("dropped", name, f"image without a row in {TABLE}: not used")
            elif match[1] in images:
                raise DataError(
                    f"{home / IMAGES / name}: another file has its number; expected one; remove one"
                )
            else:
                images[match[1]] = match
        for name in _names(home / ANNOTATIONS) if (home / ANNOTATIONS).exists() else ():
            if Path(name).stem not in rows:
                yield Finding("note", name, f"annotation without a row in {TABLE}: not used")
        for number, row in rows.items():
            if row["View"] == "FB":
                yield Finding("dropped", number, "view FB: not used")
            elif number not in images:
                yield Finding("missing", number, NOT_THERE)
            else:
                yield from self._mammogram(home, row, images[number])

    def _mammogram(self, home: Path, row: Row, image: re.Match[str]) -> Iterator[Mammogram | Finding]:
        name, number, patient, side, view = image.group(0, 1, 2, 3, 4)
        grade = self.birads.grade(row["Bi-Rads"], row.where)
        if (side.upper(), VIEWS.get(view.upper())) != (row["Laterality"], VIEWS[row["View"]]):
            yield Finding("disagrees", name, "side or view is another in the file name: image not used")
            return
        annotation = home / ANNOTATIONS / f"{number}.xml"
        regions: tuple[OsirixRegion, ...] = ()
        refused = ""
        if annotation.exists():
            try:
                regions = read_regions(annotation)
            except DataError as error:
                # without its lesions the image would count as healthy, so its exam is left out
                refused = "an annotation cannot be read"
                yield Finding("missing", annotation.name, str(error).removeprefix(f"{annotation}: "))
        elif row["Bi-Rads"] != "1":
            yield Finding("note", name, "no annotation, though BI-RADS is not 1: no mask")
        yield from _remarks(regions, annotation.name)
        yield Mammogram(
            patient_id=patient.lower(),
            side=row["Laterality"],
            view=VIEWS[row["View"]],
            path=home / IMAGES / name,
            grade=grade,
            visit=row["Acquisition date"],
            order=int(number),
            lesions=tuple(each.outline for each in regions if self._is_wanted(each)),
            refused=refused,
        )

    def _is_wanted(self, region: OsirixRegion) -> bool:
        return self.annotations is None or _kind(region.name) in self.annotations


def _kind(name: str) -> str | None:
    word = name.casefold()
    return SPELLINGS.get(word) or next((kind for kind in KINDS if kind.casefold() == word), None)


def _remarks(regions: Iterable[OsirixRegion], file: str) -> Iterator[Finding]:
    """Yield remarks about the names of regions."""
    for name in sorted({region.name for region in regions}):
        kind = _kind(name)
        if kind is None:
            yield Finding("note", file, f"lesion of no known kind ({name[:40]!r})")
        elif kind != name:
            yield Finding("note", file, f"lesion {name!r} taken as {kind}")


def _names(folder: Path) -> list[str]:
    """List the files of a folder, sorted, without hidden ones. Raises: DataError."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; expected the release with {IMAGES}")
    return sorted(path.name for path in folder.iterdir() if not is_litter(path.name))


def _rows(table: Path) -> Mapping[str, Row]:
    """Read the table: File Name → row. Raises: DataError with file and row."""
    rows: dict[str, Row] = {}
    seen: dict[str, str] = {}
    for row in open_table(table, COLUMNS).rows():
        for column, (pattern, expected) in _CELLS.items():
            if not re.fullmatch(pattern, row[column]):
                raise DataError(f"{row.where}: {column} is {row[column][:40]!r}; expected {expected}")
        row.check_new("File Name", row["File Name"], seen)
        rows[row["File Name"]] = row
    return rows
