"""Read recordings of MicEye, versions 1 and 2."""

import ast
import re
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from gazekit.disk.regular_file import require_regular_file
from gazekit.disk.wording import counted
from gazekit.errors import DataError
from gazekit.records.arrays import Floats
from gazekit.records.placement import shown_image
from gazekit.records.recording import Recording
from gazekit_datasets.gaze_readers.gaze_rows import LARGEST, NOTHING, fault_in

LARGEST_FILE = 64 * 2**20
"""Size limit in bytes; a day of reading stays far below it."""
LARGEST_ROW = 4 * 2**20
"""Limit in characters; more than an hour on one image at 90 Hz."""
DEEPEST = 3
"""Brackets around a coordinate: ``[[[x, y], scale], …]``."""

SMALLEST_SCALE = 1e-3
"""Display pixels per image pixel."""

_SESSION = re.compile(r"(.+?)[\s_-]*\d{4}(?:-\d{1,2}){4}")
"""``{name}{year-month-day-hour-minute}``, the name of a log; the name is the reader's."""


class MicEye:
    """Reads MicEye's ``path;class;gaze;boxes;point``, one row per image, no header, no times.

    Version 1 writes gaze as ``[[x, y], …]`` in pixels of the image displayed ``display_height`` high, so the
    recordings store that height and are scaled once the image's size is known: ``x · H / display_height``.
    It clamps samples outside the image to its border, so samples on the border are marked as suspect. Version 2 writes
    ``[[[x, y], scale], …]``, read as ``x / scale``, and no samples outside. Class, boxes and point are ignored. The
    name before the date in the log's file name is the reader.

    Args:
        display_height: ``image height`` of the MicEye configuration that recorded (version 1), pixels.

    Source: https://github.com/JamesQFreeman/MicEye, and https://github.com/YanKong0408/MicEye-v2.0
    """

    def __init__(self, *, display_height: Annotated[int, Field(gt=0)] = 800) -> None:
        self.display_height = display_height

    def fits(self, path: Path) -> bool:
        """Say whether the first row is ``path;class;[[…;…;…``."""
        try:
            require_regular_file(path)
            with path.open("rb") as file:
                start = file.read(4096).decode(errors="replace")
        except OSError:
            return False
        return re.match(r"[^\n]*;[^;\n]*;\s*\[(\[|\])", start) is not None

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per row; one with a fault for a row that is not MicEye's.

        Raises:
            DataError: not readable, too large, a row that names no image, or none without a fault (with row).
        """
        try:
            require_regular_file(path)
            if path.stat().st_size > LARGEST_FILE:
                raise DataError(
                    f"{path}: larger than {LARGEST_FILE // 2**20} MiB; expected the log of one MicEye session"
                )
            # MicEye writes in the encoding of its machine; gaze is ASCII in all of them
            lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
        except OSError as error:
            raise DataError(f"{path}: gaze cannot be read ({error.strerror}); expected a file") from error
        rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
        if not rows:
            raise DataError(f"{path}: holds no gaze; expected a row path;class;gaze;boxes;point per image")
        faults = []
        for number, line in rows:
            try:
                yield self._recording(path, number, line)
            except DataError as error:
                faults.append(error)
                if ";" not in line:
                    raise  # it names no image
                image = line.rsplit(";", 4)[0] if line.count(";") > 3 else line.partition(";")[0]
                fault, who = fault_in(path, error), _reader(path)
                yield Recording(path, NOTHING, NOTHING, image=image.strip(), reader=who, fault=fault)
        if len(faults) == len(rows):
            raise faults[0]

    def _recording(self, path: Path, number: int, line: str) -> Recording:
        cells = line.rsplit(";", 4)  # a folder may contain a semicolon, the four last cells cannot
        if len(cells) != 5:
            raise DataError(
                f"{path} row {number}: {counted(len(cells), 'cell')}; expected path;class;gaze;boxes;point of MicEye"
            )
        x, y, zoom = _gaze(cells[2], f"{path} row {number}")
        about: dict[str, Any] = {"image": cells[0].strip(), "reader": _reader(path)}
        if zoom is None:
            border = (x <= 0) | (y <= 0) | (y >= self.display_height)
            return Recording(path, x, y, suspect=border, display_height=self.display_height, **about)
        x, y = shown_image(0.0, 0.0, zoom).apply(x, y)
        return Recording(path, x, y, **about)


def _reader(path: Path) -> str | None:
    named = _SESSION.fullmatch(path.stem)
    return named[1] if named else None


def _gaze(text: str, where: str) -> tuple[Floats, Floats, Floats | None]:
    """Parse x, y ``[N]`` as written and, in version 2, the zoom of each sample ``[N]``."""
    expected = "expected [[x, y], …] or [[[x, y], scale], …] as MicEye writes it"
    try:
        points = _literal(text)
        if points and isinstance(points[0][0], list | tuple):
            x, y, zoom = np.array([(*point, scale) for point, scale in points], dtype=np.float64).T
        else:
            x, y = np.array(points, dtype=np.float64).reshape(len(points), 2).T
            zoom = None
    except (
        ValueError,
        TypeError,
        SyntaxError,
        IndexError,
        ArithmeticError,
        RecursionError,
        MemoryError,
    ) as error:
        raise DataError(
            f"{where}: the gaze cannot be parsed ({str(error).split(':')[0][:80]}); {expected}"
        ) from error
    numbers = np.concatenate([x, y] if zoom is None else [x, y, zoom])
    if not (np.abs(numbers) <= LARGEST).all() or (zoom is not None and (zoom < SMALLEST_SCALE).any()):
        raise DataError(
            f"{where}: a coordinate is beyond {LARGEST:g} or a scale is below {SMALLEST_SCALE:g}; {expected}"
        )
    return x, y, zoom


def _literal(text: str) -> list[list[Any]]:
    """Parse a Python literal; refuse beforehand one that could exhaust memory or the stack."""
    if len(text) > LARGEST_ROW:
        raise ValueError(f"longer than {LARGEST_ROW // 2**20} Mi characters")
    if max(accumulate((c in "[(") - (c in "])") for c in text), default=0) > DEEPEST:
        raise ValueError(f"more than {DEEPEST} brackets deep")
    points = ast.literal_eval(text.strip())
    if not isinstance(points, list):
        raise TypeError("not a list")
    return points
