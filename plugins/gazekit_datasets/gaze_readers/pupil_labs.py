"""Read exports of Pupil Labs: gaze and fixations on surfaces, in reference images, and in the scene camera's view."""

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from gazekit.disk.own_files import FileKind, read_json
from gazekit.errors import DataError
from gazekit.reading.image_size import image_size
from gazekit.reading.tables.table import Row, first_columns, is_missing, open_table
from gazekit.records.arrays import Floats
from gazekit.records.recording import Recording, Shown
from gazekit_datasets.gaze_readers.gaze_rows import (
    NOTHING,
    Values,
    fixations,
    place,
    recordings_of_runs,
    samples,
)

SECTION, WEARER = "section id", "wearer name"
SIDE = 1000.0
"""Width and height of a surface in the units of a recording: fractions of it would look like one pixel."""
CONFIDENCE, BLINK, WORN = "confidence", "blink id", "worn"
AZIMUTH, ELEVATION = "azimuth [deg]", "elevation [deg]"
_TWINS = {"gaze_positions_on_surface_": "fixations_on_surface_", "gaze.csv": "fixations.csv"}
"""Names of tables of samples → of fixations, in one export."""
_ENRICHMENT = re.compile(r"_[A-Z]+(?:-[A-Z]+)*-MAPPER_(.+?)(?:_csv)?$")
_INFO = FileKind("the info.json of a recording", 2**20, "download the recording again", linked=True)
_FEWEST = 10
"""Samples that tell pixels per degree."""
_IN_SCENE = (
    "its positions are in the picture of the scene camera, which moves with the head; map them to the image first "
    "(surface, Marker Mapper, Reference Image Mapper)"
)
_NO_PICTURE = (
    "the export's reference_image is not beside it; its positions are taken to be pixels of the image"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of table.

    Args:
        plane: what positions are in: fractions of a ``surface``, pixels of a reference ``picture`` or of the ``scene``
            camera.
        time: column of the time, or of a fixation's onset; ``per_ms`` is its units per ms.
        place: columns of x and y.
        mark: a further column that only this kind has.
        fixation: columns of a fixation's number and duration in ms; None for samples.
        rises: y grows upwards.
    """

    plane: Literal["surface", "picture", "scene"]
    time: str
    per_ms: float
    place: tuple[str, str]
    mark: str
    fixation: tuple[str, str] | None = None
    rises: bool = False

    def fits(self, columns: Iterable[str]) -> bool:
        """Say whether all columns are there."""
        return {self.time, *self.place, self.mark, *(self.fixation or ())} <= set(columns)

    @property
    def events(self) -> Literal["samples", "fixations"]:
        """Whether its rows are samples or fixations."""
        return "samples" if self.fixation is None else "fixations"


def _of_cloud(
    plane: Literal["surface", "picture", "scene"], gaze: str, fixation: str, mark: str
) -> list[Layout]:
    """Describe Pupil Cloud's tables of samples and of fixations; ``gaze`` and ``fixation`` are their columns of x."""
    stretch = ("fixation id", "duration [ms]")
    x = [(name, name.replace(" x ", " y ")) for name in (gaze, fixation)]
    return [
        Layout(plane, "timestamp [ns]", 1e6, x[0], mark.replace("*", "gaze")),
        Layout(plane, "start timestamp [ns]", 1e6, x[1], mark.replace("*", "fixation"), stretch),
    ]


LAYOUTS = (
    Layout("surface", "gaze_timestamp", 1e-3, ("x_norm", "y_norm"), "on_surf", rises=True),
    Layout(
        "surface",
        "start_timestamp",
        1e-3,
        ("norm_pos_x", "norm_pos_y"),
        "on_surf",
        ("fixation_id", "duration"),
        rises=True,
    ),
    *_of_cloud(
        "surface",
        "gaze position on surface x [normalized]",
        "fixation x [normalized]",
        "* detected on surface",
    ),
    *_of_cloud(
        "picture",
        "gaze position in reference image x [px]",
        "fixation x [px]",
        "* detected in reference image",
    ),
    *_of_cloud("scene", "gaze x [px]", "fixation x [px]", AZIMUTH),
)


class PupilLabs:
    """Reads what Pupil Player and Pupil Cloud export of Pupil Core, Invisible and Neon.

    - Core: ``gaze_positions_on_surface_NAME.csv`` and ``fixations_on_surface_NAME.csv``. Positions are fractions of the
      surface, y up, times in seconds. A fixation has a row for each frame of the scene camera and lies at their mean.
    - Cloud: ``gaze.csv`` and ``fixations.csv`` of a Marker Mapper (fractions of the surface, y down), of a Reference
      Image Mapper (pixels of the reference image), and of a recording itself (pixels of the scene camera, which are
      those of no image). Times are in ns. Each section is a recording; ``sections.csv`` names its wearer.

    The image is called as the surface is, or as the enrichment, whose name ends the export's folder. Samples and
    fixations of one export are the same gaze: one table is read.

    Args:
        events: ``"samples"`` or ``"fixations"``: which table is read where both are there.
        shown: left, top, width and height of the image in its surface (fractions, y down), in the reference image or in
            the scene camera's picture (pixels). None: the whole surface or reference image.
        confidence: samples of Core below it are lost.

    Source: https://docs.pupil-labs.com, and the tables that its tutorials show.
    """

    def __init__(
        self,
        *,
        events: Literal["samples", "fixations"] = "samples",
        shown: Shown | None = None,
        confidence: Annotated[float, Field(ge=0, le=1)] = 0.6,
    ) -> None:
        self.events, self.shown, self.confidence = events, shown, confidence

    def fits(self, path: Path) -> bool:
        """Say whether the columns are those of one kind of table."""
        return _layout(first_columns(path)) is not None

    def beside(self, path: Path) -> list[Path]:
        """Return the list of sections, the reference image, and the table that is read instead."""
        found = [*_sections(path), *_pictures(path)]
        found += [each for each in (path.with_name("info.json"),) if each.is_file()]
        twin = self._instead(path, _layout(first_columns(path)))
        return [*found, *([] if twin is None else [twin])]

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per section, in the order of the file; none if the export's other table is read.

        Raises:
            DataError: not readable, columns missing, or no recording without a fault (a torn row, a cell that is no
                number, times that go back).
        """
        table = open_table(path)
        layout = _layout(table.columns)
        if layout is None:
            raise DataError(
                f"{path}: the columns are {', '.join(table.columns)[:200]}; expected those of gaze or fixations on a "
                "surface, in a reference image or in the scene, as Pupil Labs exports them"
            )
        if self._instead(path, layout) is not None:
            return
        wearers, image = _wearers(path), _image(path, layout)

        def read(section: str, rows: Iterable[Row] | None) -> Recording:
            nothing = Recording(path, NOTHING, NOTHING)
            recording = nothing if rows is None else self._recording(path, layout, rows)
            reader = wearers.get(section, wearers.get(""))
            return self._placed(replace(recording, image=image, reader=reader), layout)

        with closing(table.rows(torn=True)) as every:
            yield from recordings_of_runs(every, _section, read, path)

    def _instead(self, path: Path, layout: Layout | None) -> Path | None:
        """Return the table of the same export that is read instead; None if this one is."""
        if layout is None or layout.events == self.events:
            return None
        for gaze, found in _TWINS.items():
            mine, other = (gaze, found) if layout.events == "samples" else (found, gaze)
            twin = path.with_name(path.name.replace(mine, other, 1))
            if path.name.startswith(mine) and twin.is_file():
                return twin if getattr(_layout(first_columns(twin)), "plane", "") == layout.plane else None
        return None

    def _recording(self, path: Path, layout: Layout, rows: Iterable[Row]) -> Recording:
        """Read the rows of a section, with y down: pixels, or thousandths of a surface. Raises: DataError."""
        duration, degree = None, None
        if layout.fixation is None:
            t_ms, x, y, angle = samples(((row, self._sample(layout, row)) for row in rows), path)
            degree = _pixels_per_degree(angle, y) if layout.plane == "scene" else None
        else:
            t_ms, duration, x, y = fixations(_fixations(layout, rows), path)
        y = 1 - y if layout.rises else y
        if layout.plane == "surface":
            x, y = SIDE * x, SIDE * y
        return Recording(path, x, y, t_ms, duration, pixels_per_degree=degree)

    def _sample(self, layout: Layout, row: Row) -> Values:
        """Return time in ms, x, y and the elevation of the gaze in degrees, NaN where it is not told."""
        t_ms, there = row.number(layout.time) / layout.per_ms, row.positions
        is_lost = (
            (CONFIDENCE in there and not row.number(CONFIDENCE, may_be_lost=True) >= self.confidence)
            or (BLINK in there and not is_missing(row[BLINK]))
            or (WORN in there and row.number(WORN, may_be_lost=True) == 0)
        )
        if is_lost:
            return t_ms, math.nan, math.nan, math.nan
        angle = row.number(ELEVATION, may_be_lost=True) if ELEVATION in there else math.nan
        return t_ms, *place(row, *layout.place), angle

    def _placed(self, recording: Recording, layout: Layout) -> Recording:
        """Say how positions become pixels of the image. Raises: DataError."""
        if layout.plane == "scene":
            recording = replace(recording, on_screen=True, notes=(_IN_SCENE,))
            return recording if self.shown is None else recording.where_shown(*self.shown)
        if self.shown is not None:
            scale = SIDE if layout.plane == "surface" else 1.0
            left, top, width, height = (scale * each for each in self.shown)
            return replace(recording.where_shown(left, top, width, height), of_copy=True)
        if layout.plane == "surface":
            return replace(recording, display_width=SIDE, display_height=SIDE, of_copy=True)
        pictures = _pictures(recording.source)
        if not pictures:
            return replace(recording, notes=(_NO_PICTURE,))
        height, width = map(float, image_size(pictures[0]))
        return replace(recording, display_width=width, display_height=height, of_copy=True)


def _layout(columns: Iterable[str]) -> Layout | None:
    return next((each for each in LAYOUTS if each.fits(columns)), None)


def _section(row: Row) -> str:
    """Return the section that a row belongs to; empty for Core, which has none. Raises: DataError."""
    return row[SECTION] if SECTION in row.positions else ""


def _fixations(layout: Layout, rows: Iterable[Row]) -> Iterator[tuple[Row, Values]]:
    """Yield onset, duration and mean place of each fixation, whose number stands in all its rows. Raises: DataError."""
    number, duration = layout.fixation or ("", "")
    found: dict[str, tuple[Row, float, float, list[tuple[float, float]]]] = {}
    for row in rows:
        times = row.number(layout.time) / layout.per_ms, row.number(duration)
        found.setdefault(row.word(number), (row, *times, []))[-1].append(place(row, *layout.place))
    for row, onset, lasted, places in found.values():
        seen = [each for each in places if not math.isnan(each[0])]
        x, y = (
            (sum(values) / len(seen) for values in zip(*seen, strict=True)) if seen else (math.nan, math.nan)
        )
        yield row, (onset, lasted, x, y)


def _image(path: Path, layout: Layout) -> str | None:
    """Return what the export calls the image: its surface, or its enrichment; None if it does not say."""
    _, named, surface = path.stem.partition("_on_surface_")
    if named:
        return surface or None
    if layout.plane == "scene" or f"{path.stem}.csv" not in (*_TWINS, *_TWINS.values()):
        return None
    folder = path.absolute().parent.name
    enrichment = _ENRICHMENT.search(folder)
    return (enrichment[1] if enrichment else folder) or None


def _sections(path: Path) -> list[Path]:
    """Return the list of sections of an export, which lies beside a table or above its folder."""
    return [each for folder in path.absolute().parents[:2] if (each := folder / "sections.csv").is_file()][:1]


def _pictures(path: Path) -> list[Path]:
    return sorted(path.parent.glob("reference_image.*"))[:1]


def _wearers(path: Path) -> dict[str, str]:
    """Map sections to wearers; "" is any section of a recording whose info.json names one. Raises: DataError."""
    found: dict[str, str] = {}
    for sections in _sections(path):
        table = open_table(sections)
        if {SECTION, WEARER} <= set(table.columns):
            found |= {row[SECTION]: row[WEARER] for row in table.rows() if row[WEARER]}
    with suppress(DataError):  # whoever looked, the gaze is there
        info: Any = read_json(path.with_name("info.json"), _INFO)
        name = info.get("wearer_name") if isinstance(info, dict) else None
        found |= {"": name} if isinstance(name, str) and name else {}
    return found


def _pixels_per_degree(angle: Floats, y: Floats) -> float | None:
    """Return pixels of the scene camera per degree down, from the elevation of the gaze; None if it tells too little.

    Args:
        angle, y: degrees and pixels, ``[N]``; NaN where lost.
    """
    told = np.isfinite(angle) & np.isfinite(y)
    if told.sum() < _FEWEST or not np.ptp(angle[told]):
        return None
    with np.errstate(all="ignore"):
        slope = abs(float(np.cov(angle[told], y[told])[0, 1] / angle[told].var(ddof=1)))
    return slope if 1 < slope < 1e4 else None
