"""A gaze recording on one image: samples, or fixations where the export holds only those."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat

from gazekit.errors import DataError
from gazekit.records.arrays import Floats
from gazekit.records.placement import Placement, window

Size = Annotated[FiniteFloat, Field(gt=0)]
Shown = tuple[FiniteFloat, FiniteFloat, Size, Size]
"""Left, top, width and height of an image on the screen, in pixels: an option of readers that know only the screen."""

DEGREE_OF_HEIGHT = 30 / 800
"""One degree of visual angle as a fraction of the image height, where a recording has no geometry (ours)."""
_UNEVEN = 0.01
"""Least share by which the two scales of a stretched image differ."""
_ROUNDING = 1e-6
"""Pixels by which a scaled border coordinate may miss the border."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What one reader looked at on one image.

    Coordinates are continuous pixels of the original image: (0, 0) is the outer corner of its first pixel,
    x to the right, y down, so the centre of pixel ``i`` is ``i + 0.5``. Only where the format leaves out the
    image's size are they pixels of the image as displayed: then ``display_height`` is set, and
    :meth:`in_image_pixels` scales them once the size is known.

    Args:
        source: the file it was read from.
        x, y: ``[N]``; NaN where the sample was lost (blink, out of range).
        t_ms: ``[N]`` onset of each row in ms, ascending; None if the format has no time.
        duration_ms: ``[N]`` when the rows are fixations; None when they are samples.
        exam_id, view: as the file names them; None when it does not.
        image: file name of the image looked at, as the file names it; None when it does not.
        pixels_per_degree: pixels (of x and y) per degree of visual angle; None when the geometry is unknown.
        suspect: ``[N]`` bool, samples that may have been clamped to the image border; None when the format
            does not clamp.
        on_screen: x and y are pixels of the screen, for the recording does not say where the image lay on it.
        display_height: height in pixels at which the image was shown, when x and y are pixels of that
            display; None when they are pixels of the original image.
        display_width: width in pixels at which it was shown; None when its aspect was kept.
        reader: who looked, as the file names them; None when it does not.
        centre: where the middle of the image lay on the screen, shown at its own size; None when that is not so.
            With ``on_screen``, until the image's size is known.
        stretch: pixels of the image per degree across over those down; other than 1 where it was shown stretched.
        notes: what a user should know of how it was read, in sentences that do not name it.
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

    def __str__(self) -> str:
        """The file, and whom it is about, for messages."""
        about = [f"exam {self.exam_id}"] if self.exam_id is not None else []
        about += [f"view {self.view}"] if self.view is not None else []
        about += [f"image {self.image}"] if self.image is not None else []
        about += [f"reader {self.reader}"] if self.reader is not None else []
        return f"{self.source} ({', '.join(about)})" if about else str(self.source)

    def degree(self, image_height: float, otherwise: float | None = None) -> float:
        """Original pixels per degree of visual angle.

        As recorded, else ``otherwise`` (original pixels per degree), else 30/800 of ``image_height`` (pixels).

        Source: methods.md gives σ = 30/800 of the height where the geometry is unknown; that one degree is
        that long, so that σ is always one degree, is ours.
        """
        if self.pixels_per_degree is None:
            return DEGREE_OF_HEIGHT * image_height if otherwise is None else otherwise
        shown = image_height if self.display_height is None else self.display_height
        return self.pixels_per_degree * image_height / shown

    def stretch_on(self, image_height: float, image_width: float | None) -> float:
        """Original pixels per degree across over those down, on an image of this size in pixels.

        Less than 1 % is the rounding of the sizes. Without the width, or the size at which it was shown, as recorded.
        """
        if image_width is None or self.display_width is None or self.display_height is None:
            return self.stretch
        shown = self.stretch * (image_width / self.display_width) / (image_height / self.display_height)
        return shown if abs(shown - 1) > _UNEVEN else 1.0

    def where_shown(self, left: float, top: float, width: float, height: float) -> Recording:
        """The same recording, from pixels of the screen to those of the image as displayed there.

        Args:
            left, top, width, height: where the image lay on the screen, in pixels of the screen.
        """
        x, y = window(left, top).apply(self.x, self.y)
        return replace(
            self, x=x, y=y, display_height=height, display_width=width, on_screen=False, centre=None
        )

    def in_image_pixels(self, image_height: float, image_width: float | None = None) -> Recording:
        """The same recording in pixels of the original image.

        Where the format clamps samples to the border, those on the lower border become suspect too, and
        with ``image_width`` those on the right one.

        Args:
            image_height, image_width: size of the original image in pixels.

        Raises:
            DataError: the samples are pixels of the screen, and where the image lay on it is not known.
        """
        if self.on_screen and self.centre is not None and image_width is not None:
            across, down = self.centre
            left_top = window(across - image_width / 2, down - image_height / 2)
            x, y = left_top.apply(self.x, self.y)
            return replace(self, x=x, y=y, on_screen=False, centre=None)
        if self.on_screen:
            raise DataError(
                f"{self}: its samples are pixels of the screen; expected to know where the image was shown; set the "
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
                shown_width = int(image_width * zoom_x + _ROUNDING)  # the viewer cuts the fraction off
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
        )
