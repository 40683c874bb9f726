"""Map screen coordinates to image pixels, step by step: each step is an offset and a scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gazekit.records.arrays import Floats

PerSample = float | Floats


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """One step between two pixel grids: ``x' = scale_x x + offset_x``, ``y' = scale_y y + offset_y``.

    Each value is a number, or an array ``[N]`` with one value per sample if the reader zoomed or panned during the
    recording.

    Args:
        scale_x, scale_y: new units per old unit, > 0.
        offset_x, offset_y: position of the old origin, in new units.
    """

    scale_x: PerSample = 1.0
    scale_y: PerSample = 1.0
    offset_x: PerSample = 0.0
    offset_y: PerSample = 0.0

    def apply(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map points ``[N]`` to the new grid."""
        return np.asarray(self.scale_x * x + self.offset_x), np.asarray(self.scale_y * y + self.offset_y)

    def then(self, after: Placement) -> Placement:
        """Return the step that applies this one first and ``after`` second."""
        return Placement(
            after.scale_x * self.scale_x,
            after.scale_y * self.scale_y,
            after.scale_x * self.offset_x + after.offset_x,
            after.scale_y * self.offset_y + after.offset_y,
        )

    def inverse(self) -> Placement:
        """Return the inverse step."""
        return Placement(
            1 / self.scale_x, 1 / self.scale_y, -self.offset_x / self.scale_x, -self.offset_y / self.scale_y
        )


def screen(width: float, height: float) -> Placement:
    """Map fractions of the display area, (0, 0) top left, to pixels of a screen ``width`` × ``height``."""
    return Placement(scale_x=width, scale_y=height)


def window(left: PerSample, top: PerSample) -> Placement:
    """Map screen pixels to pixels of a viewport whose outer corner is at (``left``, ``top``)."""
    return Placement(offset_x=-left, offset_y=-top)


def shown_image(
    left: PerSample, top: PerSample, zoom: PerSample, zoom_y: PerSample | None = None
) -> Placement:
    """Map viewport pixels to image pixels: ``(x - left) / zoom``.

    Args:
        left, top: outer corner of the image in the viewport, in viewport pixels (negative when panned out).
        zoom: viewport pixels per image pixel, > 0.
        zoom_y: vertical zoom if it differs; None = ``zoom``.
    """
    down = zoom if zoom_y is None else zoom_y
    return Placement(1 / zoom, 1 / down, -left / zoom, -top / down)
