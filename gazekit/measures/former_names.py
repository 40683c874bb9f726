"""Names that measures had in an earlier release: written beside the new ones for one release, and read for good.

``cc`` was the correlation of attention and gaze; to whoever reads mammograms it is the craniocaudal view.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")

FORMER = {"cc": "correlation"}
"""Former name → name."""


def with_former_names(measures: Mapping[str, Any]) -> dict[str, Any]:
    """Measures by name, each that had another name under that one too, right after."""
    former = {name: old for old, name in FORMER.items()}
    pairs = ((key, value) for name, value in measures.items() for key in (name, former.get(name)) if key)
    return dict(pairs)


def by_current_name(measures: Mapping[str, Value]) -> dict[str, Value]:
    """Measures of a file under the names of today, each once."""
    return {FORMER.get(name, name): value for name, value in measures.items()}
