"""Lesion masks, stored as eight pixels a byte."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gazekit.records.arrays import Array


def packed(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pack masks ``[..., H, W]`` into ``[..., H, ceil(W / 8)]``."""
    return np.packbits(masks, axis=-1)


def packed_width(width: int) -> int:
    """Count the bytes of a row of so many pixels."""
    return -(-width // 8)


@dataclass(frozen=True, slots=True, eq=False)
class StoredMasks:
    """The masks of a prepared data set; it is indexed by exam and view like an array ``[N, V, H, W]``.

    Args:
        stored: ``[N, V, H, ceil(W / 8)]`` uint8, as on disk.
        width: W.
    """

    stored: Array
    width: int
    dtype = np.dtype("uint8")

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, V, H, W)``."""
        return (*self.stored.shape[:-1], self.width)

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, where: Any) -> NDArray[np.uint8]:
        """Unpack the masks of some exams, or of an exam and a view: uint8, 255 in a lesion."""
        return np.unpackbits(self.stored[where], axis=-1, count=self.width) * np.uint8(255)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)
