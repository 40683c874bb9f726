"""Read VinDr-Mammo: four-view screening exams with BI-RADS categories and boxes around findings.

Source: Nguyen et al. 2023, DOI 10.1038/s41597-023-02100-7.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from gazekit.disk.walk import files_below
from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, open_table
from gazekit.records.exam import Exam, Finding
from gazekit.records.lesions import Outline
from gazekit_datasets.mammography.birads import BiradsLabels, Category3
from gazekit_datasets.mammography.breasts import (
    BreastGrouping,
    ExamUnit,
    Mammogram,
    OnDisagreement,
    OnRepeat,
    group,
)
from gazekit_datasets.mammography.mammogram_header import identify_mammogram

TABLE, FINDINGS, IMAGES = "breast-level_annotations.csv", "finding_annotations.csv", "images"
BOX = ("xmin", "ymin", "xmax", "ymax")
SIDES = {"L": "L", "R": "R"}
VIEWS = {"CC": "cc", "MLO": "mlo"}
PARTS = {"training": "train", "test": "test"}
COLUMNS = ("study_id", "image_id", "laterality", "view_position", "breast_birads", "split")
FARTHEST = 100_000.0
"""Box corners beyond this, in pixels, are refused."""
_ID = re.compile(r"\w[\w.-]{0,63}", re.ASCII)


class VinDrMammo:
    """VinDr-Mammo as on PhysioNet: ``breast-level_annotations.csv``, ``finding_annotations.csv``, ``images``.

    The set names no patients: a study stands for one.

    Args:
        unit: ``"breast"`` (views cc, mlo) or ``"visit"`` (views l_cc, l_mlo, r_cc, r_mlo).
        labels: ``"malignancy"`` (BI-RADS 1, 2 benign; 4, 5 malignant) or ``"birads"`` (the categories).
        birads3: with malignancy, drop BI-RADS 3, or call it benign or malignant.
        disagreement: of the views of a breast: take the worse, or drop the exam.
        repeated: for a view that comes twice: take the first or the last, or drop the exam.
    """

    region = "breast"

    identify = staticmethod(identify_mammogram)

    def __init__(
        self,
        *,
        unit: ExamUnit = "breast",
        labels: Literal["malignancy", "birads"] = "malignancy",
        birads3: Category3 = "drop",
        disagreement: OnDisagreement = "max",
        repeated: OnRepeat = "last",
    ) -> None:
        self.birads = BiradsLabels(("1", "2", "3", "4", "5"), labels, birads3)
        self.grouping = BreastGrouping(
            self.birads.label, unit, disagreement, repeated, grade_name=self.birads.name
        )
        self.classes = self.birads.classes

    def exams(self, root: Path) -> Iterator[Exam | Finding]:
        """Yield the exams below ``root``, and findings on missing or conflicting data. Raises: DataError."""
        yield from group(self._mammograms(root), self.grouping)

    def _mammograms(self, root: Path) -> Iterator[Mammogram | Finding]:
        boxes: Mapping[str, list[Outline]] = {}
        if (root / FINDINGS).exists():
            boxes = _read_boxes(root / FINDINGS)
        else:
            yield Finding("missing", FINDINGS, "no boxes around findings: no masks")
        rows: dict[str, str] = {}
        for row in open_table(root / TABLE, COLUMNS).rows():
            image = _identifier(row, "image_id")
            row.check_new("image_id", image, rows)
            yield Mammogram(
                patient_id=_identifier(row, "study_id"),
                side=_choice(row, "laterality", SIDES),
                view=_choice(row, "view_position", VIEWS),
                path=root / IMAGES / row["study_id"] / f"{image}.dicom",
                grade=self.birads.grade(row["breast_birads"], row.where),
                order=len(rows),
                lesions=tuple(boxes.get(image, ())),
                part=_choice(row, "split", PARTS),
            )
        for image in sorted(boxes.keys() - rows.keys()):
            yield Finding("note", image, f"boxes of an image that {TABLE} does not list")
        unlisted: dict[Path, str] = {}
        there = sorted(files_below(root / IMAGES, unlisted.__setitem__)) if (root / IMAGES).is_dir() else []
        yield from (Finding("missing", folder.name, reason) for folder, reason in unlisted.items())
        for path in there:
            if path.stem not in rows:
                yield Finding("dropped", path.name, f"image without a row in {TABLE}: not used")


def _read_boxes(table: Path) -> Mapping[str, list[Outline]]:
    """Read the boxes of each image. Raises: DataError with file and row."""
    boxes: dict[str, list[Outline]] = defaultdict(list)
    for row in open_table(table, ("image_id", *BOX)).rows():
        left, top, right, bottom = (row.number(side, may_be_lost=True) for side in BOX)
        if all(map(math.isnan, (left, top, right, bottom))):
            continue  # the row says there is no finding
        if not (-FARTHEST < left < right < FARTHEST and -FARTHEST < top < bottom < FARTHEST):
            raise DataError(
                f"{row.where}: the box is {left, top, right, bottom}; expected xmin < xmax and ymin < ymax"
            )
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        boxes[row.word("image_id")].append(Outline(corners))
    return boxes


def _identifier(row: Row, column: str) -> str:
    """Return a cell that is a plain file name. Raises: DataError."""
    if not _ID.fullmatch(row[column]):
        raise DataError(f"{row.where}: {column} is {row[column][:40]!r}; expected letters and digits")
    return row[column]


def _choice(row: Row, column: str, choices: Mapping[str, str]) -> str:
    if row[column] not in choices:
        raise DataError(f"{row.where}: {column} is {row[column][:40]!r}; expected {' or '.join(choices)}")
    return choices[row[column]]
