"""Define the settings of a preparation."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any, Literal, get_args

import pydantic

from gazekit.disk.plain_text import visible
from gazekit.disk.wrong_value import in_plain_words, key_in_words, problems_of
from gazekit.errors import ConfigurationError
from gazekit.gaze.fixations import FixationSettings
from gazekit.reading.window import FIRST, parse_window

WHOLE = "none"
"""The crop that keeps the whole image; any other is the name of a region."""
KEEP, REFUSE = "keep", "refuse"
MissingViews = Literal["refuse", "keep"]
LateralityRule = Literal["auto", "off"]
PixelType = Literal["uint8", "uint16"]
ScaleRule = Literal["fill", "same"]
FILL, SAME = "fill", "same"
OF_PIXELS = (
    "size",
    "scale",
    "crop",
    "mask_outside",
    "masked_by",
    "region",
    "laterality",
    "window",
    "dtype",
    "bit_depth",
    "colour",
)
"""The settings that decide how an image is prepared, whatever its view."""


@dataclass(frozen=True, slots=True)
class PreparationSettings:
    """Settings of a preparation; plain values only.

    Args:
        views: the views of an exam, in order; before a preparation, empty means all views of the source.
        size: (height, width) of the prepared images in pixels.
        crop: name of the region that images are cut to; ``"none"`` keeps the whole image. Before a preparation, empty
            means the region that the source names.
        laterality: ``"auto"`` mirrors images of the right side to match the left; ``"off"`` never does.
        window: window or VOI LUT of DICOM files: ``"first"``, its number (``"2"``) or name, ``"range"`` for the
            full range of the image, or ``"CENTER,WIDTH"``.
        dtype: of prepared images and heat maps; its maximum represents 1.
        bit_depth: bits of the full scale of integers of more than 8 bits in files other than DICOM; None if
            there are none.
        fixations: how gaze samples become fixations and heat maps.
        heat_maps: keep the finished heat maps that exams bring; there are some.
        mask_outside: make everything outside the region background; None does so if images are cut to it.
        region: version of the rules that find the region; 0 if none is sought.
        masked_by: name of the region outside which images are masked without being cut to it; else empty.
            Sets of earlier versions lack it.
        missing_views: ``"refuse"`` leaves out an exam that lacks a view, ``"keep"`` keeps it if it has one at least.
        colour: keep red, green and blue.
        scale: ``"fill"`` scales each view to fill its image; ``"same"`` brings all views of an exam to one scale, that
            at which the largest fits.

    Raises:
        ConfigurationError: a value is out of range.
    """

    views: tuple[str, ...] = ()
    size: tuple[int, int] = (224, 224)
    crop: str = ""
    laterality: LateralityRule = "auto"
    window: str = FIRST
    dtype: PixelType = "uint8"
    fixations: FixationSettings = field(default_factory=FixationSettings)
    bit_depth: int | None = None
    mask_outside: bool | None = None
    region: int = 0
    masked_by: str = ""
    heat_maps: bool = False
    missing_views: MissingViews = "refuse"
    colour: bool = False
    scale: ScaleRule = "fill"

    def __post_init__(self) -> None:
        if len(set(self.views)) != len(self.views):
            raise ConfigurationError(f"preparation: views are {self.views}; expected each once")
        if len(self.size) != 2 or min(self.size) < 8:
            raise ConfigurationError(
                f"preparation: size is {self.size}; expected (height, width), each at least 8 pixels"
            )
        for name in ("crop", "masked_by"):
            if not re.fullmatch(r"[A-Za-z0-9_-]*", getattr(self, name)):
                raise ConfigurationError(
                    f"preparation: {name} is {getattr(self, name)[:60]!r}; expected the name of a region"
                )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in get_args(choices):
                raise ConfigurationError(
                    f"preparation: {name} is {getattr(self, name)!r}; expected one of "
                    f"{', '.join(get_args(choices))}"
                )
        parse_window(self.window)
        if self.bit_depth is not None and self.bit_depth not in range(8, 17):
            raise ConfigurationError(f"preparation: bit_depth is {self.bit_depth}; expected 8 to 16")
        if self.mask_outside is None and self.crop:
            object.__setattr__(self, "mask_outside", self.crop != WHOLE)
        if not self.finds_region:
            object.__setattr__(self, "region", 0)
        if self.crop != WHOLE or not self.mask_outside:
            object.__setattr__(self, "masked_by", "")

    @property
    def channels(self) -> int:
        """Channels of a prepared image."""
        return 3 if self.colour else 1

    @property
    def finds_region(self) -> bool:
        """Say whether images are cut to a region or masked by it."""
        return self.crop not in ("", WHOLE) or bool(self.mask_outside)

    @property
    def region_name(self) -> str:
        """Name of the region sought; empty if there is none, or an earlier version did not record it."""
        return self.masked_by if self.crop == WHOLE else self.crop

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values, in a stable form that leaves out irrelevant ones."""
        values = asdict(self)
        if self.bit_depth is None:
            del values["bit_depth"]
        if not self.heat_maps:
            del values["heat_maps"]
        if self.missing_views == REFUSE:
            del values["missing_views"]
        if not self.colour:
            del values["colour"]
        if self.scale == FILL:
            del values["scale"]
        if not self.finds_region:
            del values["mask_outside"], values["region"]
        if not self.masked_by:
            del values["masked_by"]
        return values | {"views": list(self.views), "size": list(self.size)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PreparationSettings":
        """Invert :meth:`to_json`; other keys are ignored, and missing ones take their default.

        Raises:
            ConfigurationError: a value has another type, or is out of range.
            KeyError, TypeError: the values are not settings.
        """
        values = completed(values)
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        given = known | {key: values[key] for key in ("views", "size", "fixations")}
        try:
            settings: PreparationSettings = _adapter().validate_json(json.dumps(given), strict=True)
        except pydantic.ValidationError as error:
            first = problems_of(error)[0]
            raise ConfigurationError(
                f"preparation.{visible(key_in_words(first['loc']))[:60]}: {in_plain_words(first)}"
            ) from None
        return settings


_CHOICES = {
    "laterality": LateralityRule,
    "dtype": PixelType,
    "missing_views": MissingViews,
    "scale": ScaleRule,
}


@cache
def _adapter() -> pydantic.TypeAdapter[PreparationSettings]:
    return pydantic.TypeAdapter(PreparationSettings)


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Complete settings in JSON values with the behaviour of versions that lacked a setting."""
    cut = values.get("crop") not in ("", WHOLE)
    earlier: dict[str, Any] = {"bit_depth": None, "heat_maps": False, "mask_outside": False}
    earlier |= {"region": 1 if cut else 0, "masked_by": "", "missing_views": REFUSE, "colour": False}
    earlier |= {"scale": FILL}
    return earlier | dict(values) if "crop" in values else dict(values)
