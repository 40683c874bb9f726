"""Read image files of any supported format into images in [0, 1]."""

import warnings
from dataclasses import dataclass, replace
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from gazekit.errors import DataError
from gazekit.reading.content import array_header, is_array, is_dicom, opened
from gazekit.reading.dicom.pixels import read_dicom, read_dicom_values
from gazekit.reading.limits import check_pixels
from gazekit.reading.window import FIRST, RANGE, Choice
from gazekit.records.arrays import Array, luminance
from gazekit.records.raw_image import RawImage

FORMATS = ("PNG", "TIFF", "JPEG", "PPM")
BIT_DEPTHS = (8, 10, 12, 14, 16)
_CHANNELS = {
    "LA": "grey and transparency",
    "RGB": "red, green and blue",
    "RGBA": "red, green, blue and transparency",
}
"""Pillow's modes and modes of a file → what their channels are."""
_CONVERTED = ("P", "RGBA", "LA", "YCbCr", "LAB")
"""Pillow's modes whose channels are not grey, nor red, green and blue."""
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PHOTOMETRIC, _BITS = 262, 258
"""Tags PhotometricInterpretation (0 is MinIsWhite) and BitsPerSample. Source: TIFF 6.0, section 8."""
_ORIENTATION = 274
"""Tag Orientation. Source: Exif 2.32, section 4.6.4."""
_TURNED = (
    "its EXIF data ask viewers to turn or mirror it, and it is read as it is stored; if gaze or marks were made on the "
    "turned image, save it turned"
)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The values in a non-DICOM image file.

    Args:
        values: ``[H, W]``, in colour ``[H, W, 3]``.
        is_inverted: whether 0 is white.
        states_full_scale: whether the file states the white value; the values are then scaled to make it 65535.
        orientation: what its EXIF data ask viewers to do: 1 nothing, 2 … 8 to mirror or turn it.
        is_lossy: whether its compression changes values.
        seen: ``[H, W]``, pixels that are not wholly transparent; None if all are seen.
    """

    values: Array
    is_inverted: bool = False
    states_full_scale: bool = False
    orientation: int = 1
    is_lossy: bool = False
    seen: Array | None = None

    @property
    def needs_depth(self) -> bool:
        """Whether the values are whole numbers of unknown bit depth."""
        return (
            self.values.dtype.kind in "iu"
            and self.values.itemsize > 1
            and not self.states_full_scale
            and self.values.min() >= 0
            and self.values.max() < 2 ** BIT_DEPTHS[-1]
        )


def read_image(
    path: Path, window: Choice = FIRST, depth: int | None = None, *, colour: bool = False
) -> RawImage:
    """Read one image: DICOM, PNG, TIFF, JPEG, PGM or NPY, told apart by content, also gzipped.

    Whole numbers of more than 8 bits are divided by ``2^depth - 1``, with the depth of the data rather than the type:
    many 16-bit files hold 12-bit values. Booleans and real numbers within [0, 1] are kept. Other numbers are mapped
    from their range.

    Args:
        path: the file.
        window: for a DICOM file, one of its windows; for any other, its range or a (centre, width).
        depth: bits of the full scale in the data set of a non-DICOM file. None takes the smallest of 8, 10, 12, 14 and
            16 that holds the largest value of this image, so it may differ between images.
        colour: also give red, green and blue; a grey image has three equal channels. DICOM files must be grey.

    Raises:
        DataError: the file is missing, damaged, of another format, not one image, in colour though not asked for,
            larger than any image of the field, without the chosen window, or with values beyond the depth.
    """
    path = Path(path)
    if is_dicom(path):
        raw = read_dicom(path, window)
        return replace(raw, colour=np.stack([raw.pixels] * 3)) if colour else raw
    picture = read_picture(path, colour=colour)
    guessed = None
    if window == FIRST and depth is None and picture.needs_depth:
        guessed = depth = least_depth(int(picture.values.max()))
    pixels = _scale(picture, window, depth, path)
    turned = () if picture.orientation == 1 else (_TURNED,)
    if not colour:
        return RawImage(stored=picture.values, pixels=pixels, guessed_depth=guessed, warnings=turned)
    channels = np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else np.stack([pixels] * 3)  # [3, H, W]
    return RawImage(
        stored=picture.values,
        pixels=luminance(channels) if pixels.ndim == 3 else pixels,
        guessed_depth=guessed,
        warnings=turned,
        colour=np.ascontiguousarray(channels),
    )


def read_values(path: Path) -> tuple[Array, bool]:
    """Read the values as they are stored, without any window, slope or inversion, which only a display needs.

    Transparent pixels are 0, whatever colour lies under them; where the others are all black, they are 1.

    Returns:
        ``[H, W]``, in colour ``[H, W, 3]``, and whether the compression may have changed them.

    Raises:
        DataError: the file is missing, damaged, of another format, not one image, or larger than any image of the
            field.
    """
    if is_dicom(path):
        return read_dicom_values(path)
    picture = read_picture(path, colour=True)
    if picture.seen is None:
        return picture.values, picture.is_lossy
    seen = picture.seen if picture.values.ndim == 2 else picture.seen[..., None]
    values: Array = np.where(seen, picture.values, 0)
    return values if values.any() else picture.seen.astype(np.uint8), picture.is_lossy


def read_picture(path: Path, *, colour: bool = False) -> Picture:
    """Read the values of a non-DICOM image. Raises: DataError, as :func:`read_image` does."""
    with opened(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # readers warn of oddities that do not matter or end in an error
        if is_array(file):
            return Picture(_checked(_read_array(file, path), path, colour=colour))
        return _read_picture(file, path, colour=colour)


def least_depth(largest: int) -> int:
    """Return the smallest bit depth in use that holds a value below 65536."""
    return next(bits for bits in BIT_DEPTHS if largest < 2**bits)


def _read_array(file: BinaryIO, path: Path) -> Array:
    try:
        shape = _whole_array_shape(file)
        if len(shape) > 1:
            check_pixels(path, *shape[:2])
        file.seek(0)
        values: Array = np.load(file, allow_pickle=False)
    except DataError:
        raise
    except Exception:  # the header is a Python expression; parsing may raise anything
        raise DataError(f"{path}: the NPY file is damaged or holds objects; save a plain array") from None
    return values


def _whole_array_shape(file: BinaryIO) -> tuple[int, ...]:
    """Return the shape in the header of an NPY file, after checking it against the size of the file."""
    shape, dtype = array_header(file)
    start = file.tell()
    present = file.seek(0, SEEK_END) - start
    if dtype.hasobject or present < dtype.itemsize * np.prod(shape, dtype=float):
        raise ValueError("objects, or fewer values than the header claims")
    return shape


def _read_picture(file: BinaryIO, path: Path, *, colour: bool) -> Picture:
    start = file.read(len(_TIFF_STARTS[0]))
    try:
        with Image.open(file, formats=FORMATS) as picture:
            _check_one_page(picture, path)
            _check_all_bits_are_read(picture, path)
            tags = getattr(picture, "tag_v2", {})
            states_full_scale = picture.format == "PPM" and 255 < _white(picture) < 2**16 - 1
            plain = picture.convert("RGB") if picture.mode in _CONVERTED else picture
            return Picture(
                _checked(np.asarray(plain), path, colour=colour),
                # Pillow inverts the others
                is_inverted=tags.get(_PHOTOMETRIC) == 0 and picture.mode not in ("1", "L"),
                states_full_scale=states_full_scale,
                orientation=_orientation(picture),
                seen=_seen(picture),
                is_lossy=picture.format == "JPEG" or "jpeg" in str(picture.info.get("compression")),
            )
    except DataError:
        raise
    except UnidentifiedImageError:
        if start in _TIFF_STARTS:
            raise DataError(
                f"{path}: no decoder for this kind of TIFF (its channels, bits or compression); save it as grey of "
                "8 or 16 bits"
            ) from None
        raise DataError(f"{path}: not a DICOM, PNG, TIFF, JPEG, PGM or NPY file; convert it first") from None
    except Image.DecompressionBombError:
        raise DataError(f"{path}: more pixels than an image of this field has; expected one image") from None
    except Exception:  # Pillow raises whatever its parsing of a damaged header runs into
        raise DataError(f"{path}: the image is damaged or truncated; copy it again from its source") from None


def _seen(picture: ImageFile) -> Array | None:
    """Return the pixels ``[H, W]`` that are not wholly transparent; None if that is all of them."""
    if not picture.has_transparency_data:
        return None
    seen = np.asarray(picture.convert("RGBA").getchannel("A")) > 0
    return None if seen.all() else seen


def _orientation(picture: ImageFile) -> int:
    """Return what the EXIF data ask viewers to do, 2 … 8; 1 where it is nothing, or they cannot be read."""
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # its parser raises whatever damaged data run it into
        return 1
    return value if value in range(2, 9) else 1


def _check_all_bits_are_read(picture: ImageFile, path: Path) -> None:
    """Raise DataError if Pillow would read only 8 of 16 bits: it does so for several channels."""
    if picture.mode in ("1", "L", "P", "F") or picture.mode.startswith("I"):
        return
    tags = getattr(picture, "tag_v2", {})
    is_deep = (
        (picture.format == "PNG" and str(_coding(picture)).endswith(";16B"))
        or (picture.format == "TIFF" and max(tags.get(_BITS, (8,))) > 8)
        or (picture.format == "PPM" and _white(picture) > 255)
    )
    if is_deep:
        mode = str(_coding(picture)).partition(";")[0] if picture.format == "PNG" else picture.mode
        channels = _CHANNELS.get(mode, mode)
        raise DataError(
            f"{path}: an image of 16 bits in several channels ({channels}), of which only 8 bits could be read; "
            "save it as one channel (grey) of 16 bits, or as NPY"
        )


def _white(picture: ImageFile) -> int:
    """Return the value of white in a PGM or PPM file; 0 if Pillow does not need it."""
    coding = _coding(picture)
    return int(coding[1]) if isinstance(coding, tuple) and len(coding) == 2 else 0


def _coding(picture: ImageFile) -> object:
    """Return how the pixels are encoded, which Pillow forgets after decoding."""
    return picture.tile[0][3] if picture.tile else ""


def _check_one_page(picture: ImageFile, path: Path) -> None:
    check_pixels(path, picture.height, picture.width)
    frames = getattr(picture, "n_frames", 1)
    if frames != 1:
        raise DataError(f"{path}: holds {frames} pages; expected one image; save them one by one")


def _checked(values: Array, path: Path, *, colour: bool) -> Array:
    """The values ``[H, W]``, of a colour image that is asked for ``[H, W, 3]``. Raises DataError: something else."""
    if values.dtype.kind not in "biuf" or values.itemsize > 8:
        raise DataError(
            f"{path}: values of type {values.dtype}; expected whole or real numbers of at most 64 bits"
        )
    if values.ndim == 3 and values.shape[2] == 3:
        if not (values == values[:, :, :1]).all():
            if colour:
                return values
            raise DataError(
                f"{path}: the image is in colour; expected grey; convert it, or prepare the data with --colour"
            )
        values = values[:, :, 0]
    if values.ndim != 2 or values.size == 0:
        shape = " x ".join(map(str, values.shape)) or "one number"
        raise DataError(f"{path}: an array of {shape}; expected one grey image, height x width")
    return values


def _scale(picture: Picture, window: Choice, depth: int | None, path: Path) -> NDArray[np.float32]:
    values = picture.values
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(high - low):
        raise DataError(f"{path}: NaN or infinite pixel values; expected finite ones")
    if isinstance(window, tuple):
        centre, width = window
        low, high = centre - width / 2, centre + width / 2
    elif window == FIRST:
        low, high = _full_scale(picture, low, high, depth, path)
    elif window != RANGE:
        raise DataError(f"{path}: no window '{window}'; only DICOM files have windows; choose first or range")
    exact = np.float32 if values.itemsize <= 2 else np.float64
    grey = values.astype(exact)
    np.subtract(grey, exact(low), out=grey)
    np.divide(grey, exact(high - low or 1), out=grey)
    np.clip(grey, 0, 1, out=grey)
    return np.asarray(1 - grey if picture.is_inverted else grey, dtype=np.float32)


def _full_scale(
    picture: Picture, low: float, high: float, depth: int | None, path: Path
) -> tuple[float, float]:
    """Return the values that become 0 and 1, from the least and the greatest in the image."""
    values = picture.values
    if values.dtype.kind in "bf":
        return (0, 1) if low >= 0 and high <= 1 else (low, high)
    if picture.needs_depth and depth is not None:
        if high >= 2**depth:
            raise DataError(
                f"{path}: the value {high:.0f} does not fit into the {depth} bits of the data set; choose a larger "
                "--bit-depth"
            )
        return 0, 2**depth - 1
    if picture.states_full_scale:
        return 0, 2**16 - 1
    return (0, 2**8 - 1) if values.itemsize == 1 and low >= 0 else (low, high)
