"""A gaze recording on one image: samples, or fixations if the export holds only those."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat

from gazekit.errors import DataError
from gazekit.records.arrays import Floats
from gazekit.records.placement import Placement, window

Length = Annotated[FiniteFloat, Field(gt=0)]
Shown = tuple[FiniteFloat, FiniteFloat, Length, Length]
"""Left, top, width and height of an image on the screen, in pixels: an option of formats that know only the screen."""

DEGREE_OF_HEIGHT = 30 / 800
"""One degree of visual angle as a fraction of the image height, if a recording has no geometry (ours)."""
_UNEVEN = 0.01
"""Relative difference of the two scales from which an image counts as stretched."""
_ROUNDING = 1e-6
"""Pixels by which a scaled coordinate on the border may miss it."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The gaze of one reader on one image.

    Coordinates are continuous pixels of the original image: (0, 0) is the outer corner of its first pixel,
    x to the right, y down, so the centre of pixel ``i`` is ``i + 0.5``. If the format does not store the image's
    size, they are pixels of the image as displayed: then ``display_height`` is set, and :meth:`in_image_pixels`
    scales them once the size is known.

    Args:
        source: the file it was read from.
        x, y: ``[N]``; NaN where the sample was lost (blink, out of range).
        t_ms: ``[N]`` onset of each row in ms, ascending; None if the format has no time.
        duration_ms: ``[N]`` when the rows are fixations; None when they are samples.
        exam_id, view: as in the file; None if absent.
        image: name or path of the image looked at, as in the file; None if absent.
        pixels_per_degree: pixels (of x and y) per degree of visual angle; None when the geometry is unknown.
        suspect: ``[N]`` bool, samples that may have been clamped to the image border; None when the format
            does not clamp.
        on_screen: x and y are pixels of the screen: the recording does not say where the image was shown.
        display_height: height in pixels at which the image was shown, when x and y are pixels of that
            display; None when they are pixels of the original image.
        display_width: width in pixels at which it was shown; None when its aspect was kept.
        reader: who looked, as in the file; None if absent.
        centre: screen position of the middle of an image shown at its original size; None otherwise. Set with
            ``on_screen``, until the image's size is known.
        stretch: horizontal over vertical pixels per degree; not 1 if the image was shown stretched.
        of_copy: the displayed size is that of a copy in whose pixels (or mm, or fractions) x and y are. It scales them
            and tells nothing of how the image was shown: ``pixels_per_degree`` are pixels of the original.
        file: the first ``source``. It stays where a copy has another one, and tells which recordings are of one file.
        notes: remarks for the user on how it was read; sentences that do not name the recording.
        fault: why it cannot be used, such as a damaged row; then it has no rows. None for any other.
    """

    source: Path
    x: Floats
    y: Floats
    t_ms: Floats | None = None
    duration_ms: Floats | None = None
    exam_id: str | None = None
    view: str | None = None
    image: str | None = None
    pixels_per_degree: float | None = None
    suspect: NDArray[np.bool_] | None = None
    display_height: float | None = None
    on_screen: bool = False
    display_width: float | None = None
    reader: str | None = None
    centre: tuple[float, float] | None = None
    stretch: float = 1.0
    notes: tuple[str, ...] = ()
    of_copy: bool = False
    file: Path | None = field(default=None, repr=False)
    fault: str | None = None

    def __post_init__(self) -> None:
        """Remember the file. Raises: DataError if the arrays do not belong together, or time goes back."""
        named = {name: getattr(self, name) for name in ("x", "y", "t_ms", "duration_ms", "suspect")}
        rows = {name: each for name, each in named.items() if each is not None}
        shapes = {each.shape if isinstance(each, np.ndarray) else () for each in rows.values()}
        if len(shapes) > 1 or len(shapes.pop()) != 1:
            told = ", ".join(
                f"{name} {type(each).__name__} {list(getattr(each, 'shape', ()))}"
                for name, each in rows.items()
            )
            raise DataError(f"{self.source}: {told}; expected arrays of NumPy, [N] each")
        if self.t_ms is not None and bool((self.t_ms[1:] < self.t_ms[:-1]).any()):
            raise DataError(f"{self.source}: times that go back; expected ascending t_ms")
        if self.duration_ms is not None and bool((self.duration_ms < 0).any()):
            raise DataError(f"{self.source}: negative durations; expected duration_ms of at least 0")
        if self.file is None:
            object.__setattr__(self, "file", self.source)

    def __str__(self) -> str:
        """Name the file, exam, view, image and reader for messages."""
        about = [f"exam {self.exam_id}"] if self.exam_id is not None else []
        about += [f"view {self.view}"] if self.view is not None else []
        about += [f"image {self.image_name}"] if self.image is not None else []
        about += [f"reader {self.reader}"] if self.reader is not None else []
        return f"{self.source} ({', '.join(about)})" if about else str(self.source)

    @property
    def image_name(self) -> str | None:
        """The image's name with the folder that it is in, ``P1/cc.png``, whichever system wrote its path.

        An address (``https://…``) is left as it is.
        """
        if self.image is None or "://" in self.image:
            return self.image
        path = PureWindowsPath(self.image)  # splits at both / and \
        return "/".join(path.parts[bool(path.anchor) :][-2:]) or self.image

    def degree(self, image_height: float, otherwise: float | None = None) -> float:
        """Return the original pixels per degree of visual angle.

        As recorded, else ``otherwise`` (original pixels per degree), else 30/800 of ``image_height`` (pixels).

        Source: methods.md gives σ = 30/800 of the height if the geometry is unknown. Taking this length as one
        degree, so that σ is always one degree, is ours.
        """
        if self.pixels_per_degree is None:
            return DEGREE_OF_HEIGHT * image_height if otherwise is None else otherwise
        shown = image_height if self.display_height is None or self.of_copy else self.display_height
        return self.pixels_per_degree * image_height / shown

    def stretch_on(self, image_height: float, image_width: float | None) -> float:
        """Return the horizontal over vertical pixels per degree, for an image of this size in pixels.

        A stretch below 1 % is rounding and gives 1. Without the width or the displayed size, and with the size of a
        copy, the recorded stretch counts.
        """
        if image_width is None or self.display_width is None or self.display_height is None or self.of_copy:
            return self.stretch
        shown = self.stretch * (image_width / self.display_width) / (image_height / self.display_height)
        return shown if abs(shown - 1) > _UNEVEN else 1.0

    def where_shown(self, left: float, top: float, width: float, height: float) -> Recording:
        """Convert from pixels of the screen to pixels of the image as displayed.

        Args:
            left, top, width, height: the image's rectangle on the screen, in pixels of the screen.
        """
        x, y = window(left, top).apply(self.x, self.y)
        return replace(
            self, x=x, y=y, display_height=height, display_width=width, on_screen=False, centre=None
        )

    def in_image_pixels(self, image_height: float, image_width: float | None = None) -> Recording:
        """Convert to pixels of the original image.

        If the format clamps samples to the border, those on the lower border become suspect too, and with
        ``image_width`` those on the right one.

        Args:
            image_height, image_width: size of the original image in pixels.

        Raises:
            DataError: it has a fault, or the samples are pixels of the screen, and the image's place on it is unknown.
        """
        if self.fault is not None:
            raise DataError(f"{self}: {self.fault}")
        if self.on_screen and self.centre is not None and image_width is not None:
            across, down = self.centre
            left_top = window(across - image_width / 2, down - image_height / 2)
            x, y = left_top.apply(self.x, self.y)
            return replace(self, x=x, y=y, on_screen=False, centre=None)
        if self.on_screen:
            raise DataError(
                f"{self}: its samples are pixels of the screen; its place on the screen is unknown; set the "
                "reader's option shown to left, top, width and height of the image on the screen"
            )
        zoom = zoom_x = 1.0 if self.display_height is None else self.display_height / image_height
        if self.display_width is not None and image_width is not None:
            zoom_x = self.display_width / image_width
        x, y = Placement(1 / zoom_x, 1 / zoom).apply(self.x, self.y)
        suspect = self.suspect
        if suspect is not None:
            suspect = suspect | (y >= image_height - _ROUNDING)
            if image_width is not None:
                shown_width = int(image_width * zoom_x + _ROUNDING)  # the viewer truncates fractions
                suspect = suspect | (x >= shown_width / zoom_x - _ROUNDING)
        per_degree = None if self.pixels_per_degree is None else self.degree(image_height)
        return replace(
            self,
            x=x,
            y=y,
            suspect=suspect,
            pixels_per_degree=per_degree,
            stretch=self.stretch_on(image_height, image_width),
            display_height=None,
            display_width=None,
            of_copy=False,
        )
