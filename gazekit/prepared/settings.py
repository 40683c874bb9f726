"""The settings of a preparation."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any, Literal, get_args

import pydantic

from gazekit.disk.plain_text import visible
from gazekit.errors import ConfigurationError
from gazekit.gaze.fixations import FixationSettings
from gazekit.reading.window import FIRST, parse_window

WHOLE = "none"
"""The crop that keeps the whole image; every other is the name of a region."""
LateralityRule = Literal["auto", "off"]
PixelType = Literal["uint8", "uint16"]


@dataclass(frozen=True, slots=True)
class PreparationSettings:
    """Settings of a preparation; plain values only.

    Args:
        views: the views an exam must have, in order; before a preparation none stands for all views of the source.
        size: (height, width) of the prepared images in pixels.
        crop: name of the region that images are cut to; ``"none"`` keeps the whole image. Before a preparation empty
            stands for the region that the source names.
        laterality: ``"auto"`` flips images of the right side, so that all lie as those of the left; ``"off"`` never.
        window: which window or VOI LUT of DICOM files: ``"first"``, its number (``"2"``) or name, ``"range"`` for all
            that is in the image, or ``"CENTER,WIDTH"``.
        dtype: of prepared images and heat maps; their greatest value stands for 1.
        bit_depth: bits of the full scale of whole numbers of more than 8 bits in files other than DICOM; None where
            there are none.
        fixations: how gaze samples become fixations and heat maps.
        mask_outside: make everything outside the region background; None does so where images are cut to it.
        region: version of the rules by which the region is found; 0 where none is looked for.
        masked_by: name of the region outside of which images are masked though they are not cut to it; else empty.
            Sets of earlier versions do not say it.

    Raises:
        ConfigurationError: a value out of its range.
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
        for name, choices in (("laterality", LateralityRule), ("dtype", PixelType)):
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
    def finds_region(self) -> bool:
        """Whether images are cut to a region or masked by it."""
        return self.crop not in ("", WHOLE) or bool(self.mask_outside)

    @property
    def region_name(self) -> str:
        """Name of the region that is looked for; empty where there is none, or an earlier version did not note it."""
        return self.masked_by if self.crop == WHOLE else self.crop

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON values, as they always were: those that do not matter are left out."""
        values = asdict(self)
        if self.bit_depth is None:
            del values["bit_depth"]
        if not self.finds_region:
            del values["mask_outside"], values["region"]
        if not self.masked_by:
            del values["masked_by"]
        return values | {"views": list(self.views), "size": list(self.size)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PreparationSettings":
        """The inverse of :meth:`to_json`; other keys are ignored, and what is left out has its default.

        Raises:
            ConfigurationError: a value of another type, or out of its range.
            KeyError, TypeError: no settings at all.
        """
        values = completed(values)
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        given = known | {key: values[key] for key in ("views", "size", "fixations")}
        try:
            settings: PreparationSettings = _adapter().validate_json(json.dumps(given), strict=True)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            raise ConfigurationError(
                f"preparation.{visible('.'.join(map(str, first['loc'])))[:60]}: {first['msg']}"
            ) from None
        return settings


@cache
def _adapter() -> pydantic.TypeAdapter[PreparationSettings]:
    return pydantic.TypeAdapter(PreparationSettings)


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in JSON values, with what versions of gazekit did that had no such setting yet."""
    cut = values.get("crop") not in ("", WHOLE)
    earlier = {"bit_depth": None, "mask_outside": False, "region": 1 if cut else 0, "masked_by": ""}
    return earlier | dict(values) if "crop" in values else dict(values)
