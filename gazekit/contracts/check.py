"""A finding of the doctor."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "limit", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its result.

    Args:
        area: ``versions``, ``device``, ``codecs``, ``extras``, ``plugins``, ``disk``, or one of a plugin: ``weights``.
        name: what was checked.
        status: ``limit`` if something optional will not work, ``problem`` if something needed will not.
        found: the result in a few words.
        remedy: what to do about it; empty if all is well.
    """

    area: str
    name: str
    status: Status
    found: str
    remedy: str = ""
