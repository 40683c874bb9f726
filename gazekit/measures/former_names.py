"""Former names of measures: written next to the new ones for one release, and always readable.

``cc`` was the correlation of attention and gaze; in mammography it is the craniocaudal view.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

Measured = TypeVar("Measured")

FORMER = {"cc": "correlation"}
"""Former name → name."""


def with_former_names(measures: Mapping[str, Any]) -> dict[str, Any]:
    """Add each measure's former name, if it has one, right after its name."""
    former = {name: old for old, name in FORMER.items()}
    pairs = ((key, value) for name, value in measures.items() for key in (name, former.get(name)) if key)
    return dict(pairs)


def by_current_name(measures: Mapping[str, Measured]) -> dict[str, Measured]:
    """Rename the measures of a file to their current names, each once."""
    return {FORMER.get(name, name): value for name, value in measures.items()}
