"""A prepared data set: memory-mapped arrays and their index."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gazekit.data.geometry import Geometry
from gazekit.data.index import FIXATION_COLUMNS, FIXATIONS, INDEX, INDEX_COLUMNS, SPACING_COLUMNS, read_table
from gazekit.data.manifest import read_manifest
from gazekit.data.not_prepared import why_not_prepared
from gazekit.data.preparation_settings import PreparationSettings
from gazekit.errors import DataError
from gazekit.gaze.fixations import Fixations


@dataclass(frozen=True, eq=False)
class PreparedDataset:
    """N exams of V views, opened for reading.

    The greatest value of an array's type stands for 1.

    Args:
        root: the folder.
        settings: how it was prepared, with ``views``, ``size`` and ``dtype``.
        classes: class names; ``labels`` index them.
        images, gaze: ``[N, V, H, W]`` uint8 or uint16; gaze is zero where ``has_gaze`` is false.
        masks: ``[N, V, H, W]`` uint8, 255 in the lesion; zero where ``has_mask`` is false.
        has_gaze, has_mask: ``[N, V]`` bool.
        labels: ``[N]`` int64.
        exam_ids, patient_ids: of the exams, in order.
        split: ``"train"``, ``"val"`` or ``"test"`` per exam where the source fixed it, else None.
        datasets: part of the source that an exam comes from; empty where there is only one.
        fingerprint: of labels, arrays and settings; equal for equal data.
        modalities: of the DICOM files among the images (``"MG"``); empty where there was none.
        sides: ``"L"`` and ``"R"`` as far as they were known; None where an earlier version did not write them down.
        duplicates: exams that hold an identical image, a tuple of exam ids per image.
        geometry: raw to prepared pixels, per exam a mapping from view.
        laterality: ``"L"`` or ``"R"``, per exam a mapping from view; empty where it is not known.
        raw_size: (height, width) of the originals in pixels, likewise.
        spacing_mm: (vertical, horizontal) distance of the originals' pixel centres, likewise; absent where not known.
        image_names: image files relative to the source, per exam a mapping from view; empty where the preparation did
            not keep them.
    """

    root: Path
    settings: PreparationSettings
    classes: tuple[str, ...]
    images: NDArray[Any]
    gaze: NDArray[Any]
    masks: NDArray[np.uint8]
    has_gaze: NDArray[np.bool_]
    has_mask: NDArray[np.bool_]
    labels: NDArray[np.int64]
    exam_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    split: tuple[str, ...] | None
    datasets: tuple[str, ...]
    fingerprint: str
    modalities: tuple[str, ...] = ()
    sides: tuple[str, ...] | None = None
    duplicates: tuple[tuple[str, ...], ...] = ()
    geometry: tuple[dict[str, Geometry], ...] = field(default=(), repr=False)
    image_names: tuple[dict[str, str], ...] = field(default=(), repr=False)
    laterality: tuple[dict[str, str], ...] = field(default=(), repr=False)
    raw_size: tuple[dict[str, tuple[int, int]], ...] = field(default=(), repr=False)
    spacing_mm: tuple[dict[str, tuple[float, float]], ...] = field(default=(), repr=False)

    @classmethod
    def open(cls, root: Path | str) -> "PreparedDataset":
        """Open a prepared data set. Raises: DataError when it is none, incomplete or damaged."""
        root = Path(root)
        _check_there(root)
        manifest = read_manifest(root)
        settings = PreparationSettings.from_json(manifest["preparation"])
        classes = tuple(manifest["preparation"]["classes"])
        exams = _rows_by_exam(root, settings.views, manifest["counts"]["exams"])
        first = [rows[0] for rows in exams]
        splits = tuple(row["split"] for row in first)
        shape = (len(exams), len(settings.views), *settings.size)
        return cls(
            root=root,
            settings=settings,
            classes=classes,
            images=_array(root, "images", shape, settings.dtype),
            gaze=_array(root, "gaze", shape, settings.dtype),
            masks=_array(root, "masks", shape, "uint8"),
            has_gaze=_flags(exams, "has_gaze"),
            has_mask=_flags(exams, "has_mask"),
            labels=np.array([classes.index(row["label"]) for row in first], dtype=np.int64),
            exam_ids=tuple(row["exam_id"] for row in first),
            patient_ids=tuple(row["patient_id"] for row in first),
            split=splits if all(splits) else None,
            datasets=tuple(row["dataset"] for row in first),
            fingerprint=manifest["fingerprint"],
            modalities=tuple(manifest.get("modalities", ())),
            sides=tuple(manifest["sides"]) if "sides" in manifest else None,
            duplicates=tuple(map(tuple, manifest["duplicates"])),
            geometry=tuple({row["view"]: Geometry.from_numbers(row) for row in rows} for rows in exams),
            image_names=tuple({row["view"]: row["image"] for row in rows} for rows in exams),
            laterality=tuple({row["view"]: row["laterality"] for row in rows} for rows in exams),
            raw_size=tuple(
                {row["view"]: (int(row["raw_height"]), int(row["raw_width"])) for row in rows}
                for rows in exams
            ),
            spacing_mm=tuple(
                {row["view"]: spacing for row in rows if (spacing := _spacing(row)) is not None}
                for rows in exams
            ),
        )

    def __len__(self) -> int:
        return len(self.exam_ids)

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views, the second axis of the arrays."""
        return self.settings.views

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images in pixels."""
        return self.settings.size

    def fixations(self, exam: int, view: str) -> tuple[Fixations, ...]:
        """The fixations on one image, one item per reader, in prepared pixels; empty where there is no gaze."""
        readers = self._fixations.get((self.exam_ids[exam], view), {})
        columns = (np.array(rows, dtype=np.float64).T for rows in readers.values())
        return tuple(Fixations(*each) for each in columns)

    def readers(self, exam: int, view: str) -> tuple[str, ...]:
        """Who looked at one image, in the order of :meth:`fixations`; numbers where the recordings do not name them."""
        return tuple(self._fixations.get((self.exam_ids[exam], view), {}))

    @cached_property
    def _fixations(self) -> dict[tuple[str, str], dict[str, list[list[float]]]]:
        """(exam, view) → reader → rows of x, y, onset, duration."""
        found: dict[tuple[str, str], dict[str, list[list[float]]]] = {}
        for row in read_table(self.root / FIXATIONS, FIXATION_COLUMNS):
            readers = found.setdefault((row["exam_id"], row["view"]), {})
            numbers = [float(row[name] or "nan") for name in ("x", "y", "onset_ms", "duration_ms")]
            readers.setdefault(row["reader"], []).append(numbers)
        return found


def _check_there(root: Path) -> None:
    why = why_not_prepared(root)
    if why:
        raise DataError(f"{root}: {why}")


def _rows_by_exam(root: Path, views: tuple[str, ...], exams: int) -> list[list[dict[str, str]]]:
    rows = read_table(root / INDEX, INDEX_COLUMNS)
    expected = exams * len(views)
    if len(rows) != expected or any(row["view"] != views[i % len(views)] for i, row in enumerate(rows)):
        raise DataError(
            f"{root / INDEX}: {len(rows)} rows; expected {expected}, the views {', '.join(views)} of each of "
            f"{exams} exams; the prepared data set is damaged; prepare it again"
        )
    return [rows[i : i + len(views)] for i in range(0, len(rows), len(views))]


def _array(root: Path, name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    path = root / f"{name}.npy"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise DataError(f"{path}: missing or damaged; prepare the data set again") from None
    if array.shape != shape or array.dtype != dtype:
        raise DataError(
            f"{path}: {array.dtype} {list(array.shape)}; expected {dtype} {list(shape)}; the prepared data set "
            "is damaged; prepare it again"
        )
    return np.asarray(array)


def _spacing(row: dict[str, str]) -> tuple[float, float] | None:
    down, across = (row.get(name) for name in SPACING_COLUMNS)
    return (float(down), float(across)) if down and across else None


def _flags(exams: list[list[dict[str, str]]], name: str) -> NDArray[np.bool_]:
    return np.array([[row[name] == "1" for row in rows] for rows in exams], dtype=bool)  # [N, V]
