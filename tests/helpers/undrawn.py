"""Reports without their pictures."""

import pytest
from matplotlib.figure import Figure

from gazekit.reporting.drawing import attention_figure
from gazekit.reporting.drawing.rendering import rendered


def leave_undrawn(patch: pytest.MonkeyPatch) -> None:
    """Make every picture of a report an empty one; what a figure of attention is drawn from is checked."""
    empty = {kind: rendered(Figure(figsize=(1, 1)), kind, transparent=True) for kind in ("png", "svg")}
    for module in ("page", "study.files"):
        patch.setattr(f"gazekit.reporting.{module}.rendered", lambda _figure, kind, **_options: empty[kind])

    def unfilled(exams, columns, note=""):
        attention_figure._check(exams, columns)
        return Figure(figsize=(1, 1))

    for module in ("run.report", "study.files"):
        patch.setattr(f"gazekit.reporting.{module}.attention_figure", unfilled)
