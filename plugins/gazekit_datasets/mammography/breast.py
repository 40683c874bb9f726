"""Find the breast in a mammogram, digital or film."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gazekit.records.arrays import Grey, Mask
from gazekit.records.region import Region, block_means, whole_image

REGION = 2
"""Version of the rules below, raised by any change that moves crops; sets cut by different rules are never mixed."""
MARGIN = 0.02
"""Margin around the breast as a fraction of the image's longer side (ours)."""
FILM_MARGIN = 0.01
"""Margin next to letters, a frame or a glow, smaller so that the crop includes less of them (ours)."""
LEAST_AREA = 0.02
"""A component smaller than this fraction of the image is not a breast (ours)."""
_COARSE, _SMALLEST = 384, 8
"""Longer side of the reduced image that is searched for the breast, and its minimum shorter side, in pixels."""

# All of these are ours, tuned on phantoms and eight films; fractions of the reduced image's sides, or of white.
_FRAME_DEPTH, _FRAME_WHITE, _FRAME_SHARE, _FRAME_GAP = 0.12, 0.2, 0.25, 0.04
_BLACK, _LIT, _ROOM = 0.01, 0.4, 0.1
"""Padding is darker than this fraction of white; the adjoining film edge is lit for this fraction of its length; this
fraction of the film is dark."""
_GLOW_DEPTH, _GLOW_STRETCH = 0.25, 0.03
_STEP, _SOFT_STEP = 1.12, 1.05
"""Factor by which the breast is brighter than the glow next to it: certain tissue, and skin line."""
_CONTRAST, _SOFT_CONTRAST = 0.03, 0.006
"""Brightness above the background, likewise, as a fraction of white."""
_OPENING, _SKIN, _TAIL = 0.008, 0.05, 1.5
_WHITE = 0.4
"""At most this fraction of a mammogram, and of its border without a frame, is white."""
_SECOND = 0.4
"""A second component of this size relative to the largest is another breast."""
_CLEAN = 0.002
"""Structures outside the breast below this fraction of the image are specks or noise, not film."""
_WALL = 0.05
"""The chest wall, where the breast has at least half its largest height, is within this fraction of its width."""
_SIDES = {(True, False): "L", (False, True): "R"}
"""Whether its left and its right end may be the chest wall → the side of a breast, as mammograms are usually stored."""
_LEAST_FILLED = 0.4
"""A breast fills more of its box than this (half an ellipse fills 0.79)."""


class Breast:
    """Cuts mammograms to the breast: skin, nipple, pectoral muscle and axilla."""

    version = REGION

    def find(self, pixels: Grey) -> Region:
        """Find the breast; see :func:`find_region`."""
        return find_region(pixels)


def find_region(pixels: Grey) -> Region:
    """Find the breast (skin, nipple, pectoral muscle, axilla) without letters, frames and the glow of the film's edge.

    Reduce the image by block means and cut off black padding around a film. Remove a white frame from each border, and
    measure the glow along it where it is darkest. Pixels brighter than glow and background by a step that survive an
    opening are certain tissue. The largest component of these grows, by at most 5 % of the image, to where it is barely
    brighter: the skin and the nipple. If this gives no plausible breast, keep the whole image; ``doubt`` says why.
    The method is ours.

    Args:
        pixels: ``[H, W]`` in [0, 1], dark background.
    """
    height, width = pixels.shape
    factor = max(1, round(max(height, width) / _COARSE))
    coarse = block_means(pixels, factor)
    film = _film(coarse)
    within = _within(coarse, film)
    found = (
        _breast(within) if min(within.shape) >= _SMALLEST else "the image is too small to find a breast in"
    )
    if isinstance(found, str):
        return whole_image(pixels.shape, found)
    breast, beside = np.zeros(coarse.shape, dtype=bool), np.ones(coarse.shape, dtype=bool)
    breast[film], beside[film] = found
    rows = np.flatnonzero(breast.any(axis=1)) * factor
    columns = np.flatnonzero(breast.any(axis=0)) * factor
    margin = round((FILM_MARGIN if beside.mean() > _CLEAN else MARGIN) * max(height, width))
    box = (
        max(int(columns[0]) - margin, 0),
        max(int(rows[0]) - margin, 0),
        min(int(columns[-1]) + factor + margin, width),
        min(int(rows[-1]) + factor + margin, height),
    )
    rim = max(1, round(FILM_MARGIN * max(coarse.shape) / 2))
    side = _SIDES.get(_walls(breast), "")
    return Region((0, 0, width, height), box, _dilated(breast, rim) & ~beside, factor, side=side)


def _breast(coarse: Grey) -> tuple[Mask, Mask] | str:
    """Find the breast in the reduced image and the structures around it, or say why there is none."""
    white = float(np.percentile(coarse, 99.5))
    frame = _frame(coarse, white)
    outside = np.pad(frame, 1, constant_values=True)
    ring = _any_neighbour(outside)[1:-1, 1:-1] & ~frame
    if doubt := _without_background(coarse, ring, white):
        return doubt
    glow = _glow(np.where(frame, white, coarse), float(np.percentile(coarse[ring], 5)))
    own = coarse - glow
    darkest = float(np.percentile(own[~frame], 1))
    dark, background = np.percentile(own[ring], (10, 25))  # the breast touches at most three of four sides
    sure = background + max(3 * (background - darkest), _CONTRAST * white)
    sure = min(max(sure, dark + 5 * (dark - darkest)), _otsu(own[~frame]))
    soft = min(dark + max(4 * (dark - darkest), _SOFT_CONTRAST * white), sure)
    bright = (own > (_STEP - 1) * glow + sure) & ~frame
    labels, core, doubt = _largest(_opened(bright, max(1, round(_OPENING * max(coarse.shape)))))
    if doubt:
        return doubt
    skin = (own > (_SOFT_STEP - 1) * glow + soft) & ~frame | core
    grown = ndimage.binary_dilation(core, iterations=max(1, round(_SKIN * max(coarse.shape))), mask=skin)
    breast = _to_the_edge(core | _opened(grown, 1), glow > 0)
    breast = _filled(_without_tails(breast, glow > soft - background) & ~frame)
    beside = (frame | ((labels > 0) & ~core) | (glow > sure - background)) & ~breast
    return _misfit(coarse, breast, beside) or (breast, beside)


def _film(coarse: Grey) -> tuple[slice, slice]:
    """Return the rows and columns without black padding around a film; dark background next to a breast is no padding.

    Black lines at a border are padding if the next line is lit for much of its length, like the edge of a film; if
    this holds at two borders, black lines at the other borders are padding too. A film also has dark parts: without
    them it is a breast with straight edges.
    """
    white = float(np.percentile(coarse, 99.5))
    lit = coarse > coarse.min() + _BLACK * white
    spans, padded = [], []
    for length, share in ((len(lit), lit.mean(axis=1)), (lit.shape[1], lit.mean(axis=0))):
        within = np.flatnonzero(share)
        begin, end = (int(within[0]), int(within[-1]) + 1) if len(within) else (0, length)
        spans.append((begin, end, length))
        padded.append((begin > 0 and share[begin] > _LIT, end < length and share[end - 1] > _LIT))
    every = sum(map(sum, padded)) > 1
    rows, columns = (
        slice(begin if every or before else 0, end if every or after else length)
        for (begin, end, length), (before, after) in zip(spans, padded, strict=True)
    )
    dark = coarse[slice(*spans[0][:2]), slice(*spans[1][:2])] < white / 2
    return (rows, columns) if dark.mean() > _ROOM else (slice(None), slice(None))


def _within(coarse: Grey, film: tuple[slice, slice]) -> Grey:
    """Cut the padding off a film; lines in blocks shared with the padding repeat their neighbours."""
    cut = coarse[film].copy()
    if min(cut.shape) < _SMALLEST:
        return cut
    for turned, part, length in ((cut, film[0], len(coarse)), (cut.T, film[1], coarse.shape[1])):
        begin, end, _ = part.indices(length)
        if begin > 0:
            turned[0] = turned[1]
        if end < length:
            turned[-1] = turned[-2]
    return cut


def _without_background(coarse: Grey, ring: Mask, white: float) -> str:
    """Say why there is no dark background to search; empty if there may be one.

    Args:
        ring: the border of the reduced image, without a frame.
        white: the value that counts as white.
    """
    if white - coarse.min() < 1e-3 or not ring.any():
        return "the image is empty"
    if max((coarse[ring] > 0.95 * white).mean(), (coarse > 0.95 * white).mean()) > _WHITE:
        return "its surroundings are white, as in an inverted image"
    return ""


def _largest(foreground: Mask) -> tuple[NDArray[np.int32], Mask, str]:
    """Return all components, the largest, and why it is not the only breast; empty if it may be."""
    labels, count = ndimage.label(foreground)
    sizes = np.bincount(labels.ravel(), minlength=2)[1:]
    largest = np.asarray(labels == 1 + np.argmax(sizes))
    doubt = ""
    if largest.mean() < LEAST_AREA:
        doubt = "no breast was found"
    elif count > 1 and np.partition(sizes, -2)[-2] > _SECOND * sizes.max():
        doubt = "there are two regions of similar size, like two breasts in one image"
    return np.asarray(labels, dtype=np.int32), largest, doubt


def _misfit(coarse: Grey, breast: Mask, beside: Mask) -> str:
    """Say why this is not one breast in front of a background; empty if it may be."""
    cut = breast[np.ix_(breast.any(axis=1), breast.any(axis=0))]
    if cut.mean() < _LEAST_FILLED:
        return "the bright region does not have the shape of a breast"
    if not any(_walls(breast)):
        return "the bright region has no chest wall on its left or right, as in an image on its side or of two breasts"
    air = ~breast & ~beside
    if air.any() and np.median(coarse[air]) > 0.6 * np.median(coarse[breast]):
        return "the bright region is hardly brighter than its surroundings, as in a close-up"
    return ""


def _walls(breast: Mask) -> tuple[bool, bool]:
    """Say whether the left and the right end of a breast may be its chest wall."""
    heights = breast[:, breast.any(axis=0)].sum(axis=0)
    end = max(1, round(_WALL * len(heights)))
    left, right = (2 * part.max() >= heights.max() for part in (heights[:end], heights[-end:]))
    return bool(left), bool(right)


def _to_the_edge(breast: Mask, glow: Mask) -> Mask:
    """Fill rows between the breast and the edge it grows from, where a glow hides it."""
    left = breast[:, : breast.shape[1] // 2].sum() >= breast[:, breast.shape[1] // 2 :].sum()
    from_edge = slice(None) if left else slice(None, None, -1)
    lit = np.logical_and.accumulate(glow[:, from_edge], axis=1)  # [h, w]
    beyond = np.logical_or.accumulate((breast[:, from_edge] & lit)[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(breast | (beyond & lit)[:, from_edge])


def _without_tails(breast: Mask, glow: Mask) -> Mask:
    """Remove a strip above or below the breast in the film edge's glow: abdominal wall, or nothing."""
    kept = breast.copy()
    rows = np.flatnonzero(breast.any(axis=1))
    wide = np.asarray((breast & ~glow).any(axis=1))
    for order in (rows, rows[::-1]):
        tail = order[: int(np.argmax(wide[order]))]
        if len(tail) > _TAIL * breast[tail].sum(axis=1).max(initial=0):
            kept[tail] = False
    return kept


def _frame(coarse: Grey, white: float) -> Mask:
    """Find a white frame of film or scanner on each side: bright at the border and dark soon after."""
    frame = np.zeros(coarse.shape, dtype=bool)
    for turns in range(4):
        side = np.rot90(frame, turns)  # a view, whose upper border is a different side each time
        side |= np.arange(len(side))[:, None] < _frame_depth(np.rot90(coarse, turns), white)
    return _any_neighbour(frame)  # including the blocks it shares with the film


def _frame_depth(image: Grey, white: float) -> NDArray[np.int64]:
    """Measure the depth of the frame at the upper border, per column.

    The frame ends with a step from bright to less than half, not gradually like a glow. Where it touches tissue, it
    ends where the image is no longer a step brighter than further in, and is little deeper than elsewhere.
    """
    reach = max(3, round(_FRAME_DEPTH * len(image)))
    # along the border: no noise
    image = _running_medians(np.pad(image[: 2 * reach + 4], ((0, 0), (4, 4)), mode="edge"), 9)
    white_border = image[0] > _FRAME_WHITE * white
    before, after = image[: reach - 1], image[1:reach]
    steps = (after < 0.6 * before) & (after < 0.5 * image[0]) & (before > 0.3 * image[0])
    ends = white_border & steps.any(axis=0)
    depth = np.where(ends, 1 + steps.argmax(axis=0), 0)
    if ends.mean() < _FRAME_SHARE:
        return np.zeros_like(depth)
    typical = int(np.median(depth[ends]))
    ends &= depth <= 2 * typical + 2
    depth[~ends] = 0
    tissue = white_border & ~ends
    most = typical + 4
    further_in = np.median(image[most : 2 * most + 2], axis=0)
    falls = image[:most] < _STEP * further_in
    stands_out = falls.any(axis=0) & ~falls[0]
    as_white = image[0] > 0.9 * np.median(image[0][ends])
    depth = np.where(tissue & as_white, typical, depth)
    depth = np.where(tissue & stands_out, falls.argmax(axis=0), depth)
    return np.asarray(ndimage.grey_closing(depth, (max(3, round(_FRAME_GAP * depth.size)),)))


def _glow(coarse: Grey, background: float) -> Grey:
    """Estimate the light from a film's edge: a profile per side, constant along it, and dark at a quarter's depth."""
    glow = np.zeros_like(coarse)
    for turns in range(4):
        image = np.rot90(coarse, turns)
        half = max(1, round(_GLOW_STRETCH * image.shape[1] / 2))
        depth = max(3, round(_GLOW_DEPTH * len(image)))
        darkest = _running_medians(image[:depth], 2 * half + 1).min(axis=1)
        profile = np.maximum(np.minimum.accumulate(darkest) - background, 0)
        if profile[-1] < 0.05 * profile[0]:
            view = np.rot90(glow, turns)[:depth]
            np.maximum(view, profile[:, None], out=view)
    return glow


def _opened(foreground: Mask, radius: int) -> Mask:
    """Remove parts thinner than the disc (a square for radius 1); a breast at the border is assumed to continue."""
    padded, disc = np.pad(foreground, radius + 1, mode="symmetric"), _disc(radius)
    within = slice(radius + 1, -radius - 1)
    return _any_neighbour(~_any_neighbour(~padded, disc, outside=True), disc)[within, within]


def _dilated(foreground: Mask, radius: int) -> Mask:
    return _any_neighbour(foreground, _disc(radius))


def _any_neighbour(image: Mask, structure: Mask | None = None, *, outside: bool = False) -> Mask:
    """Test whether any pixel below a structure is true; by default the pixel itself and its four neighbours."""
    if structure is None:
        structure = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)
    height, width = image.shape
    reach = len(structure) // 2
    padded = np.pad(image, reach, constant_values=outside)
    found = np.zeros_like(image)
    for down, across in np.argwhere(structure):
        found |= padded[down : down + height, across : across + width]
    return found


def _running_medians(image: Grey, length: int) -> Grey:
    """Take the median of each ``length`` neighbours in a row, an odd number: ``[h, w]`` → ``[h, w - length + 1]``."""
    windows = np.lib.stride_tricks.sliding_window_view(image, length, axis=1)
    return np.asarray(np.partition(windows, length // 2, axis=-1)[..., length // 2])


def _filled(breast: Mask) -> Mask:
    """Fill holes; a dark place at the chest wall is one if there is breast above and below it."""
    left = breast[:, 0].sum() >= breast[:, -1].sum()
    sides = ((0, 0), (1, 0) if left else (0, 1))
    filled = ndimage.binary_fill_holes(np.pad(breast, sides, constant_values=True))
    return np.asarray(filled[:, 1:] if left else filled[:, :-1])


def _disc(radius: int) -> Mask:
    across = np.arange(-radius, radius + 1)
    return np.asarray(np.hypot(*np.meshgrid(across, across)) <= radius + 0.5)


def _otsu(image: Grey) -> float:
    """Find the threshold with the greatest variance between two classes. Source: DOI 10.1109/TSMC.1979.4310076."""
    counts, edges = np.histogram(image, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]  # [255]
    above = below[-1] + counts[-1] - below
    total = np.cumsum(counts * centres)
    mean_below = total[:-1] / np.maximum(below, 1)
    mean_above = (total[-1] - total[:-1]) / np.maximum(above, 1)
    return float(edges[1 + np.argmax(below * above * np.square(mean_above - mean_below))])
