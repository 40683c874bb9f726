"""List the grey windows that a DICOM file offers, and pick the chosen one."""

from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Literal

from pydicom.dataset import Dataset

from gazekit.errors import DataError
from gazekit.reading.dicom.file import printable
from gazekit.reading.window import FIRST, RANGE, Choice


@dataclass(frozen=True, slots=True)
class Offer:
    """A VOI LUT or window of a file.

    Args:
        kind: a table of the VOI LUT sequence, or a pair of centre and width.
        index: among those of its kind.
        name: explanation in the file; may be empty.
    """

    kind: Literal["table", "window"]
    index: int
    name: str = ""


def offers(dataset: Dataset) -> list[Offer]:
    """List the VOI LUTs of a DICOM file, then its windows, as DICOM PS3.3 C.11.2 ranks them.

    A window without a centre or a width is skipped, as is one narrower than 1 with the function LINEAR.
    """
    tables = [
        Offer("table", i, str(item.get("LUTExplanation") or ""))
        for i, item in enumerate(dataset.get("VOILUTSequence") or ())
    ]
    names = [str(name) for name in _listed(dataset, "WindowCenterWidthExplanation")]
    pairs = zip(_listed(dataset, "WindowCenter"), _listed(dataset, "WindowWidth"), strict=False)
    windows = [
        Offer("window", i, name)
        for i, ((centre, width), name) in enumerate(zip(pairs, chain(names, repeat("")), strict=False))
        if centre != "" and width != "" and not _is_too_narrow(dataset, width)
    ]
    return tables + windows


def too_narrow(dataset: Dataset, choice: Choice) -> str:
    """Say that a window before the chosen one has no usable width, without a subject; empty if none has that."""
    if choice == RANGE or isinstance(choice, tuple):
        return ""
    offer = pick(choice, offers(dataset))
    if offer is not None and offer.kind == "table":
        return ""
    widths = _listed(dataset, "WindowWidth")[: None if offer is None else offer.index]
    narrow = next((width for width in widths if width != "" and _is_too_narrow(dataset, width)), None)
    if narrow is None:
        return ""
    used = "the range of the image" if offer is None else f"window {offer.index + 1} of the file"
    return (
        f"has a window of width {printable(narrow)}, which is skipped: {used} is used; if its grey looks wrong, choose "
        "another with --window"
    )


def _is_too_narrow(dataset: Dataset, width: float) -> bool:
    """Whether the file's function allows no window of this width. Source: DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    wide = width >= 1 if dataset.get("VOILUTFunction", "LINEAR") == "LINEAR" else width > 0
    return not wide  # also one that is no number


def pick(choice: Choice, offered: list[Offer]) -> Offer | None:
    """Pick the chosen offer; None is the range of the image, also for ``first`` if the file offers nothing.

    Raises:
        DataError: the file lacks it; the error lists the choices.
    """
    if choice == RANGE or (choice == FIRST and not offered):
        return None
    if choice == FIRST:
        return offered[0]
    for number, offer in enumerate(offered, start=1):
        if choice in (number, offer.name) or str(choice).casefold() == offer.name.casefold():
            return offer
    there = (
        ", ".join(f"{i} {printable(offer.name)}".rstrip() for i, offer in enumerate(offered, start=1))
        or "none"
    )
    raise DataError(
        f"no window '{choice}' in the file; it has {there}; choose one of these, or first or range"
    )


def _listed(dataset: Dataset, keyword: str) -> list[Any]:
    """Return the values of an element that may be absent, single or multiple."""
    value = dataset.get(keyword)
    if value is None:
        return []
    return list(value) if not isinstance(value, str) and hasattr(value, "__iter__") else [value]
