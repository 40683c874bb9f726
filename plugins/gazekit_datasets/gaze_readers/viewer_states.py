"""Read a viewer's log as states: which image it showed, where and when."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, open_table
from gazekit.records.arrays import Floats, Integers
from gazekit.records.placement import shown_image, window
from gazekit_datasets.gaze_readers.gaze_rows import Values, samples

TIME, BOX, IMAGE = "timestamp", "box_index", "dcm_path"
WINDOW = ("box_pos_x", "box_pos_y", "box_size_w", "box_size_h")
PLACE = ("img_pos_x", "img_pos_y", "img_scale_x", "img_scale_y")
COLUMNS = (TIME, *PLACE, "img_size_w", "img_size_h", *WINDOW, BOX, IMAGE)

NOTHING = "-1"
"""Stands for an image not yet loaded; its zoom is -1."""
ZOOM = (1e-3, 1e3)
"""Screen pixels per image pixel that a viewer can show."""
MOST_BOXES = 16


@dataclass(frozen=True, slots=True)
class Followed:
    """Samples mapped to the images they lie on.

    Args:
        x, y: ``[N]`` pixels of the image; meaningless for a sample on no image.
        image: ``[N]`` position of that image in the log's ``images``; -1 for none.
        shown: ``[boxes, N]`` images on the screen at that time; -1 for a box that shows none or is mostly covered.
    """

    x: Floats
    y: Floats
    image: Integers
    shown: Integers


@dataclass(frozen=True, slots=True)
class ViewerStates:
    """The rows of a log: each says how one box shows its image from then on.

    Args:
        time: ``[S]`` ascending, in the log's unit.
        window: ``[4, S]`` left, top, width and height of the box in pixels of the screen.
        place: ``[4, S]`` left and top of the image in pixels of the screen; screen pixels per image pixel across, down.
        box: ``[S]`` number of the box.
        image: ``[S]`` position in ``images``; -1 where the box shows none.
        images: paths as the log has them, in the order in which they first appear.
    """

    time: Floats
    window: Floats
    place: Floats
    box: Floats
    image: Integers
    images: tuple[str, ...]

    def follow(self, time: Floats, x: Floats, y: Floats) -> Followed:
        """Find for every sample its box and the image there.

        Args:
            time: ``[N]`` in the log's unit.
            x, y: ``[N]`` pixels of the screen; NaN where lost.
        """
        latest = self._latest(time)  # [boxes, N]
        left, top, width, height = self.window[:, latest]  # [boxes, N] each
        across, down = window(left, top).apply(x, y)
        inside = (latest >= 0) & (across >= 0) & (across < width) & (down >= 0) & (down < height)
        row = np.where(inside, latest, -1).max(axis=0)  # [N]
        box_left, box_top = self.window[:2, row]
        image_left, image_top, *zoom = self.place[:, row]
        in_box = window(box_left, box_top)
        to_image = in_box.then(shown_image(image_left - box_left, image_top - box_top, *zoom))
        shown = np.where(latest >= 0, self.image[latest], -1)
        return Followed(*to_image.apply(x, y), np.where(row >= 0, self.image[row], -1), shown)

    def _latest(self, time: Floats) -> Integers:
        """Return the current row of each box at each time, ``[boxes, N]``; -1 before its first or under a newer box."""
        latest = np.empty((len(np.unique(self.box)), len(time)), dtype=np.int64)
        for holds, box in zip(latest, np.unique(self.box), strict=True):
            rows = np.flatnonzero(self.box == box)
            before = np.searchsorted(self.time[rows], time, side="right") - 1
            holds[:] = np.where(before >= 0, rows[before], -1)
        covered = [
            np.any([(newer > older) & (self._covered(older, newer) > 0.5) for newer in latest], axis=0)
            for older in latest
        ]
        return np.where(covered, -1, latest)

    def _covered(self, older: Integers, newer: Integers) -> Floats:
        """Return how much of some rows' boxes lies under others' boxes, as a share of their area."""
        left, top, width, height = self.window[:, older]
        over_left, over_top, over_width, over_height = self.window[:, newer]
        across = np.minimum(left + width, over_left + over_width) - np.maximum(left, over_left)
        down = np.minimum(top + height, over_top + over_height) - np.maximum(top, over_top)
        area = np.maximum(width * height, 1)
        return np.asarray(np.maximum(across, 0) * np.maximum(down, 0) / area)


def read_states(path: Path) -> ViewerStates:
    """Read a viewer's log. The viewer appends to it and repeats the header at each start.

    Raises:
        DataError: not readable, columns missing, a cell that is no number, times that go back, a zoom out of range
            (with row), more than 16 boxes.
    """
    images: dict[str, int] = {}
    table = open_table(path, COLUMNS)
    values = samples(((row, _state(row, images)) for row in table.rows(header_again=True)), path)
    box = values[9]
    if len(np.unique(box)) > MOST_BOXES:
        raise DataError(
            f"{path}: {BOX} has {len(np.unique(box))} values; expected at most {MOST_BOXES} boxes"
        )
    return ViewerStates(values[0], values[1:5], values[5:9], box, values[10].astype(np.int64), tuple(images))


def _state(row: Row, images: dict[str, int]) -> Values:
    box = [row.number(column) for column in (TIME, *WINDOW)]
    left, top, *zoom = (row.number(column) for column in PLACE)
    image = row[IMAGE]
    if image in ("", NOTHING) or zoom == [-1, -1]:
        return *box, 0.0, 0.0, 1.0, 1.0, row.number(BOX), -1
    if not ZOOM[0] <= min(zoom) <= max(zoom) <= ZOOM[1]:
        raise DataError(
            f"{row.where}: the zoom is {zoom[0]:g}, {zoom[1]:g}; expected screen pixels per image pixel between "
            f"{ZOOM[0]:g} and {ZOOM[1]:g}"
        )
    return *box, left, top, *zoom, row.number(BOX), images.setdefault(image, len(images))
