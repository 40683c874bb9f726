"""Read eye tracking of BIDS: tables without headers, which JSON sidecars describe."""

import math
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from gazekit.disk.plain_text import visible
from gazekit.errors import DataError
from gazekit.reading.tables.table import is_missing, open_table
from gazekit.records.arrays import Floats
from gazekit.records.recording import Recording, Shown
from gazekit_datasets.gaze_readers.bids.files import PACKED, Metadata, applying, entities, is_table, metadata
from gazekit_datasets.gaze_readers.bids.screen import Screen
from gazekit_datasets.gaze_readers.bids.tables import EyeSamples, EyeTable, X, Y, events_beside, mean_of
from gazekit_datasets.gaze_readers.gaze_rows import (
    LARGEST,
    Damage,
    Found,
    believable,
    recordings_with_faults,
    while_shown,
)

CYCLOPEAN = "cyclopean"
IMAGE = "stim_file"
_BY_TRACKER = (
    "by StartTime no image was shown while gaze was recorded; onsets are taken to be of the tracker's clock"
)


class Bids:
    """Reads eye tracking of BIDS 1.11: ``…_recording-eye1_physio.tsv.gz``, packed or not, with its sidecars.

    ``Columns`` of the sidecar name ``timestamp``, ``x_coordinate`` and ``y_coordinate``, whose ``Units`` are those of
    time, and pixels or fractions of the screen. Sidecars apply by inheritance. ``StimulusPresentation`` of
    ``events.json`` gives the screen's origin and pixels per degree. Each row of ``events.tsv`` that names an image
    gives one recording: the gaze from its onset until it ends, or until the next image where its duration is 0 or n/a.
    Without such rows the file is one recording. Samples inside blinks of ``physioevents`` are lost. Tables of the
    other eyes of a run are read with the first one, and give no recordings themselves. The reader is the subject.

    Args:
        eye: ``"both"`` takes the cyclopean eye, else the mean of the eyes, or the only one; ``"left"`` and ``"right"``
            take that eye alone.
        events: ``"fixations"`` takes those that the tracker found (``physioevents``), at the mean of their samples.
        shown: left, top, width and height of the image on the screen in pixels; BIDS does not tell it.
        image_column: the column of ``events.tsv`` that names the image.
        upwards: whether y grows upwards; None: as ``ScreenOrigin`` says, which must not be the centre then.

    Source: https://bids-specification.readthedocs.io, Physiological recordings, Eye-tracking.
    """

    def __init__(
        self,
        *,
        eye: Literal["both", "left", "right"] = "both",
        events: Literal["samples", "fixations"] = "samples",
        shown: Shown | None = None,
        image_column: str = IMAGE,
        upwards: bool | None = None,
    ) -> None:
        self.eye, self.events, self.shown = eye, events, shown
        self.image_column, self.upwards = image_column, upwards

    def fits(self, path: Path) -> bool:
        """Say whether the name is that of a physiological recording, and its sidecars that of an eye tracker's."""
        try:
            return is_table(path, "physio") and path.is_file() and _is_of_eye(metadata(path, "physio"))
        except DataError:
            return "recording-eye" in path.name  # so that the fault of its sidecar is said
        except OSError:  # a folder that may not be searched
            return False

    def beside(self, path: Path) -> list[Path]:
        """Return sidecars, events, and the tables of the other eyes."""
        found: dict[Path, None] = {}
        with suppress(DataError, OSError):
            tables = [table.path for table in _tables(path)] if is_table(path, "physio") else []
            for table in tables:
                found |= dict.fromkeys([table, *applying(table, "physio", ".json")])
                events = events_beside(table)
                if events is not None:
                    found |= dict.fromkeys([events, *applying(events, "physioevents", ".json")])
            if tables:
                for ending in (".tsv", ".json"):
                    found |= dict.fromkeys(applying(path, "events", ending))
        return [each for each in found if each != path]

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per image shown, or of the whole run; none for an eye that is read with another.

        Raises:
            DataError: not readable, columns or sidecars missing, or no recording without a fault (a torn row, a cell
                that is no number, times that go back).
        """
        if not is_table(path, "physio"):
            raise DataError(
                f"{path}: not named as BIDS names eye tracking; expected a name that ends in _physio{PACKED}"
            )
        tables = self._chosen(path)
        if tables[0].path.name != path.name:
            return
        of_events = metadata(path, "events")
        screens = [Screen.of(table.path, table.about, of_events, upwards=self.upwards) for table in tables]
        eyes = [screen.apply(EyeSamples.of(table)) for screen, table in zip(screens, tables, strict=True)]
        t_ms, *durations, x, y = self._gaze(path, eyes)
        gaze = Recording(path, x, y, t_ms, durations[0] if durations else None, reader=_subject(path))
        gaze = screens[0].recording(gaze)
        start = float(eyes[0].values[0, 0]), _start_ms(path, tables[0].about)
        found = self._by_image(gaze, eyes, *start)
        for recording in recordings_with_faults(found, path):
            yield recording if self.shown is None else recording.where_shown(*self.shown)

    def _chosen(self, path: Path) -> list[EyeTable]:
        """Return the tables of the wanted eyes of a run, by name; the first speaks for all. Raises: DataError."""
        every = _tables(path)
        if self.eye == "both":
            return [each for each in every if each.eye == CYCLOPEAN][:1] or every
        wanted = [each for each in every if each.eye == self.eye]
        if not wanted:
            there = " and ".join(sorted({each.eye or "unnamed" for each in every}))
            raise DataError(
                f"{path}: RecordedEye is {visible(there)[:60]}; expected {self.eye}; set the reader's option "
                "eye, or leave it out"
            )
        return wanted[:1]

    def _gaze(self, path: Path, eyes: list[EyeSamples]) -> Floats:
        """Return time, x and y of samples, or onset, duration, x and y of fixations. Raises: DataError."""
        if self.events == "samples":
            return mean_of([eye.without_blinks() for eye in eyes])
        if len(eyes) > 1:
            raise DataError(
                f"{path}: fixations of both eyes; expected those of one; set the reader's option eye to left or right"
            )
        return eyes[0].fixations()

    def _by_image(
        self, gaze: Recording, eyes: list[EyeSamples], first_ms: float, start_ms: float
    ) -> Iterator[Found]:
        """Yield the gaze on each image shown, or all of it if the events name none, with the fault of each.

        Args:
            gaze: of the run, by the tracker's clock.
            eyes: that it is of.
            first_ms: time of the first sample of its first table, by that clock.
            start_ms: that time by the clock of the events.

        Raises:
            DataError: images were shown, and none while gaze was recorded.
        """

        def fault(first_ms: float, last_ms: float) -> DataError | None:
            return next(filter(None, (eye.fault_within(first_ms, last_ms) for eye in eyes)), None)

        shows, lost = self._shows(gaze.source)
        yield from ((replace(gaze, image=image), error) for image, error in lost)
        if not shows and not lost:
            missing = f"no event of its run names an image in the column {visible(self.image_column)[:40]}"
            notes = gaze.notes if self.image_column == IMAGE else (*gaze.notes, missing)
            yield replace(gaze, notes=notes), fault(-math.inf, math.inf)
        for to_tracker, notes in ((first_ms - start_ms, ()), (0.0, (_BY_TRACKER,))):
            parts = [
                (while_shown(gaze, onset, end, image), error or fault(onset, end))
                for onset, end, image, error in (each.later(to_tracker) for each in shows)
            ]
            if any(len(part.x) for part, _ in parts):
                yield from (
                    (replace(part, notes=(*part.notes, *notes)), error)
                    for part, error in parts
                    if len(part.x) or error is not None
                )
                return
        if not shows:
            return
        t_ms = np.zeros(0) if gaze.t_ms is None else gaze.t_ms
        raise DataError(
            f"{gaze.source}: gaze is from {start_ms / 1000:.6g} to {(start_ms + t_ms[-1] - first_ms) / 1000:.6g} s, "
            f"images from {shows[0].onset_ms / 1000:.6g} to {shows[-1].onset_ms / 1000:.6g} s; expected images shown "
            "while gaze was recorded; correct StartTime in the sidecar, or the onsets in events.tsv"
        )

    def _shows(self, path: Path) -> tuple[list["_Show"], list[tuple[str | None, DataError]]]:
        """Return the events that name an image, by onset, and the images whose events cannot be read, with the fault.

        Raises: DataError.
        """
        tables = applying(path, "events", ".tsv")
        table = open_table(tables[-1], ("onset", "duration")) if tables else None
        if table is None or self.image_column not in table.columns:
            return [], []
        found: list[tuple[float, float, str]] = []
        lost: list[tuple[str | None, DataError]] = []
        damage = Damage()
        for row in table.rows(torn=True):
            image = None
            try:
                image = row[self.image_column]
                if is_missing(image):
                    continue
                onset = row.number("onset", may_be_lost=True)
                lasted = row.number("duration", may_be_lost=True)
                believable(row, (1000 * onset, 1000 * lasted))
            except DataError as error:
                damage.add(error)
                lost.append((image, error))
                continue
            if not math.isnan(onset):
                found.append((1000 * onset, 1000 * lasted, image))
                damage.whole(1000 * onset)
        found.sort(key=lambda each: each[0])
        onsets = [onset for onset, _, _ in found]
        shows: list[_Show] = []
        gone: dict[str, float] = {}
        for onset, lasted, image in found:
            if onset >= gone.get(image, -math.inf):  # else it is still there, as at a response
                later = bisect_right(onsets, onset)
                until = onsets[later] if later < len(onsets) else math.inf
                gone[image] = onset + lasted if lasted > 0 else until
                fault = None if lasted > 0 else damage.within(onset, until)
                shows.append(_Show(onset, gone[image], image, fault))
        return shows, lost


class _Show(NamedTuple):
    """An image on the screen, by the clock of the events; with a fault if its end cannot be read."""

    onset_ms: float
    end_ms: float
    image: str
    fault: DataError | None

    def later(self, ms: float) -> "_Show":
        """Return it by a clock that is ahead by some ms."""
        return self._replace(onset_ms=self.onset_ms + ms, end_ms=self.end_ms + ms)


def _tables(path: Path) -> list[EyeTable]:
    """Return the tables of all eyes of a run, by name. Raises: DataError if this one is none."""
    run = {each for each in entities(path) if not each.startswith("recording-")}
    found: dict[frozenset[str], EyeTable] = {}
    for other in sorted({path, *path.parent.glob("*_physio.tsv*")}, key=lambda each: each.name):
        mine = {each for each in entities(other) if not each.startswith("recording-")}
        if not is_table(other, "physio") or mine != run or not (other == path or other.is_file()):
            continue
        about = metadata(other, "physio")
        if _is_of_eye(about):
            found[entities(other)] = EyeTable(other, about)  # the packed one, which is later, of two
        elif other == path:
            raise DataError(
                f"{path}: no sidecar says that it is of an eye tracker; expected PhysioType eyetrack, and Columns with "
                f"{X} and {Y}, in {path.name.partition('.')[0]}.json beside it or above it in the data set"
            )
    return list(found.values())


def _is_of_eye(about: Metadata) -> bool:
    columns = about.get("Columns")
    has_gaze = isinstance(columns, list) and X in columns and Y in columns
    return has_gaze or about.get("PhysioType") == "eyetrack"


def _subject(path: Path) -> str | None:
    return next((each for each in sorted(entities(path)) if each.startswith("sub-")), None)


def _start_ms(path: Path, about: Metadata) -> float:
    """Return the time of the first sample by the clock of the events, ms. Raises: DataError."""
    value = about.get("StartTime", 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        raise DataError(f"{path}: StartTime of its sidecar is {str(value)[:40]!r}; expected seconds")
    return 1000.0 * value
