"""The fixations of some exams, held on the device, and the gaze of a batch made from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.heat_map import (
    COLUMNS,
    DURATION,
    ONSET,
    READER,
    RECORDING,
    SIGMA_X,
    SIGMA_Y,
    SLOT,
    X,
    Y,
)
from gazekit.errors import ConfigurationError, DataError
from gazekit.feeding.random_numbers import SAMPLED_READER, random_generator
from gazekit.gaze.heat_map import NARROWEST
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.fixation_table import FixationTable
from gazekit.presets.preset import Preset
from gazekit.presets.tables import GazeSettings


@dataclass(frozen=True, slots=True, eq=False)
class StoredGaze:
    """Fixations of n exams and V views.

    Args:
        rows: ``[M + 1, 9]`` float32 on the device, image by image; the last row is NaN. See ``contracts.gaze``.
        first, number: ``[n, V]`` int64 on the device, where the rows of an image begin and how many there are.
        longest: the most rows of an image.
        slots: the most readers of an image.
        readers: names.
        of_exams: ``[n]`` the readers of each exam, as positions in ``readers``; one may be drawn from them.
        size: height and width of the images in pixels.
    """

    rows: Tensor
    first: Tensor
    number: Tensor
    longest: int
    slots: int
    readers: tuple[str, ...]
    of_exams: tuple[tuple[int, ...], ...]
    size: tuple[int, int]

    def rows_of(self, where: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The fixations of some exams, ``[B, V, F, 9]``, NaN where there are fewer than F.

        Args:
            where: ``[B]`` exams.
            drawn: ``[B]`` the only reader of each exam; None = all.
        """
        first, number = self.first[where], self.number[where]  # [B, V]
        steps = torch.arange(self.longest, device=where.device)
        index = torch.where(steps < number[..., None], first[..., None] + steps, len(self.rows) - 1)
        rows = self.rows[index]  # [B, V, F, 9]
        if drawn is not None:
            own = rows[..., READER] == drawn[:, None, None]
            rows = torch.where(own[..., None], rows, torch.nan)
            rows[..., SLOT] = torch.where(own, 0.0, torch.nan)
        return rows

    def draw(
        self, exams: NDArray[np.int64], indices: NDArray[np.int64], *, seed: int, epoch: int
    ) -> NDArray[np.float32]:
        """One reader of each exam, a function of (seed, epoch, exam), ``[B]``; -1 where nobody looked.

        Args:
            exams: ``[B]`` positions among these exams.
            indices: ``[B]`` of the same exams in their data set.
            seed, epoch: of the training.
        """
        drawn = np.full(len(exams), -1, dtype=np.float32)
        for row, (exam, index) in enumerate(zip(exams, indices, strict=True)):
            if there := self.of_exams[exam]:
                generator = random_generator(seed=seed, purpose=SAMPLED_READER, index=int(index), epoch=epoch)
                drawn[row] = there[int(generator.integers(len(there)))]
        return drawn

    def gaze(
        self, rows: Tensor, views: Sequence[str], layers: dict[str, Tensor], *, one_reader: bool
    ) -> Gaze:
        """The gaze of a batch from rows ``[B, V, F, 9]``, and finished heat maps where there are some."""
        fixations = {view: rows[:, column] for column, view in enumerate(views)}
        return Gaze(fixations, self.size, self.readers, 1 if one_reader else self.slots, layers)


def warped(rows: Tensor, theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Fixations ``[B, V, F, 9]`` where an image lands under ``theta`` ``[B, V, 2, 3]``.

    ``theta`` takes output to input coordinates in [-1, 1], as ``affine_grid`` wants it; points go the other way. Sigma
    follows the change of size; an ellipse is not turned.
    """
    height, width = size
    (a, b, left), (c, d, up) = (line.unbind(-2) for line in theta[..., None].unbind(-3))  # each [B, V, 1]
    determinant = a * d - b * c
    x = rows[..., X] * (2 / width) - 1 - left  # [B, V, F]
    y = rows[..., Y] * (2 / height) - 1 - up
    smaller = determinant.abs().rsqrt()
    out = rows.clone()
    out[..., X] = ((d * x - b * y) / determinant + 1) * (width / 2)
    out[..., Y] = ((a * y - c * x) / determinant + 1) * (height / 2)
    out[..., SIGMA_X] *= smaller
    out[..., SIGMA_Y] *= smaller
    return out


def stored_gaze(
    dataset: PreparedDataset, indices: NDArray[np.int64], preset: Preset, device: torch.device
) -> StoredGaze:
    """The fixations of some exams as the table ``gaze`` of a preset wants them.

    Raises:
        ConfigurationError: no such reader, or a choice among the fixations of data that hold finished heat maps only.
        DataError: a window of time, and no fixation has an onset.
    """
    settings = preset.gaze or GazeSettings()
    columns = np.array([dataset.views.index(view) for view in preset.views])
    table = dataset.fixation_table
    chosen = _chosen(table, settings, dataset)
    position = np.full(len(dataset), -1)
    position[indices] = np.arange(len(indices))
    view_position = np.full(len(dataset.views), -1)
    view_position[columns] = np.arange(len(columns))
    exam, view = position[chosen.exam], view_position[chosen.view]
    kept = (exam >= 0) & (view >= 0)
    image = exam[kept] * len(columns) + view[kept]
    order = np.argsort(image, kind="stable")
    image, reader = image[order], chosen.reader[kept][order]
    slot = _slots(image, reader)
    values = np.full((len(image) + 1, COLUMNS), np.nan, dtype=np.float32)
    numbers = {X: chosen.x, Y: chosen.y, ONSET: chosen.onset_ms, DURATION: chosen.duration_ms}
    numbers |= {SIGMA_X: chosen.sigma_x, SIGMA_Y: chosen.sigma_y}
    for column, of_all in numbers.items():
        values[:-1, column] = of_all[kept][order]
    values[:-1, READER], values[:-1, SLOT] = reader, slot
    values[:-1, RECORDING] = chosen.recording[kept][order]
    number = np.bincount(image, minlength=len(indices) * len(columns))
    first = np.concatenate([[0], np.cumsum(number)[:-1]])
    shape = (len(indices), len(columns))
    readers_of: list[list[int]] = [[] for _ in indices]
    pairs = np.unique(np.stack([exam[kept], chosen.reader[kept]], axis=1), axis=0)
    for of_exam, who in pairs.tolist():
        readers_of[of_exam].append(who)
    return StoredGaze(
        torch.as_tensor(values, device=device),
        torch.as_tensor(first.reshape(shape), device=device),
        torch.as_tensor(number.reshape(shape), device=device),
        longest=int(number.max(initial=0)),
        slots=int(slot.max(initial=0)) + 1,
        readers=chosen.readers,
        of_exams=tuple(map(tuple, readers_of)),
        size=dataset.size,
    )


def _chosen(table: FixationTable, settings: GazeSettings, dataset: PreparedDataset) -> FixationTable:
    """The fixations that the settings ask for, with the sigma that they ask for."""
    _check_can_choose(table, settings, dataset)
    table = of_chosen_readers(table, settings, dataset)
    kept = table.duration_ms >= settings.minimum_duration_ms
    if settings.window_ms is not None:
        begin, end = settings.window_ms
        kept &= (table.onset_ms >= begin) & (table.onset_ms < end)
    for name, unknown in unknown_times(table, settings).items():
        if len(unknown) and unknown.all():
            raise DataError(
                f"{dataset.root}: no fixation has {TIMES[name]}, which gaze.{name} needs; train without it"
            )
        kept &= ~unknown
    chosen = table.take(kept)
    if settings.sigma is None:
        return chosen
    factor = settings.sigma / dataset.settings.fixations.sigma_degrees
    narrow = factor * np.fmin.reduce(np.minimum(chosen.sigma_x, chosen.sigma_y), initial=np.inf)
    if narrow < NARROWEST:
        raise ConfigurationError(
            f"gaze.sigma = {settings.sigma:g} degrees is {narrow:.2g} pixels on the images of {dataset.root}; "
            f"expected at least {NARROWEST}: choose a larger sigma, or prepare the data with a larger --size"
        )
    return replace(chosen, sigma_x=chosen.sigma_x * factor, sigma_y=chosen.sigma_y * factor)


def of_chosen_readers(
    table: FixationTable, settings: GazeSettings, dataset: PreparedDataset
) -> FixationTable:
    """The fixations of the readers that the settings name. Raises ConfigurationError: there is no such reader."""
    if not isinstance(settings.readers, tuple):
        return table
    missing = sorted(set(settings.readers) - set(table.readers))
    if missing:
        raise ConfigurationError(
            f"gaze.readers: {dataset.root} has no reader '{missing[0]}'; there are {', '.join(table.readers[:12])}"
        )
    return table.take(np.isin(table.reader, [table.readers.index(name) for name in settings.readers]))


TIMES = {"window_ms": "an onset", "minimum_duration_ms": "a duration"}
"""Setting → the time that it needs."""


def unknown_times(table: FixationTable, settings: GazeSettings) -> dict[str, NDArray[np.bool_]]:
    """Setting that chooses by a time → the fixations, ``[M]``, that lack it: those of recordings without time."""
    found = {}
    if settings.window_ms is not None:
        found["window_ms"] = np.isnan(table.onset_ms)
    if settings.minimum_duration_ms > 0:
        found["minimum_duration_ms"] = np.isnan(table.onset_ms) & (table.duration_ms == 1)  # a weight
    return found


def _check_can_choose(table: FixationTable, settings: GazeSettings, dataset: PreparedDataset) -> None:
    """Raise ConfigurationError if fixations are to be chosen of data that hold finished heat maps only."""
    asked = settings.choices
    if not asked or not np.isnan(table.sigma_x).all():
        return
    setting = f"gaze.{asked[0]} = {getattr(settings, asked[0])!r}"
    if len(table.x):
        raise ConfigurationError(
            f"{dataset.root}: prepared by an earlier version, which kept the mean heat map of all readers only; "
            f"prepare it again to train with {setting}"
        )
    if dataset.layers is not None:
        raise ConfigurationError(
            f"{dataset.root}: holds finished heat maps and no fixations; train without {setting}"
        )


def _slots(image: NDArray[np.int64], reader: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each fixation's reader among the readers of its image, which are in order."""
    pairs, which = np.unique(np.stack([image, reader], axis=1), axis=0, return_inverse=True)
    first = np.searchsorted(pairs[:, 0], pairs[:, 0])
    return np.asarray((np.arange(len(pairs)) - first)[which.ravel()])
