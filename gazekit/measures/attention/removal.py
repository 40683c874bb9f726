"""Remove the pixels of an image in the order of a map, fill them from the others, and take areas under the scores.

Sources: deletion and insertion, Petsiuk et al. 2018, arXiv:1806.07421; noisy linear imputation (ROAD), Rong et al.
2022, arXiv:2202.00449.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu

from gazekit.errors import DataError
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.records.arrays import Array, Booleans, Floats, Integers, Size

_NEIGHBOURS = tuple(
    ((down, right), 1 / 6 if 0 in (down, right) else 1 / 12)
    for down in (-1, 0, 1)
    for right in (-1, 0, 1)
    if (down, right) != (0, 0)
)


def removal_order(attention: Array, shape: Size, random: np.random.Generator) -> Integers:
    """Order the pixels of an image, most attended first; ties in random order.

    Args:
        attention: ``[h, w]``.
        shape: ``(H, W)`` of the image.
        random: breaks ties.

    Returns:
        ``[H W]``, flat positions.
    """
    values = resize_bilinear(attention, shape).ravel()
    mixed = random.permutation(values.size)
    return np.asarray(mixed[np.argsort(-values[mixed], kind="stable")], dtype=np.int64)


def with_cells_shuffled(attention: Array, random: np.random.Generator) -> Floats:
    """Put the cells of a map ``[h, w]`` in random order: a map as coarse and as uneven that knows nothing."""
    values = np.asarray(attention, dtype=np.float64)
    return random.permutation(values.ravel()).reshape(values.shape)


def removed_pixels(order: Integers, share: float, shape: Size, *, last: bool = False) -> Booleans:
    """Mark the first pixels of an order ``[H W]``, or the last ones, that make up a share: ``[H, W]``."""
    number = round(share * len(order))
    removed = np.zeros(len(order), dtype=bool)
    removed[order[len(order) - number :] if last else order[:number]] = True
    return removed.reshape(shape)


def impute_linearly(
    image: Array, removed: Booleans, random: np.random.Generator, *, noise: float = 0.01
) -> Floats:
    """Replace removed pixels by the weighted mean of their eight neighbours, removed ones included, plus noise.

    ``x_i = Σ_j w_j x_j / Σ_j w_j`` over the neighbours j inside the image, with w = 1/6 beside and 1/12 across corners,
    solved for all removed pixels at once; then noise of standard deviation ``noise``. So neither an edge nor a
    flat patch tells the model where pixels were removed. If all are removed, each is the image's mean.

    Args:
        image: ``[C, H, W]``.
        removed: ``[H, W]``.
        random: draws the noise.
        noise: in the units of the image.
    """
    values = np.array(image, dtype=np.float64)
    rows, columns = np.nonzero(removed)
    if len(rows) == 0:
        return values
    if removed.all():
        values[:] = values.mean(axis=(1, 2), keepdims=True)
    else:
        system, known = _neighbourhoods(removed, rows, columns)
        flat = values.reshape(len(values), -1)
        values[:, rows, columns] = splu(system).solve(known @ flat.T).T
    values[:, rows, columns] += noise * random.standard_normal((len(values), len(rows)))
    return values


def _neighbourhoods(
    removed: Booleans, rows: Integers, columns: Integers
) -> tuple[sparse.csc_array, sparse.csr_array]:
    """Return the equations of removed pixels: weights among themselves ``[n, n]`` and of known ones ``[n, H W]``."""
    height, width = removed.shape
    number = np.full(removed.shape, -1)
    number[rows, columns] = np.arange(len(rows))
    inside_weight = np.zeros(len(rows))
    among: list[tuple[Integers, Integers, float]] = []
    outside: list[tuple[Integers, Integers, float]] = []
    for (down, right), weight in _NEIGHBOURS:
        y, x = rows + down, columns + right
        (inside,) = np.nonzero((y >= 0) & (y < height) & (x >= 0) & (x < width))
        inside_weight[inside] += weight
        other = number[y[inside], x[inside]]
        among.append((inside[other >= 0], other[other >= 0], -weight))
        at = y[inside] * width + x[inside]
        outside.append((inside[other < 0], at[other < 0], weight))
    own = np.arange(len(rows))
    diagonal = sparse.coo_array((inside_weight, (own, own)), shape=(len(rows), len(rows)))
    system = _matrix(among, (len(rows), len(rows))) + diagonal
    return system.tocsc(), _matrix(outside, (len(rows), removed.size)).tocsr()


def _matrix(parts: list[tuple[Integers, Integers, float]], shape: tuple[int, int]) -> sparse.coo_array:
    row, column = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    weights = np.concatenate([np.full(len(part[0]), part[2]) for part in parts])
    return sparse.coo_array((weights, (row, column)), shape=shape)


def impute_blurred(image: Array, removed: Booleans) -> Floats:
    """Replace removed pixels by those of the image under a Gaussian as wide as a tenth of its longer side.

    Args:
        image: ``[C, H, W]``.
        removed: ``[H, W]``.

    Source: the blurred start of insertion in Petsiuk et al. 2018; the width is ours.
    """
    values = np.asarray(image, dtype=np.float64)
    width = max(values.shape[1:]) / 10
    return np.where(removed, ndimage.gaussian_filter(values, (0, width, width), mode="nearest"), values)


def area_under(scores: Sequence[float] | Floats) -> float:
    """Compute the area under scores ``[n]`` at n equally spaced shares from 0 to 1, by trapezoids.

    Raises:
        DataError: fewer than two scores.
    """
    values = np.asarray(scores, dtype=np.float64)
    if len(values) < 2:
        raise DataError(f"{len(values)} scores have no area under them: expected those of two shares or more")
    return float(np.trapezoid(values, dx=1 / (len(values) - 1)))
