"""The screen of a BIDS recording: where its coordinates begin, their unit, and pixels per degree."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gazekit.errors import DataError
from gazekit.records.recording import Recording
from gazekit_datasets.gaze_readers.bids.files import Metadata
from gazekit_datasets.gaze_readers.bids.tables import EyeSamples, X, Y, unit_of

PIXELS = ("pixel", "pixels", "px")
FRACTIONS = ("1", "normalized", "normalised", "fraction")
_ON_SCREEN = "gaze-on-screen"
_UNEVEN = 0.01
"""Relative difference of two scales from which pixels count as stretched: below it, the screen's size was rounded."""
_NO_ORIGIN = "no sidecar gives the screen's origin (ScreenOrigin); taken to be its top left corner"


@dataclass(frozen=True, slots=True)
class Screen:
    """How coordinates become pixels of the screen, from its top left corner, y down.

    Args:
        scale, offset: of x and y: ``pixels = scale * recorded + offset``.
        pixels_per_degree: down; None if unknown.
        stretch: pixels per degree across, over those down.
        notes: remarks for the user.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    pixels_per_degree: float | None
    stretch: float
    notes: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, about: Metadata, of_events: Metadata, *, upwards: bool | None) -> "Screen":
        """Find the screen in the sidecars of samples and events.

        Args:
            path: the table of samples, for messages.
            about, of_events: merged sidecars.
            upwards: whether y grows upwards; None: as the origin says.

        Raises:
            DataError: not gaze on a screen, another unit, or an origin that leaves the direction open.
        """
        system = about.get("SampleCoordinateSystem", _ON_SCREEN)
        if system != _ON_SCREEN:
            raise DataError(
                f"{path}: SampleCoordinateSystem is {str(system)[:40]!r}; expected {_ON_SCREEN}; map the gaze to the "
                "screen first"
            )
        shown = of_events.get("StimulusPresentation")
        shown = shown if isinstance(shown, dict) else {}
        pixels, metres = (_pair(shown.get(f"Screen{name}")) for name in ("Resolution", "Size"))
        fractions = _are_fractions(path, about)
        across, down, notes = _origin(path, about, shown)
        if upwards is None and down == "center":
            raise DataError(
                f"{path}: ScreenOrigin is the centre, which leaves open whether y grows upwards; set the option "
                "upwards to true or false"
            )
        rises = down == "bottom" if upwards is None else upwards
        if pixels is None and (fractions or across == "center" or down != "top"):
            raise DataError(
                f"{path}: no events.json gives StimulusPresentation.ScreenResolution, which these coordinates need; "
                "expected [width, height] in pixels; add it"
            )
        width, height = pixels or (math.nan, math.nan)
        scale = (width, height) if fractions else (1.0, 1.0)
        starts = {"left": 0.0, "top": 0.0, "center": 0.5, "bottom": 1.0}
        offset = tuple(
            starts[at] * side if starts[at] else 0.0 for at, side in ((across, width), (down, height))
        )
        degree, stretch = _degree(pixels, metres, shown.get("ScreenDistance"))
        return cls(
            (scale[0], -scale[1] if rises else scale[1]), (offset[0], offset[1]), degree, stretch, notes
        )

    def apply(self, eye: EyeSamples) -> EyeSamples:
        """Map the samples of an eye from what was recorded to pixels of the screen."""
        t_ms, *where = eye.values
        pixels = (
            scale * each + offset for scale, each, offset in zip(self.scale, where, self.offset, strict=True)
        )
        return replace(eye, values=np.stack((t_ms, *pixels)))

    def recording(self, recording: Recording) -> Recording:
        """Add the geometry and the remarks to a recording in pixels of the screen."""
        return replace(
            recording,
            on_screen=True,
            pixels_per_degree=self.pixels_per_degree,
            stretch=self.stretch,
            notes=(*self.notes, *recording.notes),
        )


def _are_fractions(path: Path, about: Metadata) -> bool:
    """Say whether coordinates are fractions of the screen, and not pixels. Raises: DataError."""
    whole = next((about[k] for k in ("SampleCoordinateUnits", "SampleCoordinateUnit") if k in about), "")
    units = {unit_of(about, column) or str(whole) or "not given" for column in (X, Y)}
    if units <= set(PIXELS):
        return False
    if units <= set(FRACTIONS):
        return True
    raise DataError(
        f"{path}: the units of {X} and {Y} in its sidecar are {' and '.join(sorted(units))[:60]!r}; expected pixel, or "
        "1 for fractions of the screen; correct Units, or convert the coordinates"
    )


def _origin(path: Path, about: Metadata, shown: Mapping[str, object]) -> tuple[str, str, tuple[str, ...]]:
    """Return the side from which x counts and that of y, ``center`` too, and a remark if nobody says it.

    Raises: DataError.
    """
    said = shown.get("ScreenOrigin", about.get("EnvironmentCoordinates"))
    if said is None or said == "n/a":
        return "left", "top", (_NO_ORIGIN,)
    listed = said.split("-") if isinstance(said, str) else said if isinstance(said, list) else []
    words = [str(word).casefold().replace("centre", "center") for word in listed]
    words = words * 2 if words == ["center"] else words
    down = [word for word in words if word in ("top", "bottom")] or words.count("center") * ["center"]
    across = [word for word in words if word == "left"] or words.count("center") * ["center"]
    if len(words) != 2 or not down or not across:
        raise DataError(
            f"{path}: ScreenOrigin is {str(said)[:60]!r}; expected ['top', 'left'], ['bottom', 'left'] or ['center', "
            "'center']; correct it in events.json"
        )
    return across[0], down[0], ()


def _degree(
    pixels: tuple[float, float] | None, metres: tuple[float, float] | None, distance: object
) -> tuple[float | None, float]:
    """Return pixels per degree down, and those across over those down; None and 1 if unknown."""
    if isinstance(distance, list) and len(distance) == 3:
        distance = distance[2]  # across, down, and from the screen
    if pixels is None or metres is None:
        return None, 1.0
    across, down = (count / side for count, side in zip(pixels, metres, strict=True))
    stretch = across / down if abs(across / down - 1) > _UNEVEN else 1.0
    if isinstance(distance, bool) or not isinstance(distance, int | float) or not 0 < distance < math.inf:
        return None, stretch
    degree = distance * math.tan(math.radians(1)) * down
    return (degree if 1 < degree < 1e4 else None), stretch


def _pair(value: object) -> tuple[float, float] | None:
    """Return width and height; None for anything but two positive numbers."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    numbers = [float(each) for each in value if isinstance(each, int | float) and 0 < each < 1e9]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None
