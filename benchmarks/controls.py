"""Make a negative control: a prepared data set with one thing broken, so that everything depending on it gets worse.

    python benchmarks/controls.py PREPARED OUT gaze_shuffled --split SPLIT.csv

- ``gaze_shuffled``: every exam gets the gaze of another exam, view by view.
- ``gaze_shifted``: every heat map moves by a third of the image, wrapping around its edges.
- ``views_mispaired``: the last view of every exam comes from another exam with the same label.

Exam ids, patients, labels and splits stay, so a study can compare the control with the original. Exchanges happen
within a part of the split, so that no breast is on two sides of it.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.index import FIXATION_COLUMNS, FIXATIONS, TABLE, read_table, write_table
from gazekit.prepared.splits import Split, read_split
from gazekit.prepared.verification import seal

SHIFT = 1 / 3
"""Shift as a fraction of height and width."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("control", choices=("gaze_shuffled", "gaze_shifted", "views_mispaired"))
    parser.add_argument("--split", type=Path, help="split file of the study")
    arguments = parser.parse_args()
    split = read_split(arguments.split) if arguments.split else {}
    make_control(arguments.prepared, arguments.out, arguments.control, split)


def make_control(prepared: Path, out: Path, control: str, split: Split, seed: int = 0) -> None:
    """Write the control next to the original, with new checksums and a new fingerprint."""
    dataset = PreparedDataset.open(prepared)
    shutil.copytree(prepared, out)
    labels = dataset.labels if control == "views_mispaired" else np.zeros(len(dataset))
    parts = [split.get(exam_id, "") for exam_id in dataset.exam_ids]
    order = another([f"{part} {label}" for part, label in zip(parts, labels, strict=True)], seed)
    if control == "views_mispaired":
        last = len(dataset.views) - 1
        for name in ("images", "masks", "gaze"):
            values = np.array(getattr(dataset, name))
            values[:, last] = values[order, last]
            np.save(out / f"{name}.npy", values)
        move_fixations(dataset, out, order, dataset.views[-1:])
    elif control == "gaze_shuffled":
        if not dataset.has_gaze.all():
            raise SystemExit("gaze_shuffled: expected gaze on every view of every exam")
        np.save(out / "gaze.npy", np.array(dataset.gaze)[order])
        move_fixations(dataset, out, order, dataset.views)
    else:
        height, width = dataset.size
        down, right = round(SHIFT * height), round(SHIFT * width)
        np.save(out / "gaze.npy", np.roll(dataset.gaze, (down, right), axis=(2, 3)))
        shift_fixations(dataset, out, down, right)
    seal(out)


def another(groups: Sequence[str], seed: int) -> np.ndarray:
    """Assign to every exam another one of its group, each used once: a random cycle through the group."""
    order = np.arange(len(groups))
    for group in sorted(set(groups)):
        members = np.random.default_rng(seed).permutation(np.flatnonzero(np.array(groups) == group))
        order[members] = np.roll(members, 1)
    return order


def move_fixations(dataset: PreparedDataset, out: Path, order: np.ndarray, views: tuple[str, ...]) -> None:
    """Move fixations along with their heat maps."""
    goes_to = {dataset.exam_ids[source]: dataset.exam_ids[exam] for exam, source in enumerate(order)}
    rows = [
        row | {"exam_id": goes_to[row["exam_id"]]} if row["view"] in views else row
        for row in read_table(out / FIXATIONS, FIXATION_COLUMNS, TABLE)
    ]
    write_table(out / FIXATIONS, FIXATION_COLUMNS, ([row[name] for name in FIXATION_COLUMNS] for row in rows))


def shift_fixations(dataset: PreparedDataset, out: Path, down: float, right: float) -> None:
    """Wrap fixations around the image's border like their heat maps."""
    height, width = dataset.size
    rows = [
        row | {"x": (float(row["x"]) + right) % width, "y": (float(row["y"]) + down) % height}
        for row in read_table(out / FIXATIONS, FIXATION_COLUMNS, TABLE)
    ]
    write_table(out / FIXATIONS, FIXATION_COLUMNS, ([row[name] for name in FIXATION_COLUMNS] for row in rows))


if __name__ == "__main__":
    main()
