"""A small ``folder`` data set made for tests: a bright spot in noise whose side says the label, with gaze and masks."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

VIEWS = ("cc", "mlo")


def make_folder(root: Path, exams: int = 24, size: int = 32, without_gaze: int = 2, seed: int = 0) -> Path:
    """Write PNGs, plain gaze samples, masks and ``exams.csv``; two exams per patient, the last ones without gaze."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True)
    rows = []
    for number in range(exams):
        label = number // 2 % 2
        row = {
            "exam_id": f"e{number:03d}",
            "patient_id": f"p{number // 2:03d}",
            "label": ("benign", "malignant")[label],
        }
        for view in VIEWS:
            x, y = rng.integers(6, 12) + label * (size - 18), rng.integers(6, size - 6)
            _write_view(root, row["exam_id"], view, x, y, size, rng, gaze=number < exams - without_gaze)
            row[view] = f"{row['exam_id']}_{view}.png"
            row[f"{view}_gaze"] = f"{row['exam_id']}_{view}.csv" if number < exams - without_gaze else ""
            row[f"{view}_mask"] = f"{row['exam_id']}_{view}_mask.png"
        rows.append(row)
    write_exams(root, rows)
    return root


def write_exams(root: Path, rows: list[dict[str, str]]) -> None:
    """Write the table of exams."""
    with (root / "exams.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_view(
    root: Path, exam: str, view: str, x: int, y: int, size: int, rng: np.random.Generator, *, gaze: bool
) -> None:
    pixels = rng.integers(40, 120, (size, size))
    pixels[y - 3 : y + 3, x - 3 : x + 3] += 120
    Image.fromarray(pixels.astype(np.uint8)).save(root / f"{exam}_{view}.png")
    mask = np.zeros((size, size), dtype=np.uint8)
    mask[y - 3 : y + 3, x - 3 : x + 3] = 255
    Image.fromarray(mask).save(root / f"{exam}_{view}_mask.png")
    if gaze:
        lines = ["exam_id,view,t_ms,x,y"]
        lines += [f"{exam},{view},{sample * 1000 / 60:.2f},{x + 0.5},{y + 0.5}" for sample in range(30)]
        (root / f"{exam}_{view}.csv").write_text("\n".join(lines) + "\n")
