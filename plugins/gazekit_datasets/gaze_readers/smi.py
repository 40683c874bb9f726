"""Read SMI's text exports: samples and events of the IDF Converter and of BeGaze."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from gazekit.disk.plain_text import visible
from gazekit.disk.regular_file import require_regular_file
from gazekit.errors import DataError
from gazekit.reading.table import Row, is_missing
from gazekit.records.arrays import Floats
from gazekit.records.recording import Recording, Shown
from gazekit_datasets.gaze_readers.gaze_rows import (
    Values,
    fixations,
    no_gaze,
    place,
    read_instead,
    samples,
    while_shown,
)

SIDES = {"left": "L", "right": "R"}
ENDINGS = {"samples": "Samples.txt", "fixations": "Events.txt"}
TIME, TYPE, STIMULUS = "Time", "Type", "Stimulus"
START, DURATION, LOCATION = "Start", "Duration", ("Location X", "Location Y")
_LONGEST = 2**16
_HEAD = 2**14
_PROGRAM = re.compile(rb"(?:\xef\xbb\xbf)?(?:## )?\[(?:iView|BeGaze)\]\s")
_OF_FIXATIONS = "Table Header for Fixations"
_COLUMNS = re.compile(rb"[\r\n](?:Time[\t,]Type[\t,]|Table Header for Fixations)")
_MESSAGE = re.compile(r"(?:#\s*)?Message:\s*")
_IMAGE = re.compile(r".+\.[A-Za-z][A-Za-z0-9]{1,4}")
"""A message that is the name of a file: the stimulus that appears. A suffix begins with a letter."""


@dataclass(frozen=True, slots=True)
class ExportHeader:
    """What an export says before its rows.

    Args:
        values: name of a line → its cells.
        columns: of the samples or of the fixations.
        separator: of cells.
        row: number of the line that names the columns.
        has_samples: rows are samples, and not events.
    """

    values: Mapping[str, Sequence[str]]
    columns: tuple[str, ...]
    separator: str
    row: int
    has_samples: bool

    @classmethod
    def of(cls, path: Path) -> "ExportHeader":
        """Read it. Raises: DataError."""
        values: dict[str, Sequence[str]] = {}
        for_fixations = False
        for row, line in _lines(path):
            text = line.removeprefix("\ufeff").removeprefix("##").strip()
            separator = "\t" if "\t" in text else ","
            cells = [cell.strip() for cell in text.split(separator)]
            if row == 1 and text not in ("[iView]", "[BeGaze]"):
                break
            if cells[:2] == [TIME, TYPE] or (for_fixations and cells[0] == "Event Type"):
                return cls(values, tuple(cells), separator, row, not for_fixations)
            for_fixations = text.startswith(_OF_FIXATIONS) or (for_fixations and not text)
            name, _, rest = text.partition(":")
            mark = "," if rest.startswith(",") else "\t"  # a name may hold a comma, too
            values.setdefault(name.strip(), [cell.strip() for cell in rest.strip(f" {mark}").split(mark)])
        raise DataError(
            f"{path}: not an export of samples or fixations by SMI's IDF Converter or BeGaze; expected [iView] or "
            f"[BeGaze] in the first line, then a row of columns that begins with {TIME} {TYPE}, or {_OF_FIXATIONS}"
        )

    def word(self, name: str) -> str | None:
        """Return the first cell of a line; None if it is not there or empty."""
        return next(iter(self.values.get(name, ())), "") or None

    def geometry(self) -> tuple[float | None, float]:
        """Return pixels of the screen per degree down, and those across over those down; None and 1 if unknown."""
        area, size = (self._numbers(name) for name in ("Calibration Area", "Stimulus Dimension [mm]"))
        distance = self._numbers("Head Distance [mm]")
        if len(area) != 2 or len(size) != 2 or len(distance) != 1:
            return None, 1.0
        across, down = area[0] / size[0], area[1] / size[1]
        degree = distance[0] * math.tan(math.radians(1)) * down
        stretch = across / down
        return (degree if 1 < degree < 1e4 else None), (stretch if abs(stretch - 1) > 0.01 else 1.0)

    def _numbers(self, name: str) -> list[float]:
        cells = self.values.get(name, ())
        return [float(cell) for cell in cells if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", cell) and float(cell)]

    def cells(self, text: str) -> list[str]:
        """Split a line into cells, each stripped."""
        return [cell.strip() for cell in text.split(self.separator)]

    def as_row(self, path: Path, row: int, cells: Sequence[str]) -> Row:
        """Make a row of samples or fixations. Raises: DataError if it has not a cell for each column."""
        if len(cells) == len(self.columns) + 1 and not cells[-1]:
            cells = cells[:-1]
        where = f"{path} row {row}"
        if len(cells) != len(self.columns):
            raise DataError(
                f"{where}: {len(cells)} cells; expected {len(self.columns)} like the columns in row {self.row}; export "
                "the recording again"
            )
        positions = {name: position for position, name in enumerate(self.columns)}
        return Row(where, cells, positions)

    def check(self, path: Path, needed: Iterable[str]) -> None:
        """Raise DataError unless columns are there, once each."""
        missing = [name for name in needed if self.columns.count(name) != 1]
        if missing:
            raise DataError(
                f"{path}: the columns are {visible(', '.join(self.columns))[:300]}; expected {', '.join(missing)}, "
                "once each; export them as well"
            )


Part = tuple[str | None, Floats, Floats | None]
"""An image, the time in ms, x and y of the gaze on it ``[3, N]``, and the durations of fixations ``[N]``."""


@dataclass(frozen=True, slots=True)
class PointOfRegard:
    """The columns of one eye.

    Args:
        place: x and y.
        validity: of 0 and 1; None if it is not exported.
        event: of what the program found, such as ``Blink``; None if it is not exported.
    """

    place: tuple[str, str]
    validity: str | None
    event: str | None

    @classmethod
    def of(cls, header: ExportHeader, side: str) -> "PointOfRegard":
        """Find the columns of a side, ``L`` or ``R``."""
        there = [name for name in (f"{side} Validity", f"{side} Event Info") if name in header.columns]
        validity, event = ([name for name in there if name.endswith(end)] for end in ("Validity", "Info"))
        return cls(
            (f"{side} POR X [px]", f"{side} POR Y [px]"),
            next(iter(validity), None),
            next(iter(event), None),
        )

    def gaze(self, row: Row) -> tuple[float, float] | None:
        """Return the gaze in pixels, or None where the eye was lost. Raises: DataError."""
        if self.validity is not None and row.number(self.validity, may_be_lost=True) == 0:
            return None
        if self.event is not None and row[self.event].casefold() == "blink":
            return None
        at = place(row, *self.place)
        return None if math.isnan(at[0]) or at == (0, 0) else at


class SMI:
    """Reads text that SMI's IDF Converter and BeGaze export: samples, or events with the fixations found.

    Positions are pixels of the screen (``L POR X [px]``, ``Location X``), times in µs. A message that is the name of a
    file, such as ``# Message: a_cc.jpg``, says which image appears; so does the column ``Stimulus`` of samples, and the
    line ``Stimulus`` above events. Each image shown is a recording, and gaze without one is left out; if no image is
    named, each trial is a recording. A sample is lost if its validity is 0, if it lies at (0, 0), or in a blink.

    Args:
        eye: ``"both"`` takes the mean of both eyes, or the only one recorded; ``"left"`` and ``"right"`` take that eye.
            Of fixations of both eyes, one must be chosen.
        events: which file is read where both are there, ``…Samples.txt`` and ``…Events.txt``.
        shown: left, top, width and height of the image on the screen, pixels. None: unknown.

    Source: published files of both programs; the page on this format names them.
    """

    def __init__(
        self,
        *,
        eye: Literal["both", "left", "right"] = "both",
        events: Literal["samples", "fixations"] = "samples",
        shown: Shown | None = None,
    ) -> None:
        self.sides = tuple(SIDES.values()) if eye == "both" else (SIDES[eye],)
        self.events, self.shown = events, shown

    def fits(self, path: Path) -> bool:
        """Say whether the first line is that of SMI's programs, and the columns of samples or fixations follow."""
        try:
            require_regular_file(path)
            with path.open("rb") as file:
                head = file.read(_HEAD)
        except OSError:
            return False
        return _PROGRAM.match(head) is not None and _COLUMNS.search(head) is not None

    def beside(self, path: Path) -> list[Path]:
        """Return the other file of the same gaze, if that is read instead."""
        instead = self._instead(path)
        return [] if instead is None else [instead]

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per image shown, or per trial; none if the other file of the same gaze is read.

        Raises:
            DataError: not readable, columns missing, a cell that is no number, times that go back (with row).
        """
        header = ExportHeader.of(path)
        if self._instead(path) is not None:
            return
        degree, stretch = header.geometry()
        found = self._of_samples(path, header) if header.has_samples else self._of_fixations(path, header)
        is_empty = True
        for image, rows, duration in found:
            is_empty = False
            recording = Recording(
                path,
                rows[1],
                rows[2],
                rows[0],
                duration,
                image=image,
                reader=header.word("Subject"),
                on_screen=True,
                pixels_per_degree=degree,
                stretch=stretch,
            )
            yield recording if self.shown is None else recording.where_shown(*self.shown)
        if is_empty:
            raise no_gaze(path)

    def _instead(self, path: Path) -> Path | None:
        """Return the file of the same gaze that is read instead; None if this one is."""
        twin = read_instead(path, ENDINGS, self.events)
        return twin if twin is not None and self.fits(twin) else None

    def _of_samples(self, path: Path, header: ExportHeader) -> "Iterator[Part]":
        """Yield the samples of each image, or of each trial. Raises: DataError."""
        eyes = [
            PointOfRegard.of(header, side) for side in self.sides if f"{side} POR X [px]" in header.columns
        ]
        if not eyes:
            raise DataError(
                f"{path}: the columns are {visible(', '.join(header.columns))[:300]}; expected "
                f"{' or '.join(f'{side} POR X [px]' for side in self.sides)}; export the point of regard, or set the "
                "reader's option eye"
            )
        header.check(path, [TIME, TYPE, *(name for eye in eyes for name in eye.place)])
        names_images = any(image for (_, image), _ in _looks(path, header))
        for (_, image), looks in groupby(_looks(path, header), key=lambda look: look[0]):
            if image or not names_images:
                rows = samples(((row, _mean(row, eyes)) for _, row in looks), path)
                yield image or None, rows, None

    def _of_fixations(self, path: Path, header: ExportHeader) -> "Iterator[Part]":
        """Yield the fixations on each image, or of each trial. Raises: DataError."""
        header.check(path, ("Event Type", "Trial", START, DURATION, *LOCATION))
        found: dict[str, list[tuple[Row, Values]]] = {}
        shown: list[tuple[float, str]] = []
        sides: set[str] = set()
        for number, text in _lines(path):
            cells = header.cells(text)
            if number <= header.row or len(cells) < 4:
                continue
            if cells[0] == "UserEvent" and (image := _image_in(header.separator.join(cells[4:]))):
                shown.append((_event(path, number, cells).number(START) / 1000, image))
            side = cells[0].removeprefix("Fixation ") if cells[0].startswith("Fixation ") else ""
            if side in self.sides:
                row = header.as_row(path, number, cells)
                sides.add(side)
                times = row.number(START) / 1000, row.number(DURATION) / 1000
                found.setdefault(row["Trial"], []).append((row, (*times, *place(row, *LOCATION))))
        if len(sides) > 1:
            raise DataError(
                f"{path}: fixations of both eyes; expected those of one; set the reader's option eye to left or right"
            )
        stimulus = header.word(STIMULUS)
        if not shown:
            for rows in found.values():
                t_ms, duration, x, y = fixations(rows, path)
                yield stimulus, np.stack((t_ms, x, y)), duration
            return
        t_ms, duration, x, y = fixations([row for rows in found.values() for row in rows], path)
        every = Recording(path, x, y, t_ms, duration)
        shown.sort(key=lambda each: each[0])
        for (start, image), (end, _) in pairwise([*shown, (math.inf, "")]):
            part = while_shown(every, start, end, image)
            if len(part.x) and part.t_ms is not None:
                yield image, np.stack((part.t_ms, part.x, part.y)), part.duration_ms


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers. Raises: DataError."""
    try:
        require_regular_file(path)
        with path.open("rb") as file:
            for number, raw in enumerate(iter(lambda: file.readline(_LONGEST), b""), 1):
                if len(raw) == _LONGEST or b"\0" in raw:
                    raise DataError(
                        f"{path} row {number}: no line of text; expected an export of SMI's programs in plain text"
                    )
                try:
                    text = raw.decode()
                except UnicodeDecodeError:
                    text = raw.decode("cp1252", errors="replace")
                if text := text.strip("\r\n "):
                    yield number, text
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); expected an export of SMI's programs"
        ) from None


def _looks(path: Path, header: ExportHeader) -> Iterator[tuple[tuple[int, str], Row]]:
    """Yield each sample with the number and the name of the image shown; the name is empty if there is none.

    The number changes with each image that appears, and with each trial. Raises: DataError.
    """
    number, image, before = 0, "", ""
    for line, text in _lines(path):
        if line <= header.row:
            continue
        cells = header.cells(text)
        if len(cells) < 4:
            raise DataError(
                f"{path} row {line}: {len(cells)} cells, {visible(text[:40])!r}; expected time, type, trial and more; "
                "export the recording again"
            )
        if cells[1] == "MSG" and STIMULUS not in header.columns:
            if named := _image_in(header.separator.join(cells[3:])):
                number, image = number + 1, named
        elif cells[1] == "SMP":
            row = header.as_row(path, line, cells)
            if STIMULUS in header.columns:
                image = "" if is_missing(row[STIMULUS]) else row[STIMULUS]
            now = f"{cells[2]} {image}"
            number, before = number + (now != before), now
            yield (number, image), row


def _image_in(message: str) -> str | None:
    """Return the file that a message names: the image that appears; None for other messages."""
    text = _MESSAGE.sub("", message, count=1).strip()
    return text if _IMAGE.fullmatch(text) else None


def _event(path: Path, number: int, cells: Sequence[str]) -> Row:
    """Make a row of a message among the events, whose fourth cell is its time."""
    return Row(f"{path} row {number}", cells, {START: 3})


def _mean(row: Row, eyes: Sequence[PointOfRegard]) -> Values:
    """Return time in ms and the mean of the eyes that are not lost. Raises: DataError."""
    points = [point for eye in eyes if (point := eye.gaze(row)) is not None]
    t_ms = row.number(TIME) / 1000
    if not points:
        return t_ms, math.nan, math.nan
    return t_ms, sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
