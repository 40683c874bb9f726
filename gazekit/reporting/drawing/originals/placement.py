"""Map the grid of a prepared image to a picture that a viewer of the original would recognise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gazekit.errors import DataError
from gazekit.records.arrays import Array, Floats
from gazekit.records.geometry import Geometry
from gazekit.records.resampling import interpolate_rows


@dataclass(frozen=True, slots=True)
class ShownPlacement:
    """The mapping from prepared pixels to a picture: unflipped, scaled, shifted.

    ``x' = left + scale_x · x``, or ``left - scale_x · x`` if flipped, and ``y' = top + scale_y · y``, both in
    continuous pixels: (0, 0) is the outer corner of the first one.

    Args:
        prepared: (height, width) of the prepared image.
        shape: (height, width) of the picture.
        scale_x, scale_y: pixels of the picture per prepared pixel.
        left, top: position of the prepared image's first corner.
        flip: left and right are exchanged.
        crop: left, top, right, bottom of the prepared part, in pixels of the picture.
    """

    prepared: tuple[int, int]
    shape: tuple[int, int]
    scale_x: float
    scale_y: float
    left: float
    top: float
    flip: bool
    crop: tuple[float, float, float, float]

    @classmethod
    def on_original(cls, geometry: Geometry, raw: tuple[int, int], shape: tuple[int, int]) -> ShownPlacement:
        """Place on the whole original, or on a copy of it in another size.

        Args:
            geometry: raw to prepared pixels.
            raw: (height, width) of the original.
            shape: size of the copy; ``raw`` for the original itself.
        """
        down, across = shape[0] / raw[0], shape[1] / raw[1]
        side = geometry.right + geometry.offset_x / geometry.scale
        if not geometry.flip:
            side = geometry.left - geometry.offset_x / geometry.scale
        return cls(
            prepared=(geometry.height, geometry.width),
            shape=shape,
            scale_x=across / geometry.scale,
            scale_y=down / geometry.scale,
            left=across * side,
            top=down * (geometry.top - geometry.offset_y / geometry.scale),
            flip=geometry.flip,
            crop=(
                across * geometry.left,
                down * geometry.top,
                across * geometry.right,
                down * geometry.bottom,
            ),
        )

    @classmethod
    def on_prepared(cls, prepared: tuple[int, int], *, flip: bool, zoom: int = 1) -> ShownPlacement:
        """Place on the prepared image itself, enlarged by a whole number and unflipped."""
        height, width = prepared[0] * zoom, prepared[1] * zoom
        left = float(width if flip else 0)
        return cls(prepared, (height, width), zoom, zoom, left, 0.0, flip, (0.0, 0.0, width, height))

    def points(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map prepared pixels to pixels of the picture."""
        across = self.scale_x * np.asarray(x, dtype=np.float64)
        across = self.left - across if self.flip else self.left + across
        return across, self.top + self.scale_y * np.asarray(y, dtype=np.float64)

    def map(self, values: Array) -> Floats:
        """Resample a map ``[h, w]`` over the prepared image to the picture; bilinear, 0 outside the crop.

        Cells have equal size over the prepared image; beyond the outermost centres the map is constant.

        Raises:
            DataError: not a map, or a value that is not finite.
        """
        cells = np.asarray(values, dtype=np.float64)
        if cells.ndim != 2 or not np.isfinite(cells).all():
            raise DataError(
                f"attention map of shape {cells.shape} is none, or has values that are not finite: expected [h, w]; "
                "the model may have diverged, train it again"
            )
        across, down = np.arange(self.shape[1]) + 0.5, np.arange(self.shape[0]) + 0.5
        x = (self.left - across if self.flip else across - self.left) / self.scale_x
        y = (down - self.top) / self.scale_y
        tall = interpolate_rows(cells, y / self.prepared[0] * cells.shape[0])
        shown = interpolate_rows(tall.T, x / self.prepared[1] * cells.shape[1]).T
        left, top, right, bottom = self.crop
        inside = np.outer((down >= top) & (down < bottom), (across >= left) & (across < right))
        return np.where(inside, shown, 0.0)
