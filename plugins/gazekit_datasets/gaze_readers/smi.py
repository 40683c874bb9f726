"""Read SMI's text exports: samples and events of the IDF Converter and of BeGaze."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from gazekit.disk.plain_text import visible
from gazekit.disk.regular_file import require_regular_file
from gazekit.disk.wording import counted
from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, is_missing
from gazekit.records.recording import Recording, Shown
from gazekit_datasets.gaze_readers.gaze_rows import (
    NOTHING,
    Damage,
    DamagedTypes,
    Found,
    Values,
    fixations,
    place,
    read_instead,
    recordings_of_runs,
    recordings_with_faults,
    samples,
    while_shown,
)

SIDES = {"left": "L", "right": "R"}
ENDINGS = {"samples": "Samples.txt", "fixations": "Events.txt"}
TIME, TYPE, STIMULUS = "Time", "Type", "Stimulus"
START, DURATION, LOCATION = "Start", "Duration", ("Location X", "Location Y")
SAMPLE, MESSAGE = "SMP", "MSG"
EVENTS = (*(f"{kind} {side}" for kind in ("Fixation", "Saccade", "Blink") for side in "LRB"), "UserEvent")
"""Types of samples and messages, and of events. Events may be of further types, which say nothing about gaze."""
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
    """The lines of an export before its rows.

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
        """Make a row of samples or fixations, torn if it has not a cell for each column."""
        if len(cells) == len(self.columns) + 1 and not cells[-1]:
            cells = cells[:-1]
        positions = {name: position for position, name in enumerate(self.columns)}
        torn = ""
        if len(cells) != len(self.columns):
            torn = (
                f"{counted(len(cells), 'cell')}; expected {len(self.columns)} like the columns in row {self.row}; "
                "export the recording again"
            )
        return Row(f"{path} row {row}", cells, positions, torn=torn)

    def check(self, path: Path, needed: Iterable[str]) -> None:
        """Raise DataError unless columns are there, once each."""
        missing = [name for name in needed if self.columns.count(name) != 1]
        if missing:
            raise DataError(
                f"{path}: the columns are {visible(', '.join(self.columns))[:300]}; expected {', '.join(missing)}, "
                "once each; export them as well"
            )


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
            DataError: not readable, columns missing, or no recording without a fault (a torn row, a cell that is no
                number, times that go back).
        """
        header = ExportHeader.of(path)
        if self._instead(path) is not None:
            return
        degree, stretch = header.geometry()
        reader = header.word("Subject")
        about = Recording(
            *(path, NOTHING, NOTHING, NOTHING),
            reader=reader,
            on_screen=True,
            pixels_per_degree=degree,
            stretch=stretch,
        )
        of_events = self._of_samples if header.has_samples else self._of_fixations
        for found in of_events(header, about):
            yield found if self.shown is None else found.where_shown(*self.shown)

    def _instead(self, path: Path) -> Path | None:
        """Return the file of the same gaze that is read instead; None if this one is."""
        twin = read_instead(path, ENDINGS, self.events)
        return twin if twin is not None and self.fits(twin) else None

    def _of_samples(self, header: ExportHeader, about: Recording) -> Iterator[Recording]:
        """Yield the samples of each image, or of each trial. Raises: DataError."""
        path = about.source
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

        def read(key: tuple[int, str], rows: Iterable[Row] | None) -> Recording:
            if rows is None:
                return replace(about, image=key[1] or None)
            t_ms, x, y = samples(((row, _mean(row, eyes)) for row in rows), path)
            notes = looks.damaged.notes("export the recording again")
            return replace(about, t_ms=t_ms, x=x, y=y, image=key[1] or None, notes=notes)

        looks = _Looks(path, header, names_images=False)
        names_images = any(looks.key(row)[1] for row in looks.rows() if not row.torn)
        looks = _Looks(path, header, names_images=names_images)
        return recordings_of_runs(looks.rows(), looks.key, read, path)

    def _of_fixations(self, header: ExportHeader, about: Recording) -> Iterator[Recording]:
        """Yield the fixations on each image, or of each trial. Raises: DataError."""
        header.check(about.source, ("Event Type", "Trial", START, DURATION, *LOCATION))
        events = _Events.of(about.source, header, self.sides)
        if len(events.sides) > 1:
            raise DataError(
                f"{about.source}: fixations of both eyes; expected those of one; set the reader's option eye to left "
                "or right"
            )
        about = replace(about, notes=events.notes)
        found = (
            events.by_image(about)
            if events.shown or events.lost
            else events.by_trial(about, header.word(STIMULUS))
        )
        return recordings_with_faults(found, about.source)


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


class _Looks:
    """The samples, and on which image each is.

    Args:
        path, header: of the export.
        names_images: whether anything names an image; then gaze before the first one is left out.
    """

    def __init__(self, path: Path, header: ExportHeader, *, names_images: bool) -> None:
        self._path, self._header, self._names_images = path, header, names_images
        self._number, self._image, self._trial = 0, "", ""
        self.damaged = DamagedTypes((SAMPLE, MESSAGE))

    def key(self, row: Row) -> tuple[int, str]:
        """Return number and name of the image that the last row was on, the name empty if its trial names none.

        The number changes with each image that appears, and with each trial. Raises: DataError if the row is torn.
        """
        row[TIME]
        return self._number, self._image

    def rows(self) -> Iterator[Row]:
        """Yield the samples, and torn rows. Raises: DataError."""
        has_column = STIMULUS in self._header.columns
        begun = named = False
        for line, text in _lines(self._path):
            if line <= self._header.row:
                continue
            cells = self._header.cells(text)
            if len(cells) < 4:
                torn = f"{counted(len(cells), 'cell')}, {visible(text[:40])!r}; expected time, type, trial and more; "
                yield Row(
                    f"{self._path} row {line}", cells, {TIME: 0}, torn=f"{torn}export the recording again"
                )
            elif cells[1] == MESSAGE:
                if not has_column and (image := _image_in(self._header.separator.join(cells[3:]))):
                    self._number, self._image = self._number + 1, image
                    begun = named = True
            elif cells[1] == SAMPLE:
                row = self._header.as_row(self._path, line, cells)
                if not row.torn:
                    image = self._image if named or cells[2] == self._trial else ""
                    if has_column:
                        image = "" if is_missing(row[STIMULUS]) else row[STIMULUS]
                        begun = bool(image)
                    self._number += (cells[2], image) != (self._trial, self._image)
                    self._trial, self._image, named = cells[2], image, False
                if row.torn or begun or not self._names_images:
                    yield row
            elif self.damaged.is_near(cells[1]) or len(cells) >= len(self._header.columns):
                self.damaged.add(line, cells[1])


@dataclass(slots=True)
class _Events:
    """The fixations of an export, and the images shown.

    Args:
        fixations: trial → its rows.
        faults: trial → its first fault.
        shown: when images appeared, in ms, by time.
        lost: images of which nobody can say when they appeared, with the fault.
        damage: when rows were written that cannot be read.
        sides: of the eyes.
        notes: remarks on how the file was read.
    """

    fixations: dict[str, list[tuple[Row, Values]]] = field(default_factory=dict)
    faults: dict[str, DataError] = field(default_factory=dict)
    shown: list[tuple[float, str]] = field(default_factory=list)
    lost: list[tuple[str, DataError]] = field(default_factory=list)
    damage: Damage = field(default_factory=Damage)
    sides: set[str] = field(default_factory=set)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, header: ExportHeader, sides: Sequence[str]) -> "_Events":
        """Read them. Raises: DataError."""
        found, before, torn = cls(), None, None
        damaged = DamagedTypes(EVENTS)
        for number, text in _lines(path):
            cells = header.cells(text)
            if number <= header.row:
                continue
            if cells[0] == "UserEvent" and (image := _image_in(header.separator.join(cells[4:]))):
                found._show(image, _event(path, number, cells))
            side = cells[0].removeprefix("Fixation ") if cells[0].startswith("Fixation ") else ""
            if side not in sides:
                if cells[0] not in EVENTS and damaged.is_near(cells[0]):
                    damaged.add(number, cells[0])
                continue
            found.sides.add(side)
            row = header.as_row(path, number, cells)
            fault = found._add(row, path)
            if not row.torn:
                before, torn = row["Trial"], torn or fault
                if torn is not None:
                    found.faults.setdefault(before, torn)
                torn = None
            elif fault is not None:
                torn = torn or fault
                if before is not None:
                    found.faults.setdefault(before, fault)
        found.shown.sort(key=lambda each: each[0])
        found.notes = damaged.notes("export the recording again")
        if torn is not None and before is None:
            raise torn
        return found

    def _show(self, image: str, row: Row) -> None:
        try:
            self.shown.append((row.number(START) / 1000, image))
        except DataError as error:
            self.lost.append((image, error))
            self.damage.add(error)

    def _add(self, row: Row, path: Path) -> DataError | None:
        """Add a fixation, or return its fault."""
        try:
            values = (row.number(START) / 1000, row.number(DURATION) / 1000, *place(row, *LOCATION))
            fixations([(row, values)], path)  # one that a tracker can have written
        except DataError as error:
            self.damage.add(error)
            return error
        self.damage.whole(values[0])
        self.fixations.setdefault(row["Trial"], []).append((row, values))
        return None

    def by_trial(self, about: Recording, stimulus: str | None) -> Iterator[Found]:
        """Yield the fixations of each trial, or its fault."""
        for trial in dict.fromkeys([*self.fixations, *self.faults]):
            yield self._recording(about, self.fixations.get(trial, []), stimulus), self.faults.get(trial)

    def by_image(self, about: Recording) -> Iterator[Found]:
        """Yield the fixations on each image, or its fault.

        An image is shown until the next one is, or another trial begins. A trial that names none is a recording of
        no image.
        """
        for image, error in self.lost:
            yield replace(about, image=image), error
        rows = [row for rows in self.fixations.values() for row in rows]
        every = self._recording(about, rows, None)
        starts = sorted((values[0], row["Trial"]) for row, values in rows)
        for (start, image), (until, _) in pairwise([*self.shown, (math.inf, "")]):
            trials = [(t_ms, trial) for t_ms, trial in starts if start <= t_ms < until]
            changes = [late for (_, one), (late, other) in pairwise(trials) if one != other]
            for first, last in pairwise([start, *changes, until]):
                part = while_shown(every, first, last, image if first == start else "")
                fault = self.damage.within(first, last)
                if len(part.x) or fault is not None:
                    yield replace(part, image=part.image or None), fault

    def _recording(self, about: Recording, rows: list[tuple[Row, Values]], image: str | None) -> Recording:
        if not rows:
            return replace(about, image=image)
        t_ms, duration, x, y = fixations(rows, about.source)
        return replace(about, t_ms=t_ms, duration_ms=duration, x=x, y=y, image=image)


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
