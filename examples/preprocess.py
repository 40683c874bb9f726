"""Prepare a DICOM, PNG or JPEG file for an exported model, without gazekit: you need numpy, and pydicom or Pillow.

``prepare`` returns the image that ``gazekit predict`` would give to the model. If gazekit reads a file by rules that
this file lacks (TIFF, NPY, several frames, bits above BitsStored), ``prepare`` stops with one line.

From ``Where the breast lies`` on, the code is gazekit's own, line by line; a test keeps it so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
Array = NDArray[Any]
Floats = NDArray[np.float64]
Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Unusable(Exception):
    """Raised with one line for an image that cannot be prepared."""


def prepare(
    path: Path, view: str, preparation: dict[str, Any], *, side: str = "", bit_depth: int | None = None
) -> Grey:
    """Prepare one image of a model whose views are scaled each alone; arguments as in :func:`prepare_exam`."""
    if preparation.get("scale", "fill") != "fill":
        raise Unusable(
            f"{path}: the model's views share one scale; give all views of the exam to prepare_exam"
        )
    return prepare_exam({view: path}, preparation, side=side, bit_depth=bit_depth)[view]


def prepare_exam(
    paths: Mapping[str, Path], preparation: dict[str, Any], *, side: str = "", bit_depth: int | None = None
) -> dict[str, Grey]:
    """Prepare the images of an exam for the model: ``[height, width]`` float32 in [0, 1], dark background.

    Args:
        paths: view, as the model calls it → the raw image.
        preparation: settings of the training images, from the metadata of the model.
        side: ``"L"`` or ``"R"``; if empty, the header decides, then the file name.
        bit_depth: bits that a 16-bit PNG uses; None takes the depth of the training images.

    Raises:
        Unusable: with the reason.
    """
    _check_region(preparation)
    found = {view: _found(path, view, preparation, side, bit_depth) for view, path in paths.items()}
    scales: list[float | None] = [None] * len(found)
    if preparation.get("scale", "fill") == "same":
        if others := [view for view in preparation["views"] if view not in paths]:
            raise Unusable(
                f"the model's images were scaled with those of {', '.join(others)}; give these, too"
            )
        boxes, spacings = [each.box for each in found.values()], [each.spacing for each in found.values()]
        scales = list(common_scales(boxes, spacings, tuple(preparation["size"])))
    return {
        view: _scaled(each, scale, preparation)
        for (view, each), scale in zip(found.items(), scales, strict=True)
    }


@dataclass(frozen=True)
class _Found:
    """A raw image, the crop in it, and the distance of its pixels."""

    pixels: Grey
    region: Region
    box: Box
    side: str
    spacing: tuple[float, float] | None


def _found(path: Path, view: str, preparation: dict[str, Any], side: str, bit_depth: int | None) -> _Found:
    """Read an image and find what is cut out of it."""
    if preparation.get("colour"):
        raise Unusable(f"{path}: the model reads colour images, which this program does not prepare")
    depth = bit_depth or preparation["bit_depth"]
    window = preparation["window"]
    if _starts(path)[128:132] == b"DICM":
        pixels, in_header, position, spacing = _read_dicom(path, window)
    else:
        pixels, in_header, position, spacing = _read_picture(path, window, depth), "", "", None
    _check_view(path, view, position)
    turned = preparation["laterality"] == "auto"
    side = side or in_header or _side_in_name(path, view)
    if turned and not side:
        raise Unusable(
            f"{path}: neither header nor name says the side of the breast; add --side L or --side R"
        )
    cut = preparation["crop"] == NAME
    region = find_region(pixels) if cut or preparation["mask_outside"] else whole_image(pixels.shape)
    return _Found(pixels, region, region.box if cut else region.image, side, spacing)


def _scaled(found: _Found, scale: float | None, preparation: dict[str, Any]) -> Grey:
    """Cut, turn and resize an image."""
    turned = preparation["laterality"] == "auto"
    geometry = Geometry.fit(
        found.box,
        tuple(preparation["size"]),
        flip=turned and found.side == "R",
        keep_left=preparation["crop"] == NAME and turned,
        scale=scale,
    )
    image = geometry.warp(found.pixels)
    if preparation["mask_outside"] and not found.region.doubt:
        image *= found.region.inside(geometry)
    steps = np.iinfo(preparation["dtype"]).max
    return np.rint(np.clip(image, 0, 1) * steps).astype(np.float32) / np.float32(steps)


def _check_region(preparation: dict[str, Any]) -> None:
    """Raise Unusable unless the model's images were cut, or masked, by the region of this file, or by none."""
    whole = preparation["crop"] == "none"
    name = preparation.get("masked_by") or NAME if whole else preparation["crop"]
    if preparation["region"] and name != NAME:
        raise Unusable(
            f"the model's images were {'masked by' if whole else 'cut to'} the region '{name}'; this file finds the "
            f"region '{NAME}' only; prepare the images with gazekit and the plugin that brings '{name}'"
        )
    if preparation["region"] not in (0, REGION):
        raise Unusable(
            f"the model's images were cut by rules {preparation['region']}; this file has {REGION}; "
            "take the preprocess.py of the gazekit that trained it"
        )


def _starts(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(132)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None


def _side_in_name(path: Path, view: str) -> str:
    """Find ``left`` or ``right`` anywhere in the file name, ``l`` or ``r`` next to the view or before it (``rcc``)."""
    words, own = _words(path.stem), _words(view)
    bare = [word for word in own if word not in ("l", "r", "left", "right")] or own
    found = {word[0] for word in (*words, *own) if word in ("left", "right")}
    found |= {word for word in own if word in ("l", "r") and len(own) > 1}
    for at in range(len(words)):
        if words[at : at + len(bare)] == bare:
            near = {words[i] for i in (at - 1, at + len(bare)) if 0 <= i < len(words)}
            found |= {word[0] for word in near if word in ("l", "r", "left", "right")}
        if len(bare) == 1 and words[at] in ("l" + bare[0], "r" + bare[0]):
            found.add(words[at][0])
    return found.pop().upper() if len(found) == 1 else ""


def _check_view(path: Path, view: str, position: str) -> None:
    """Refuse an image given as CC whose header or name says MLO, and the other way round."""
    for words, where in ((_words(position), "header"), (_words(path.stem), "name")):
        said = {way for way in ("cc", "mlo") for word in words if word in (way, "l" + way, "r" + way)}
        meant = {way for way in ("cc", "mlo") if way in _words(view)}
        if said and meant and not said & meant:
            raise Unusable(
                f"{path}: its {where} says {said.pop().upper()}, and it is given as {view}; mind the order"
            )


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", text.lower()) if word]


def _read_picture(path: Path, window: str, depth: int | None) -> Grey:
    """Read a grey PNG or JPEG; divide 8 bits by 255, and 16 bits by the maximum of their data set's depth."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            coding = str(picture.tile[0][3]) if picture.tile else ""
            several = picture.mode not in ("1", "L", "P") and not picture.mode.startswith("I")
            plain = picture.convert("RGB") if picture.mode in ("P", "RGBA", "LA") else picture
            values = np.asarray(plain)
    except (OSError, SyntaxError, ValueError):
        raise Unusable(f"{path}: no DICOM, PNG or JPEG file that can be read; export it again") from None
    if several and coding.endswith("16B"):
        raise Unusable(f"{path}: 16 bits in several channels; save it as one channel")
    if values.ndim == 3:
        if not (values == values[:, :, :1]).all():
            raise Unusable(f"{path}: the image is in colour; expected grey")
        values = values[:, :, 0]
    low, high = 0.0, 255.0
    if window == "range":
        low, high = float(values.min()), float(values.max())
    elif pair := _pair(window):
        low, high = pair[0] - pair[1] / 2, pair[0] + pair[1] / 2
    elif window != "first":
        raise Unusable(
            f"{path}: the model's images were shown by window '{window}', which only DICOM files have"
        )
    elif values.dtype.kind == "b":
        high = 1.0
    elif values.itemsize > 1:
        if depth is None:
            raise Unusable(
                f"{path}: 16 bits, and the model knows no such image; say how many are used: --bit-depth 12"
            )
        high = float(2**depth - 1)
        if values.max() > high:
            raise Unusable(
                f"{path}: the value {values.max()} does not fit into {depth} bits; choose a larger --bit-depth"
            )
    exact = np.float32 if values.itemsize <= 2 else np.float64
    return np.clip((values.astype(exact) - exact(low)) / exact(high - low or 1), 0, 1).astype(np.float32)


def _read_dicom(path: Path, window: str) -> tuple[Grey, str, str, tuple[float, float] | None]:
    """Read a single grey image as a display shows it, with the side, view and pixel spacing in its header."""
    import pydicom
    from pydicom.pixels import get_decoder

    try:
        tags = pydicom.dcmread(path)
        decoder = get_decoder(tags.file_meta.TransferSyntaxUID)
        stored, _ = decoder.as_array(tags, correct_unused_bits=False)
        with np.errstate(all="ignore"):  # far from a window
            pixels = _shown(np.asarray(stored), tags, window, path)
        return pixels, _side_in_header(tags), str(tags.get("ViewPosition") or ""), _spacing(tags)
    except Unusable:
        raise
    except Exception as error:  # a damaged file may raise anything
        reason = str(error).strip().partition("\n")[0]
        raise Unusable(f"{path}: the image cannot be read: {reason or type(error).__name__}") from None


def _side_in_header(tags: Any) -> str:
    names = ("ImageLaterality", "Laterality")
    return next((str(tags.get(name)) for name in names if tags.get(name) in ("L", "R")), "")


def _spacing(tags: Any) -> tuple[float, float] | None:
    value = _listed(tags.get("PixelSpacing") or tags.get("ImagerPixelSpacing"))
    return (float(value[0]), float(value[1])) if len(value) == 2 and min(value) > 0 else None


def _shown(stored: NDArray[Any], tags: Any, window: str, path: Path) -> Grey:
    """Apply modality LUT, VOI LUT or window, MONOCHROME1 and padding; return grey in [0, 1] ``[H, W]``."""
    from pydicom.pixels import apply_windowing

    if stored.ndim != 2:
        raise Unusable(f"{path}: an array of {stored.shape}; expected one grey image in the file")
    if "SharedFunctionalGroupsSequence" in tags or "PerFrameFunctionalGroupsSequence" in tags:
        raise Unusable(f"{path}: an enhanced object; gazekit predict reads its groups, this file does not")
    bits, signed = int(tags.BitsStored), bool(tags.PixelRepresentation)
    first = tags.get("PixelPaddingValue")
    padding = np.zeros(stored.shape, dtype=bool)
    if first is not None:
        ends = np.array([int(first), int(tags.get("PixelPaddingRangeLimit", first))])
        ends = ends.astype(stored.dtype)
        padding = (stored >= ends.min()) & (stored <= ends.max())
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    beyond = ((stored < least) | (stored > most)) & ~padding
    if int(tags.get("HighBit", bits - 1)) != bits - 1 or beyond.any():
        raise Unusable(f"{path}: bits outside BitsStored; gazekit predict reads them, this file does not")
    values = np.arange(int(stored.min()), int(stored.max()) + 1)  # the tables are applied once to each value
    where = stored.astype(np.int32) - values[0]
    if tables := tags.get("ModalityLUTSequence"):
        modality, _ = _looked_up(tables[0], values, tags)
    else:
        modality = values * float(tags.get("RescaleSlope") or 1) + float(tags.get("RescaleIntercept") or 0)
    kind, index = _choice(tags, window, path)
    far = np.array([-1e15, 1e15])
    if kind == "table":
        grey, entries = _looked_up(tags.VOILUTSequence[index], np.rint(modality), tags)
        low, high = entries.min(), entries.max()
    elif kind == "window":
        grey = apply_windowing(modality, tags, index)
        low, high = apply_windowing(far, tags, index)
    else:
        grey = modality
        inside = np.zeros(len(values), dtype=bool)
        inside[where[~padding]] = True
        low, high = (modality[inside].min(), modality[inside].max()) if inside.any() else (0, 0)
    grey = np.clip((grey - low) / (high - low), 0, 1) if high > low else np.zeros_like(grey)
    if tags.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    if not np.isfinite(grey).all():
        raise Unusable(f"{path}: its slope, intercept or window is not finite")
    shown = grey.astype(np.float32)[where]
    shown[padding] = 0
    return shown


def _looked_up(table: Any, values: NDArray[Any], tags: Any) -> tuple[Floats, Floats]:
    """Look up values in a table, and return its entries too; values beyond its ends take the first or last entry."""
    count, first, bits = (int(each) for each in table.LUTDescriptor)
    count, data = count or 2**16, table.LUTData
    if isinstance(data, bytes):
        words = np.frombuffer(data, dtype="<u2" if tags.original_encoding[1] else ">u2")
    else:
        words = np.atleast_1d(np.array(data, dtype=np.uint16))
    if bits == 8 and len(words) < count:
        words = words.astype("<u2").view(np.uint8)  # two entries to a word, the first in its lower byte
    entries = words[:count].astype(np.float64)
    if len(entries) < count:
        raise ValueError(f"a table of {len(entries)} entries; expected {count}")
    if first >= 2**15 and first > values.max():
        first -= 2**16  # it is signed, as the values are
    return entries[np.clip(values - first, 0, count - 1).astype(np.int64)], entries


def _choice(tags: Any, window: str, path: Path) -> tuple[str, int]:
    """Find the chosen table or window of the file; write one given by its numbers into the tags."""
    if window == "range":
        return "range", 0
    if pair := _pair(window):
        tags.WindowCenter, tags.WindowWidth = pair
        if pair[1] < 1:
            tags.VOILUTFunction = "LINEAR_EXACT"
        return "window", 0
    tables = [
        ("table", i, str(item.get("LUTExplanation") or ""))
        for i, item in enumerate(tags.get("VOILUTSequence") or ())
    ]
    centres, widths, names = (
        _listed(tags.get(key)) for key in ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation")
    )
    names += [""] * len(centres)
    least = 1 if tags.get("VOILUTFunction", "LINEAR") == "LINEAR" else 0
    pairs = enumerate(zip(centres, widths, names, strict=False))
    windows = [("window", i, str(n)) for i, (c, w, n) in pairs if c != "" and w not in ("", 0) and w >= least]
    offered = tables + windows
    if window == "first":
        return offered[0][:2] if offered else ("range", 0)
    for number, (kind, index, name) in enumerate(offered, start=1):
        if window == str(number) or window.casefold() == name.casefold():
            return kind, index
    raise Unusable(f"{path}: no window '{window}', by which the model's images were shown")


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if not isinstance(value, str) and hasattr(value, "__iter__") else [value]


def _pair(window: str) -> tuple[float, float] | None:
    """Parse ``CENTER,WIDTH``."""
    number = r"\s*([-+]?\d+(?:\.\d+)?)\s*"
    found = re.fullmatch(f"{number},{number}", window)
    return (float(found[1]), float(found[2])) if found else None


class ndimage:  # noqa: N801
    """The functions of ``scipy.ndimage`` that gazekit uses, in numpy and under the same names."""

    @staticmethod
    def binary_dilation(image: Mask, iterations: int, mask: Mask) -> Mask:
        """Set each pixel that has a true neighbour; where ``mask`` is false nothing changes."""
        for _ in range(iterations):
            image = np.where(mask, _any_neighbour(image), image)
        return image

    @staticmethod
    def binary_fill_holes(image: Mask) -> Mask:
        """Fill the holes: areas without a path to the outside."""
        labels, _ = ndimage.label(~np.pad(image, 1))
        return (labels != labels[0, 0])[1:-1, 1:-1]

    @staticmethod
    def label(image: Mask) -> tuple[NDArray[np.int64], int]:
        """Number components of four neighbours from 1, in the order of their first pixels.

        Each pixel takes the least position in its neighbourhood, and then the one that this position has taken, until
        nothing changes.
        """
        nothing = image.size
        position = np.where(image, np.arange(nothing).reshape(image.shape), nothing)
        while True:
            around = np.pad(position, 1, constant_values=nothing)
            least = np.minimum.reduce(
                [position, around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]]
            )
            least = np.where(image, least, nothing)
            least = np.append(least.ravel(), nothing)[least]
            if (least == position).all():
                break
            position = least
        roots = np.unique(position[image])
        return np.where(image, np.searchsorted(roots, position) + 1, 0), len(roots)

    @staticmethod
    def grey_closing(line: NDArray[np.int64], size: tuple[int]) -> NDArray[np.int64]:
        """Take the least of the greatest values around each, in a line."""
        before, after = size[0] // 2, size[0] - 1 - size[0] // 2
        padded = np.pad(line, (after, before), mode="symmetric")
        greatest = np.lib.stride_tricks.sliding_window_view(padded, size[0]).max(axis=1)
        padded = np.pad(greatest, (before, after), mode="symmetric")
        return np.lib.stride_tricks.sliding_window_view(padded, size[0]).min(axis=1)


class sparse:  # noqa: N801
    """The part of ``scipy.sparse`` that gazekit uses; here the matrix is an ordinary one."""

    @staticmethod
    def csr_array(entries: Any, shape: tuple[int, int]) -> Grey:
        """Make a matrix of (values, (rows, columns)), zero elsewhere."""
        values, (rows, columns) = entries
        matrix = np.zeros(shape, dtype=np.float32)
        matrix[rows, columns] = values
        return matrix


# Where the breast lies, and the way from the raw to the prepared image: gazekit_datasets/mammography/breast.py, and
# region.py, geometry.py and resampling.py of gazekit/records, unchanged.

NAME = "breast"
"""The region that the rules below find."""
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


def resampling_matrix(
    start: int, stop: int, length: int, *, scale: float, offset: int, size: int, flip: bool = False
) -> sparse.csr_array:
    """Return the weights ``[size, length]`` that make a prepared axis from a raw one.

    A prepared pixel is a mean of raw ones, weighted by a triangle around its centre: two prepared pixels wide when
    the image shrinks, two raw pixels wide when it grows (bilinear). The last prepared pixel may reach past the
    crop; there it sees background. Pixels outside the crop are 0.

    Args:
        start, stop: the crop, in pixels of the raw axis.
        length: pixels of the raw axis.
        scale: prepared pixels per raw pixel.
        offset: padding before the crop, in prepared pixels.
        size: pixels of the prepared axis.
        flip: reverse the crop.
    """
    inside = min(ceil((stop - start) * scale - 1e-6), size - offset)
    reach = max(1 / scale, 1.0)
    centres = (np.arange(inside) + 0.5)[:, None] / scale  # [inside, 1], raw pixels from the crop's edge
    near = np.floor(centres - reach).astype(np.int64) + np.arange(ceil(2 * reach) + 2)  # [inside, taps]
    weights = np.maximum(0, 1 - np.abs(near + 0.5 - centres) / reach)
    weights[(near < 0) | (near >= ceil(inside / scale))] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    row, tap = np.nonzero((weights > 0) & (near < stop - start))
    across = near[row, tap]
    column = stop - 1 - across if flip else start + across
    values = weights[row, tap].astype(np.float32)
    return sparse.csr_array((values, (row + offset, column)), shape=(size, length))


def interpolate_rows(values: Array, places: Floats) -> Array:
    """Interpolate linearly between the rows of an image; beyond the outermost centres the border is held.

    Equal neighbours stay exactly equal: measures that rank pixels must not rank rounding errors.

    Args:
        values: ``[h, w]``.
        places: ``[H]``, where the centre of row ``i`` is at ``i + 0.5``.

    Returns:
        ``[H, w]``, of the type of ``values``.
    """
    last = len(values) - 1
    centres = np.clip(places - 0.5, 0, last)
    above = np.floor(centres).astype(np.int64)
    below = np.minimum(above + 1, last)
    share = (centres - above).astype(values.dtype)[:, None]
    return np.asarray(values[above] + share * (values[below] - values[above]))


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


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """The region found in an image.

    Args:
        image: the whole image.
        box: of the region with a margin; the whole image where there is a doubt.
        outline: ``[h, w]`` the region in the image reduced by blocks of ``factor`` x ``factor``; all true where there
            is a doubt.
        factor: side of a block in raw pixels.
        doubt: why the image is kept whole, in words without names; empty where the region was found.
        side: ``"L"`` or ``"R"``, as its place in the image suggests; empty where it suggests neither.
    """

    image: Box
    box: Box
    outline: Mask = field(repr=False)
    factor: int = 1
    doubt: str = ""
    side: str = ""

    def inside(self, geometry: Geometry) -> Mask:
        """Mark pixels of a prepared image ``[height, width]`` with their centre in the region, edge interpolated."""
        across, down = (
            np.arange(geometry.width, dtype=np.float64),
            np.arange(geometry.height, dtype=np.float64),
        )
        x, y = geometry.inverse(across + 0.5, down + 0.5)
        rows = interpolate_rows(self.outline.astype(np.float32), y / self.factor)  # [height, w]
        return np.asarray(interpolate_rows(rows.T, x / self.factor).T >= 0.5)


def whole_image(shape: tuple[int, ...], doubt: str = "") -> Region:
    """Keep a whole image ``[H, W]``."""
    height, width = shape
    return Region(
        (0, 0, width, height), (0, 0, width, height), np.ones((1, 1), dtype=bool), max(shape), doubt
    )


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


def block_means(pixels: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Reduce an image to the means of blocks of ``factor`` x ``factor``; those at the last edges may be smaller."""
    height, width = pixels.shape
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    bands = np.stack(
        [pixels[row : row + factor].sum(axis=0) for row in rows]
    )  # reduceat is slow along axis 0
    sizes = np.outer(np.diff(rows, append=height), np.diff(columns, append=width)).astype(np.float32)
    return np.asarray(np.add.reduceat(bands, columns, axis=1) / sizes)


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
