"""One finding of the doctor."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "limit", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at and found.

    Args:
        area: ``versions``, ``device``, ``codecs``, ``extras``, ``plugins``, ``weights`` or ``disk``.
        name: what was looked at.
        status: ``limit`` where something optional will not work, ``problem`` where something needed will not.
        found: in a few words.
        remedy: what to do about it; empty if all is well.
    """

    area: str
    name: str
    status: Status
    found: str
    remedy: str = ""
