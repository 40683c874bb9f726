"""Make a negative control: a prepared data set with one thing broken, so that everything depending on it gets worse.

    python benchmarks/controls.py PREPARED OUT gaze_shuffled --split SPLIT.csv

- ``gaze_shuffled``: every exam gets the gaze of another exam, view by view.
- ``gaze_shifted``: every fixation moves by a third of the image, wrapping around its edges.
- ``order_shuffled``: every reader's fixations on an image come in random order; places and durations stay.
- ``views_mispaired``: the last view of every exam comes from another exam with the same label.

Exam ids, patients, labels and splits stay, so a study can compare the control with the original. Exchanges happen
within a part of the split, so that no breast is on two sides of it.
"""

import argparse
import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gazekit.disk.atomic import new_folder
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.exam_record import FIXATION_COLUMNS, RECORDING, SIGMA_COLUMNS
from gazekit.prepared.index import FIXATIONS, TABLE, read_table, write_table
from gazekit.prepared.splits import Split, read_split
from gazekit.prepared.verification import seal

COLUMNS = (*FIXATION_COLUMNS, *SIGMA_COLUMNS)
SHIFT = 1 / 3
"""Shift as a fraction of height and width."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "control", choices=("gaze_shuffled", "gaze_shifted", "order_shuffled", "views_mispaired")
    )
    parser.add_argument("--split", type=Path, help="split file of the study")
    arguments = parser.parse_args()
    split = read_split(arguments.split) if arguments.split else {}
    make_control(arguments.prepared, arguments.out, arguments.control, split)
    print(
        f"{arguments.out}: {arguments.control}, of {arguments.prepared}; train on it with --data {arguments.out}"
    )


def make_control(prepared: Path, out: Path, control: str, split: Split, seed: int = 0) -> None:
    """Write the control with new checksums and a new fingerprint; the folder appears when it is whole."""
    dataset = PreparedDataset.open(prepared)
    if dataset.layers is not None and control != "views_mispaired":
        raise SystemExit(f"{control}: expected gaze as fixations, but these data hold finished heat maps")
    if control == "gaze_shuffled" and not dataset.has_gaze.all():
        raise SystemExit("gaze_shuffled: expected gaze on every view of every exam")
    if control == "views_mispaired" and any(
        len(np.unique(flags[:, -1])) > 1 for flags in (dataset.has_gaze, dataset.has_mask, dataset.has_image)
    ):
        raise SystemExit(
            "views_mispaired: expected image, gaze and mask of the last view in every exam, or in none: the tables say "
            "which exams have them"
        )
    if out.exists():
        raise SystemExit(f"{out}: exists already; choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(out) as folder:
        making = folder / out.name
        shutil.copytree(prepared, making)
        _break(dataset, making, control, split, seed)
        seal(making)
        making.rename(out)


def _break(dataset: PreparedDataset, out: Path, control: str, split: Split, seed: int) -> None:
    parts = [split.get(exam_id, "") for exam_id in dataset.exam_ids]
    if control == "views_mispaired":
        last = len(dataset.views) - 1
        order = another([f"{part} {label}" for part, label in zip(parts, dataset.labels, strict=True)], seed)
        for name, stored in dataset.arrays.items():
            values = np.array(stored)
            values[:, last] = values[order, last]
            np.save(out / f"{name}.npy", values)
        move_fixations(dataset, out, order, dataset.views[-1:])
    elif control == "gaze_shuffled":
        move_fixations(dataset, out, another(parts, seed), dataset.views)
    elif control == "order_shuffled":
        shuffle_order(out, seed)
    else:
        height, width = dataset.size
        shift_fixations(dataset, out, round(SHIFT * height), round(SHIFT * width))


def another(groups: list[str], seed: int) -> np.ndarray:
    """Assign to every exam another one of its group, each used once: a random cycle through the group."""
    order = np.arange(len(groups))
    for group in sorted(set(groups)):
        if groups.count(group) == 1:
            raise SystemExit(
                f"one exam alone is in the group '{group.strip()}': there is no other to exchange it with"
            )
        members = np.random.default_rng(seed).permutation(np.flatnonzero(np.array(groups) == group))
        order[members] = np.roll(members, 1)
    return order


def move_fixations(dataset: PreparedDataset, out: Path, order: np.ndarray, views: tuple[str, ...]) -> None:
    """Give every exam the fixations of another one on some views."""
    goes_to = {dataset.exam_ids[source]: dataset.exam_ids[exam] for exam, source in enumerate(order)}
    rows = [
        row | {"exam_id": goes_to[row["exam_id"]]} if row["view"] in views else row for row in read_rows(out)
    ]
    place = {exam_id: number for number, exam_id in enumerate(dataset.exam_ids)}
    write_rows(out, sorted(rows, key=lambda row: place[row["exam_id"]]))


def shuffle_order(out: Path, seed: int) -> None:
    """Exchange the places, durations and widths of each reader's fixations on an image.

    Onsets stay in order, and every recording keeps its number of fixations.
    """
    random = np.random.default_rng(seed)
    rows = []
    for _, reading in itertools.groupby(
        read_rows(out), key=lambda row: (row["exam_id"], row["view"], row["reader"])
    ):
        own = list(reading)
        turned = [own[i] for i in random.permutation(len(own))]
        stays = ("onset_ms", RECORDING)
        rows += [other | {name: row[name] for name in stays} for row, other in zip(own, turned, strict=True)]
    write_rows(out, rows)


def shift_fixations(dataset: PreparedDataset, out: Path, down: float, right: float) -> None:
    """Move every fixation, wrapping around the image's border."""
    height, width = dataset.size
    rows = [
        row | {"x": (float(row["x"]) + right) % width, "y": (float(row["y"]) + down) % height}
        for row in read_rows(out)
    ]
    write_rows(out, rows)


def read_rows(out: Path) -> list[dict[str, Any]]:
    """The rows of the table of fixations."""
    return [{RECORDING: 0} | row for row in read_table(out / FIXATIONS, COLUMNS, TABLE)]


def write_rows(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write them back."""
    names = (*COLUMNS, RECORDING)
    write_table(out / FIXATIONS, names, ([row[name] for name in names] for row in rows))


if __name__ == "__main__":
    main()
