"""Read regions of interest exported by OsiriX: one XML property list per image."""

import plistlib
import re
import xml.parsers.expat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gazekit.errors import DataError
from gazekit.records.lesions import Outline

MAXIMUM_BYTES = 64 * 2**20
"""Larger files are refused; INbreast's have at most a few megabytes."""
MAXIMUM_PIECE = 2**16
_FARTHEST = 100_000.0
_NUMBER = r"\s*([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,2})?)\s*"
_POINT = re.compile(rf"\({_NUMBER},{_NUMBER}\)")


@dataclass(frozen=True, slots=True)
class OsirixRegion:
    """A region of interest.

    Args:
        name: as its reader typed it.
        outline: in pixels of the image.
    """

    name: str
    outline: Outline


def read_regions(path: Path) -> tuple[OsirixRegion, ...]:
    """Read the regions of one image; none if the list is empty.

    Raises:
        DataError: not a property list of one image, or a malformed region.
    """
    images = _property_list(path).get("Images")
    if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], dict):
        raise DataError(f"{path}: expected the regions of one image (Images, a list of one)")
    regions = images[0].get("ROIs")
    if not isinstance(regions, list):
        raise DataError(f"{path}: no list of regions; expected ROIs")
    return tuple(
        _region(region, f"{path}: region {number}") for number, region in enumerate(regions, start=1)
    )


def _property_list(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}); expected regions of OsiriX") from None
    if len(content) > MAXIMUM_BYTES:
        raise DataError(
            f"{path}: larger than {MAXIMUM_BYTES // 2**20} MiB; expected the regions of one image"
        )
    try:
        _check_pieces(content)
        # the parser refuses entities, which could expand a file without limit
        found = plistlib.loads(content, fmt=plistlib.FMT_XML)
    except Exception:  # a damaged file can raise any exception
        raise DataError(f"{path}: not an XML property list, or damaged; copy it again") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: not the regions of an image; expected a dictionary with Images")
    return found


def _check_pieces(content: bytes) -> None:
    """Raise if a tag, comment or line of text is longer than any in the data set.

    The property list parser is fed in small parts, and its library (before 2.6) rescans an unfinished piece
    with each part: 0.4 s for one piece of 1 MiB, growing quadratically.
    """
    parser = xml.parsers.expat.ParserCreate()
    parser.DefaultHandler = _check_piece
    parser.Parse(content, True)


def _check_piece(text: str) -> None:
    if len(text) > MAXIMUM_PIECE:
        raise ValueError(f"a piece of {len(text)} letters")


def _region(region: Any, where: str) -> OsirixRegion:
    if not isinstance(region, dict) or not isinstance(region.get("Point_px"), list):
        raise DataError(f"{where} has no points; expected Point_px")
    texts, count = region["Point_px"], region.get("NumberOfPoints")
    if count is not None and count != len(texts):
        raise DataError(f"{where} has {len(texts)} points; expected {str(count)[:20]} (NumberOfPoints)")
    if not texts:
        raise DataError(f"{where} has no points; expected one or more")
    return OsirixRegion(str(region.get("Name", "")).strip(), Outline(tuple(_points(texts, where))))


def _points(texts: list[Any], where: str) -> Iterator[tuple[float, float]]:
    for text in texts:
        match = _POINT.fullmatch(text) if isinstance(text, str) else None
        point = (float(match[1]), float(match[2])) if match else (_FARTHEST, _FARTHEST)
        if max(map(abs, point)) >= _FARTHEST:
            raise DataError(f"{where} has the point {str(text)[:40]!r}; expected '(x, y)' in pixels")
        yield point
