"""Map pixels of the raw image to the prepared one and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import floor

import numpy as np
from numpy.typing import NDArray

from gazekit.records.arrays import Floats
from gazekit.records.resampling import resampling_matrix


@dataclass(frozen=True, slots=True)
class Geometry:
    """Crop, flip, one scale for both axes, padding: an affine map of raw to prepared pixels.

    ``x' = scale · (x - left) + offset_x``, or ``scale · (right - x) + offset_x`` when flipped, and
    ``y' = scale · (y - top) + offset_y``. Coordinates are continuous: (0, 0) is the outer corner of the first
    pixel, the centre of pixel i is i + 0.5.

    Args:
        left, top, right, bottom: the crop in raw pixels, right and bottom exclusive.
        flip: left and right are exchanged.
        scale: prepared pixels per raw pixel.
        offset_x, offset_y: padding left of and above the crop, whole prepared pixels.
        width, height: size of the prepared image.
    """

    left: int
    top: int
    right: int
    bottom: int
    flip: bool
    scale: float
    offset_x: int
    offset_y: int
    width: int
    height: int

    @classmethod
    def fit(
        cls,
        box: tuple[int, int, int, int],
        size: tuple[int, int],
        *,
        flip: bool = False,
        keep_left: bool = False,
        scale: float | None = None,
    ) -> Geometry:
        """Return the geometry of a crop at a scale, by default the largest at which it fits into the prepared size.

        Args:
            box: left, top, right, bottom in raw pixels.
            size: (height, width) of the prepared image.
            flip: exchange left and right.
            keep_left: put no padding on the left, where the chest wall is; else pad both sides alike.
            scale: prepared pixels per raw pixel, at most :func:`largest_scale`; None takes that.
        """
        left, top, right, bottom = box
        height, width = size
        scale = largest_scale(box, size) if scale is None else scale
        beside = 0 if keep_left else floor((width - scale * (right - left)) / 2)
        above = floor((height - scale * (bottom - top)) / 2)
        return cls(left, top, right, bottom, flip, scale, max(beside, 0), max(above, 0), width, height)

    def apply(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map raw to prepared pixels."""
        across = self.right - np.asarray(x) if self.flip else np.asarray(x) - self.left
        down = np.asarray(y) - self.top
        return self.scale * across + self.offset_x, self.scale * down + self.offset_y

    def inverse(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map prepared to raw pixels."""
        across = (np.asarray(x) - self.offset_x) / self.scale
        down = (np.asarray(y) - self.offset_y) / self.scale
        return self.right - across if self.flip else self.left + across, self.top + down

    def warp(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resize a raw image ``[h, w]`` to ``[height, width]`` without aliasing; padding is 0.

        Shrinking weights by a triangle two prepared pixels wide; enlarging is bilinear.
        """
        scale = self.scale
        rows = resampling_matrix(
            self.top, self.bottom, len(image), scale=scale, offset=self.offset_y, size=self.height
        )
        columns = resampling_matrix(
            *(self.left, self.right, image.shape[1]),
            scale=scale,
            offset=self.offset_x,
            size=self.width,
            flip=self.flip,
        )
        return np.ascontiguousarray((columns @ (rows @ image).T).T)  # [height, width]

    def to_numbers(self) -> dict[str, float]:
        """Return the fields as plain numbers, for tables and JSON."""
        return {name: value + 0 for name, value in asdict(self).items()}

    @classmethod
    def from_numbers(cls, numbers: dict[str, float] | dict[str, str]) -> Geometry:
        """Invert :meth:`to_numbers`; numbers may be text, other keys are ignored."""
        kinds = {field.name: float if field.name == "scale" else int for field in fields(cls)}
        values = {name: kind(numbers[name]) for name, kind in kinds.items()}
        return cls(**values | {"flip": bool(values["flip"])})  # type: ignore[arg-type]


def largest_scale(box: tuple[int, int, int, int], size: tuple[int, int]) -> float:
    """Return the largest scale at which a crop (left, top, right, bottom) fits into ``(height, width)``."""
    left, top, right, bottom = box
    height, width = size
    return min(height / (bottom - top), width / (right - left))


def common_scales(
    boxes: Sequence[tuple[int, int, int, int]],
    spacings: Sequence[tuple[float, float] | None],
    size: tuple[int, int],
) -> list[float]:
    """Return the scale of each crop at which a prepared pixel has one size in all, and the largest crop fits.

    ``s_v = u_v · min_w(f_w / u_w)`` with ``f`` the largest scale of a crop alone and ``u`` the side of its raw pixels
    in mm.

    Args:
        boxes: the crops in raw pixels.
        spacings: (vertical, horizontal) distance of raw pixels in mm; of a pixel that is not square the geometric
            mean counts. If one is None, raw pixels count as equal.
        size: (height, width) of the prepared images.
    """
    sides = [None if spacing is None else (spacing[0] * spacing[1]) ** 0.5 for spacing in spacings]
    units = [1.0 if None in sides or side is None else side for side in sides]
    alone = [largest_scale(box, size) for box in boxes]
    common = min(scale / unit for scale, unit in zip(alone, units, strict=True))
    return [min(common * unit, scale) for scale, unit in zip(alone, units, strict=True)]
