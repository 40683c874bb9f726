"""The made data set with views that are missing, further targets and covariates."""

import csv
from pathlib import Path

from made_data import make_folder, write_exams

import gazekit
from gazekit.prepared.dataset import PreparedDataset

DENSITY, CALCIFICATION = ("A", "B", "C"), ("no", "yes")


def prepare_visits(folder: Path) -> PreparedDataset:
    """Every fifth exam lacks ``mlo``; density, calcification and age are not known of some exams."""
    make_folder(folder / "raw")
    with (folder / "raw" / "exams.csv").open() as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        if number % 5 == 0:
            row |= {"mlo": "", "mlo_gaze": "", "mlo_mask": ""}
        row["target_density"] = "" if number % 7 == 0 else DENSITY[number % 3]
        row["target_calcification"] = "" if number % 4 == 0 else CALCIFICATION[number // 2 % 2]
        row["covariate_age"] = "" if number % 9 == 0 else str(40 + number)
    write_exams(folder / "raw", rows)
    options = {"size": 16, "crop": "none", "missing_views": "keep", "jobs": 0}
    return gazekit.prepare("folder", folder / "raw", folder / "prepared", note=lambda _: None, **options)
