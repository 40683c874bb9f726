"""The training that a tracker is told of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Ending = Literal["finished", "stopped", "failed"]
"""How a training ended; one that was stopped may be resumed."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A training, as a tracker may show it: no path and no name of a patient is in its facts.

    Args:
        name: of the run directory.
        path: the run directory.
        folder: where the tracker may keep files; make it when you need it.
        facts: preset, seed, device, data and the like, by name.
        preset: every value of the resolved preset: ``training.epochs`` → 30.
    """

    name: str
    path: Path
    folder: Path
    facts: Mapping[str, str]
    preset: Mapping[str, object]
