"""Reports without their pictures."""

import pytest
from matplotlib.figure import Figure

from gazekit.reporting.drawing.rendering import rendered


def leave_undrawn(patch: pytest.MonkeyPatch) -> None:
    """Make every picture of a report an empty one."""
    empty = {kind: rendered(Figure(figsize=(1, 1)), kind, transparent=True) for kind in ("png", "svg")}
    for module in ("page", "study.files"):
        patch.setattr(f"gazekit.reporting.{module}.rendered", lambda _figure, kind, **_options: empty[kind])
