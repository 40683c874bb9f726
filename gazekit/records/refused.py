"""An input that is not used, with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refused:
    """An exam, or one view of it, that is not used.

    Args:
        key: the exam's id.
        reason: why, in one line.
        view: the view, where the rest of the exam may be used; else empty.
    """

    key: str
    reason: str
    view: str = ""
