"""How alike two scanpaths are: where two readers looked, in which order and for how long.

Fixations outside the image are left out, as `fixation_measures` leaves them out. Everything is relative to the size of
the image, so that images of different sizes can be averaged.
"""

import math
from dataclasses import replace

import numpy as np

from gazekit.errors import ConfigurationError, DataError
from gazekit.gaze.fixations import Fixations
from gazekit.records.arrays import Array, Floats, Integers

_FEWEST = 3
"""Fixations that MultiMatch needs: two saccades."""


def multimatch(first: Fixations, second: Fixations, shape: tuple[int, int]) -> dict[str, float]:
    """Compare the saccades of two scanpaths in five ways, each in [0, 1], 1 where they are equal.

    Saccades ``u_i = f_{i+1} - f_i`` of one and ``v_j`` of the other are aligned along the path through the matrix
    ``|u_i - v_j|``, from its first to its last entry in steps right, down or both, whose sum is smallest. Each value is
    one minus the median over the pairs (i, j) of that path, D being the diagonal of the image:

    - ``shape``: ``|u_i - v_j| / 2D``
    - ``direction``: angle between u_i and v_j, over π
    - ``length``: ``||u_i| - |v_j|| / D``
    - ``position``: ``|f_i - g_j| / D`` of the fixations where the saccades begin
    - ``duration``: ``|d_i - d_j| / max(d_i, d_j)`` of those fixations

    Scanpaths are not simplified first: merging fixations that lie close together is the task of their detection. Of
    paths with equal sums, followed from the end, the one that steps diagonally is taken.

    Args:
        first, second: at least 3 fixations inside the image each; x and y in its pixels.
        shape: ``(H, W)`` of the image.

    Raises:
        DataError: fewer fixations.

    Source: Jarodzka et al. 2010, doi:10.1145/1743666.1743718; Dewhurst et al. 2012, doi:10.3758/s13428-012-0212-2.
    """
    one, other = (_long_enough(each, shape) for each in (first, second))
    u, v = (np.diff(_points(each), axis=0) for each in (one, other))  # [n - 1, 2], [m - 1, 2]
    i, j = _alignment(_distances(u, v)).T
    diagonal = math.hypot(*shape)
    angles = np.abs(np.arctan2(u[i, 1], u[i, 0]) - np.arctan2(v[j, 1], v[j, 0]))
    longest = np.maximum(one.duration_ms[i], other.duration_ms[j])
    differences = {
        "shape": np.hypot(*(u[i] - v[j]).T) / (2 * diagonal),
        "direction": np.minimum(angles, 2 * math.pi - angles) / math.pi,
        "length": np.abs(np.hypot(*u[i].T) - np.hypot(*v[j].T)) / diagonal,
        "position": np.hypot(*(_points(one)[i] - _points(other)[j]).T) / diagonal,
        "duration": np.abs(one.duration_ms[i] - other.duration_ms[j]) / np.where(longest > 0, longest, 1),
    }
    return {name: float(1 - np.median(values)) for name, values in differences.items()}


def scanmatch(
    first: Fixations,
    second: Fixations,
    shape: tuple[int, int],
    *,
    grid: tuple[int, int] = (8, 12),
    reach: float = 3.5,
    bin_ms: float = 50.0,
) -> float:
    """Align two scanpaths as strings of grid cells; 1 where they are equal, 0 where nothing can be aligned.

    Each fixation becomes the cell that it falls in, repeated once for every ``bin_ms`` of its duration (rounded, at
    least once). Two cells a and b at distance d, in cells, score ``reach - d``; a gap costs nothing. The value is the
    best sum of an alignment over ``reach · max(n, m)``, for strings of n and m cells (Needleman-Wunsch).

    Args:
        first, second: at least one fixation inside the image each.
        shape: ``(H, W)`` of the image.
        grid: rows and columns of cells; with ``reach`` the defaults of the authors' toolbox.
        reach: distance in cells, > 0, from which on two cells are better not aligned.
        bin_ms: > 0; 50 is our choice. Recordings without time have one cell a fixation.

    Raises:
        DataError: no fixation inside the image.
        ConfigurationError: an option out of its range.

    Source: Cristino et al. 2010, doi:10.3758/BRM.42.3.692.
    """
    if not (min(grid) >= 1 and reach > 0 and bin_ms > 0):
        raise ConfigurationError(
            f"scanmatch: grid {grid}, reach {reach:g}, bin_ms {bin_ms:g}; expected a grid of at least one cell, and "
            "reach and bin_ms above 0"
        )
    cells = [_cells(_inside(each, shape), shape, grid, bin_ms) for each in (first, second)]
    scores = reach - _distances(*cells)  # [n, m]
    best = np.zeros(scores.shape[1] + 1)
    for row in scores:
        best[1:] = np.maximum(best[1:], best[:-1] + row)
        best = np.maximum.accumulate(best)
    return float(best[-1] / (reach * max(scores.shape)))


def dtw_distance(first: Fixations, second: Fixations, shape: tuple[int, int]) -> float:
    """Warp two scanpaths onto each other and return their mean distance, in diagonals of the image; 0 is best.

    The smallest sum of ``|f_i - g_j|`` along a path through the matrix of all pairs, from its first to its last entry
    in steps right, down or both, over ``D · max(n, m)``: no path has fewer pairs. Durations do not count.

    Args:
        first, second: at least one fixation inside the image each.
        shape: ``(H, W)`` of the image.

    Raises:
        DataError: no fixation inside the image.

    Source: Berndt & Clifford 1994, KDD workshop, 359-370.
    """
    one, other = (_points(_inside(each, shape)) for each in (first, second))
    distances = _distances(one, other)
    i, j = _alignment(distances).T
    return float(distances[i, j].sum() / (math.hypot(*shape) * max(distances.shape)))


def scanpath_similarity(first: Fixations, second: Fixations, shape: tuple[int, int]) -> dict[str, float]:
    """Compare two scanpaths by every measure that they allow.

    Args:
        first, second: fixations; x and y in pixels of the image. Only the first recording of each counts.
        shape: ``(H, W)`` of the image.

    Returns:
        ``scanmatch`` and ``dtw_distance`` where each has a fixation inside the image. Where each has 3 or more, also
        the values of `multimatch` as ``multimatch_shape`` and so on; the duration only where both have times.
    """
    one, other = (each.recordings()[0].inside(shape) for each in (first, second))
    found: dict[str, float] = {}
    if min(len(one), len(other)) >= _FEWEST:
        found = {f"multimatch_{name}": value for name, value in multimatch(one, other, shape).items()}
        if any(np.isnan(each.onset_ms).all() for each in (one, other)):
            del found["multimatch_duration"]
    if len(one) and len(other):
        found["scanmatch"] = scanmatch(one, other, shape)
        found["dtw_distance"] = dtw_distance(one, other, shape)
    return found


def predicted_scanpath(places: Array, shape: tuple[int, int]) -> Fixations:
    """Make a scanpath without times of predicted places ``[F, 2]``, x and y as shares of width and height."""
    x, y = np.asarray(places, dtype=np.float64).T * np.array([[shape[1]], [shape[0]]])
    return Fixations(x, y, np.full(len(x), np.nan), np.ones(len(x)))


def untimed(scanpath: Fixations) -> Fixations:
    """Leave out onsets and durations, so that only places in their order count, as for a prediction without times.

    A second recording is left out, too.
    """
    first = scanpath.recordings()[0]
    return replace(first, onset_ms=np.full(len(first), np.nan), duration_ms=np.ones(len(first)))


def _alignment(costs: Floats) -> Integers:
    """Pairs ``[P, 2]`` of the cheapest path from the first to the last entry of ``[n, m]``, right, down or both."""
    rows = costs.tolist()  # plain numbers are faster here
    total: list[list[float]] = []
    for i, row in enumerate(rows):
        above = total[-1] if i else [math.inf] * len(row)
        line: list[float] = []
        for j, cost in enumerate(row):
            before = min(line[j - 1], above[j - 1], above[j]) if j else above[0] if i else 0.0
            line.append(cost + before)
        total.append(line)
    i, j = len(rows) - 1, len(rows[0]) - 1
    path = [(i, j)]
    while i or j:
        steps = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
        i, j = min((step for step in steps if min(step) >= 0), key=lambda step: total[step[0]][step[1]])
        path.append((i, j))
    return np.array(path[::-1])


def _distances(one: Floats, other: Floats) -> Floats:
    """Euclidean distances ``[n, m]`` of points ``[n, 2]`` and ``[m, 2]``."""
    return np.asarray(np.hypot(*(one[:, None] - other[None]).transpose(2, 0, 1)))


def _cells(scanpath: Fixations, shape: tuple[int, int], grid: tuple[int, int], bin_ms: float) -> Floats:
    """Column and row of the cell looked at in each ``bin_ms``, ``[n, 2]``."""
    rows, columns = grid
    scaled = _points(scanpath) * (columns / shape[1], rows / shape[0])
    within = np.minimum(np.floor(scaled), (columns - 1, rows - 1))  # rounding may reach the border
    timed = np.isfinite(scanpath.onset_ms)
    repeats = np.where(timed, np.maximum(np.rint(scanpath.duration_ms / bin_ms), 1), 1)
    return np.repeat(within, repeats.astype(np.int64), axis=0)


def _points(scanpath: Fixations) -> Floats:
    return np.stack([scanpath.x, scanpath.y], axis=1)


def _inside(scanpath: Fixations, shape: tuple[int, int], fewest: int = 1) -> Fixations:
    kept = scanpath.inside(shape)
    if len(kept) < fewest:
        raise DataError(
            f"{len(kept)} of {len(scanpath)} fixations lie inside the {shape[0]} × {shape[1]} image; expected at least "
            f"{fewest}: give x and y in its pixels, and leave shorter scanpaths out"
        )
    return kept


def _long_enough(scanpath: Fixations, shape: tuple[int, int]) -> Fixations:
    return _inside(scanpath, shape, _FEWEST)
