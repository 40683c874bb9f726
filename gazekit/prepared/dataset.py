"""A prepared data set: memory-mapped arrays and their index."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gazekit.disk.plain_text import visible
from gazekit.errors import DataError
from gazekit.gaze.fixations import Fixations
from gazekit.gaze.heat_map import heat_map, mean_heat_map
from gazekit.prepared.exam_record import IndexRow
from gazekit.prepared.fixation_table import FixationTable
from gazekit.prepared.index import FIXATIONS, INDEX, TABLE, read_fixations, read_index
from gazekit.prepared.manifest import Manifest, read_manifest
from gazekit.prepared.not_prepared import why_not_prepared
from gazekit.prepared.settings import PreparationSettings
from gazekit.prepared.stored_array import FORMER_HEAT_MAPS, HEAT_MAPS, arrays_of, shape_of, stored_array
from gazekit.prepared.stored_masks import StoredMasks
from gazekit.prepared.verification import check_content, check_file, check_sizes
from gazekit.records.arrays import Array
from gazekit.records.geometry import Geometry


@dataclass(frozen=True, eq=False, repr=False)
class PreparedDataset:
    """N exams of V views, opened for reading.

    The greatest value of an array's type stands for 1.

    Args:
        root: the folder.
        settings: how it was prepared, with ``views``, ``size`` and ``dtype``.
        classes: class names; ``labels`` index them.
        images: ``[N, V, H, W]``, in colour ``[N, V, 3, H, W]``, uint8 or uint16.
        masks: ``[N, V, H, W]`` uint8, 255 in the lesion; zero where ``has_mask`` is false.
        has_gaze, has_mask: ``[N, V]`` bool.
        has_image: ``[N, V]`` bool, false where an exam lacks a view; its pixels are zero.
        labels: ``[N]`` int64.
        exam_ids, patient_ids: of the exams, in order.
        parts: ``"train"``, ``"val"`` or ``"test"`` per exam where the source fixed it, else None.
        datasets: part of the source that an exam comes from; empty where there is only one.
        fingerprint: of labels, arrays and settings; equal for equal data.
        modalities: of the DICOM files among the images (``"MG"``); empty where there was none.
        sides: ``"L"`` and ``"R"`` as far as they were known; None where an earlier version did not write them down.
        layers: finished heat maps ``[N, V, H, W]`` like ``images``, zero where an exam has none; None where the data
            bring no such.
        duplicates: exams that hold an identical image, a tuple of exam ids per image.
        geometry: raw to prepared pixels, per exam a mapping from view.
        laterality: ``"L"`` or ``"R"``, per exam a mapping from view; empty where it is not known.
        raw_size: (height, width) of the originals in pixels, likewise.
        spacing_mm: (vertical, horizontal) distance of the originals' pixel centres, likewise; absent where not known.
        targets: further target → ``[N]`` int64, -1 where it is not known; ``target_classes`` names the classes.
        covariates: name → ``[N]`` float64, NaN where it is not known.
        image_names: image files relative to the source, per exam a mapping from view; empty where the preparation did
            not keep them.
    """

    root: Path
    settings: PreparationSettings
    classes: tuple[str, ...]
    images: Array
    masks: NDArray[np.uint8] | StoredMasks
    has_gaze: NDArray[np.bool_]
    has_mask: NDArray[np.bool_]
    has_image: NDArray[np.bool_]
    labels: NDArray[np.int64]
    exam_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    parts: tuple[str, ...] | None
    datasets: tuple[str, ...]
    fingerprint: str
    modalities: tuple[str, ...] = ()
    sides: tuple[str, ...] | None = None
    layers: Array | None = field(default=None, repr=False)
    duplicates: tuple[tuple[str, ...], ...] = ()
    geometry: tuple[dict[str, Geometry], ...] = field(default=(), repr=False)
    image_names: tuple[dict[str, str], ...] = field(default=(), repr=False)
    laterality: tuple[dict[str, str], ...] = field(default=(), repr=False)
    raw_size: tuple[dict[str, tuple[int, int]], ...] = field(default=(), repr=False)
    spacing_mm: tuple[dict[str, tuple[float, float]], ...] = field(default=(), repr=False)
    target_classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    targets: dict[str, NDArray[np.int64]] = field(default_factory=dict, repr=False)
    covariates: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, root: Path | str) -> "PreparedDataset":
        """Open a prepared data set.

        The sizes of the files and the checksum of the index are compared with the manifest; ``check_content`` also
        compares every pixel.

        Raises: DataError when it is none, incomplete or damaged.
        """
        root = Path(root)
        _check_there(root)
        manifest = read_manifest(root)
        settings = manifest.settings
        earlier = "layout" not in manifest.preparation
        arrays = {}
        for name in arrays_of(manifest.preparation):
            shape = (manifest.counts.exams, *shape_of(name, settings, earlier=earlier))
            dtype = "uint8" if name == "masks" else settings.dtype
            arrays[name] = stored_array(root / f"{name}.npy", shape, dtype)
        check_sizes(root, manifest)
        exams = _rows_by_exam(root, manifest)
        first, masks = [rows[0] for rows in exams], arrays["masks"]
        number = {name: label for label, name in enumerate(manifest.classes)}
        parts = tuple(row.part for row in first)
        return cls(
            root=root,
            settings=settings,
            classes=manifest.classes,
            images=arrays["images"],
            masks=masks if earlier else StoredMasks(masks, settings.size[1]),
            layers=arrays.get(HEAT_MAPS, arrays.get(FORMER_HEAT_MAPS)),
            has_gaze=_flags(exams, "has_gaze"),
            has_mask=_flags(exams, "has_mask"),
            has_image=_flags(exams, "has_image"),
            labels=np.array([number[row.label] for row in first], dtype=np.int64),
            exam_ids=tuple(row.exam_id for row in first),
            patient_ids=tuple(row.patient_id for row in first),
            parts=parts if all(parts) else None,
            datasets=tuple(row.dataset for row in first),
            fingerprint=manifest.fingerprint,
            modalities=tuple(manifest.modalities),
            sides=None if manifest.sides is None else tuple(manifest.sides),
            duplicates=tuple(map(tuple, manifest.duplicates)),
            geometry=tuple({row.view: row.geometry for row in rows} for rows in exams),
            image_names=tuple({row.view: row.image for row in rows} for rows in exams),
            laterality=tuple({row.view: row.laterality for row in rows} for rows in exams),
            raw_size=tuple({row.view: (row.raw_height, row.raw_width) for row in rows} for rows in exams),
            spacing_mm=tuple(
                {row.view: row.spacing_mm for row in rows if row.spacing_mm is not None} for rows in exams
            ),
            target_classes=manifest.targets,
            targets=_targets(root, first, manifest.targets),
            covariates={
                name: np.array([row.covariates.get(name, np.nan) for row in first])
                for name in manifest.covariates
            },
        )

    def __len__(self) -> int:
        return len(self.exam_ids)

    def __repr__(self) -> str:
        return f"PreparedDataset({', '.join(f'{name}={value}' for name, value in self._summary().items())})"

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        rows = (
            f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in self._summary().items()
        )
        return f"<table>{''.join(rows)}</table>"

    def _summary(self) -> dict[str, str]:
        """Describe the contents, without ids of exams or patients."""
        counts = np.bincount(self.labels, minlength=len(self.classes)).tolist()
        return {
            "exams": str(len(self)),
            "patients": str(len(set(self.patient_ids))),
            "views": ", ".join(self.views),
            "size": " × ".join(map(str, self.size)),
            "classes": ", ".join(f"{name}: {n}" for name, n in zip(self.classes, counts, strict=True)),
            "with gaze": f"{int(self.has_gaze.any(axis=1).sum())} exams",
        }

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views, the second axis of the arrays."""
        return self.settings.views

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images in pixels."""
        return self.settings.size

    def known_of(self, exam: int) -> tuple[dict[str, str], dict[str, float]]:
        """The further targets and the covariates of one exam that are known."""
        targets = {
            name: self.target_classes[name][labels[exam]]
            for name, labels in self.targets.items()
            if labels[exam] >= 0
        }
        numbers = {name: float(values[exam]) for name, values in self.covariates.items()}
        return targets, {name: number for name, number in numbers.items() if not np.isnan(number)}

    @property
    def arrays(self) -> dict[str, Any]:
        """The arrays by name as they are stored, in the order in which they are hashed."""
        names = arrays_of(read_manifest(self.root).preparation)
        masks = self.masks.stored if isinstance(self.masks, StoredMasks) else self.masks
        held = {"images": self.images, "masks": masks}
        return {name: held.get(name, self.layers) for name in names}

    @property
    def split(self) -> tuple[str, ...] | None:
        """The name of ``parts`` until 0.1."""
        warnings.warn(
            "PreparedDataset.split is now parts; it goes in the next release", FutureWarning, stacklevel=2
        )
        return self.parts

    @property
    def gaze(self) -> Array:
        """Heat maps ``[N, V, H, W]`` as whole numbers, all of them at once; until 0.1 the set stored them."""
        warnings.warn(
            "PreparedDataset.gaze is now heat_map(exam, view), made from fixations; it goes in the next release",
            FutureWarning,
            stacklevel=2,
        )
        scale = float(np.iinfo(self.images.dtype).max)
        maps = [[self.heat_map(exam, view) for view in self.views] for exam in range(len(self))]
        return np.rint(np.array(maps) * scale).astype(self.images.dtype)

    def heat_map(self, exam: int, view: str, *, readers: Sequence[str] | None = None) -> NDArray[np.float32]:
        """The mean heat map of the readers of one image, ``[H, W]`` in [0, 1]; zero where there is no gaze.

        Args:
            exam: position in the data set.
            view: of the image.
            readers: only these; None takes all.
        """
        column = self.views.index(view)
        table = self.fixation_table.take(self._rows(exam, view))
        maps = []
        for reader in dict.fromkeys(table.reader[~np.isnan(table.sigma_x)].tolist()):
            if readers is None or table.readers[reader] in readers:
                own = table.take(table.reader == reader)
                sigma = (own.sigma_x, own.sigma_y)  # recordings of one reader may differ in it
                maps.append(heat_map(own.x, own.y, own.duration_ms, shape=self.size, sigma=sigma))
        if maps:
            return mean_heat_map(maps)
        if self.layers is None or readers is not None:
            return np.zeros(self.size, dtype=np.float32)
        scale = np.float32(np.iinfo(self.layers.dtype).max)
        return np.asarray(self.layers[exam, column] / scale, dtype=np.float32)

    def fixations(self, exam: int, view: str) -> tuple[Fixations, ...]:
        """The fixations on one image, one item per reader, in prepared pixels; empty where there is no gaze."""
        table = self.fixation_table.take(self._rows(exam, view))
        of_readers = (table.reader == reader for reader in dict.fromkeys(table.reader.tolist()))
        return tuple(
            Fixations(each.x, each.y, each.onset_ms, each.duration_ms, each.recording)
            for each in map(table.take, of_readers)
        )

    def readers(self, exam: int, view: str) -> tuple[str, ...]:
        """Who looked at one image, in the order of :meth:`fixations`; numbers where the recordings do not name them."""
        table = self.fixation_table
        return tuple(table.readers[i] for i in dict.fromkeys(table.reader[self._rows(exam, view)].tolist()))

    @cached_property
    def fixation_table(self) -> FixationTable:
        """All fixations.

        Raises:
            DataError: the table is damaged, or names an exam or view that there is not.
        """
        check_file(self.root, FIXATIONS, read_manifest(self.root))
        exams = {name: number for number, name in enumerate(self.exam_ids)}
        views = {name: number for number, name in enumerate(self.views)}
        try:
            return FixationTable.of_rows(
                (exams[row.exam_id], views[row.view], *row[2:]) for row in read_fixations(self.root)
            )
        except KeyError as error:
            raise DataError(
                f"{self.root / FIXATIONS}: {visible(str(error))} is no exam or view of the index; {TABLE.remedy}"
            ) from None

    def _rows(self, exam: int, view: str) -> NDArray[np.int64]:
        """Where the fixations on one image are in the table."""
        return self._rows_by_image.get((exam, self.views.index(view)), np.empty(0, dtype=np.int64))

    @cached_property
    def _rows_by_image(self) -> dict[tuple[int, int], NDArray[np.int64]]:
        table = self.fixation_table
        if not len(table.exam):
            return {}
        image = table.exam * len(self.views) + table.view
        order = np.argsort(image, kind="stable")
        numbers, first = np.unique(image[order], return_index=True)
        parts = np.split(order, first[1:])
        return {divmod(int(n), len(self.views)): part for n, part in zip(numbers, parts, strict=True)}

    @cached_property
    def is_checked(self) -> bool:
        """True, once labels, patients and every pixel are known to be those that were prepared.

        They are hashed, as fast as the disk and one core allow, the first time that this is asked.

        Raises:
            DataError: they are others.
        """
        check_content(self.root, read_manifest(self.root), self)
        return True


def _check_there(root: Path) -> None:
    why = why_not_prepared(root)
    if why:
        raise DataError(f"{root}: {why}")


def _rows_by_exam(root: Path, manifest: Manifest) -> list[list[IndexRow]]:
    check_file(root, INDEX, manifest)
    views, classes, exams = manifest.settings.views, manifest.classes, manifest.counts.exams
    rows = read_index(root, exams * len(views))
    for number, row in enumerate(rows):
        exam, view = divmod(number, len(views))
        first = rows[exam * len(views)]
        if row.view != views[view] or row.exam_id != first.exam_id:
            raise DataError(
                f"{root / INDEX}: row {number + 2}: exam {visible(row.exam_id)}, view {visible(row.view)}; expected "
                f"the views {', '.join(views)} of each exam in a row each; {TABLE.remedy}"
            )
        if row.label not in classes:
            raise DataError(
                f"{root / INDEX}: row {number + 2}: label '{visible(row.label)}'; expected one of "
                f"{', '.join(classes)}; {TABLE.remedy}"
            )
    ids = [row.exam_id for row in rows[:: len(views)]]
    if len(set(ids)) < len(ids):
        raise DataError(f"{root / INDEX}: an exam comes twice; expected each exam_id once; {TABLE.remedy}")
    return [rows[i : i + len(views)] for i in range(0, len(rows), len(views))]


def _flags(exams: list[list[IndexRow]], name: str) -> NDArray[np.bool_]:
    return np.array(
        [[str(getattr(row, name)) == "1" for row in rows] for rows in exams], dtype=bool
    )  # [N, V]


def _targets(
    root: Path, exams: list[IndexRow], classes: dict[str, tuple[str, ...]]
) -> dict[str, NDArray[np.int64]]:
    """Further target → ``[N]`` labels, -1 where not known. Raises DataError: an exam names no class of it."""
    found = {}
    for target, names in classes.items():
        number = {name: label for label, name in enumerate(names)}
        labels = [row.targets.get(target, "") for row in exams]
        wrong = next((label for label in labels if label and label not in number), None)
        if wrong is not None:
            raise DataError(
                f"{root / INDEX}: {target} is '{visible(wrong)}'; expected one of {', '.join(names)}; {TABLE.remedy}"
            )
        found[target] = np.array([number.get(label, -1) for label in labels], dtype=np.int64)
    return found
