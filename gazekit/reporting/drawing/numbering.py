"""Place the numbers of fixations: on their discs, else next to them, never over one another."""

from collections.abc import Iterator

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_AROUND = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1))
_RINGS = 3


class Places:
    """The free space of a picture; every placed number takes some of it.

    Args:
        width, height: size of the picture.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.taken: list[Box] = []

    def find(
        self, x: float, y: float, radius: float, size: tuple[float, float]
    ) -> tuple[float, float] | None:
        """Find the centre for a number of this size (width, height) at a disc; None if there is no space."""
        for centre in self._candidates(x, y, radius, size):
            box = (
                *(centre[0] - size[0] / 2, centre[1] - size[1] / 2),
                *(centre[0] + size[0] / 2, centre[1] + size[1] / 2),
            )
            if self._inside(box) and not any(_overlap(box, other) for other in self.taken):
                self.taken.append(box)
                return centre
        return None

    def _candidates(
        self, x: float, y: float, radius: float, size: tuple[float, float]
    ) -> Iterator[tuple[float, float]]:
        """Yield the disc's centre, then places around it, nearest first."""
        yield x, y
        for ring in range(_RINGS):
            away = radius * (1 if ring == 0 else 1.2), ring * size[1]
            for right, down in _AROUND:
                yield (
                    x + right * (away[0] + size[0] / 2 + away[1]),
                    y + down * (away[0] + size[1] / 2 + away[1]),
                )

    def _inside(self, box: Box) -> bool:
        return box[0] >= 0 and box[1] >= 0 and box[2] <= self.width and box[3] <= self.height


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
