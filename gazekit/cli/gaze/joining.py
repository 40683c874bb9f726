"""Report the recordings and exams that were not matched."""

from typing import TYPE_CHECKING

from gazekit.cli import console
from gazekit.disk.wording import counted, first_few

if TYPE_CHECKING:
    from gazekit.gaze.matching import Joined


def matching_rows(joined: "Joined") -> list[tuple[str, int]]:
    """Return table rows that count matched and unmatched recordings and images."""
    return [
        ("recordings that match an image", sum(map(len, joined.matched.values()))),
        ("recordings that match none", len(joined.unmatched_recordings)),
        ("images with a recording", len(joined.matched)),
        ("images without a recording", len(joined.exams_without)),
    ]


def warn_of_unmatched(joined: "Joined") -> None:
    """Name the first unmatched recordings and images."""
    from gazekit.gaze.matching import DOUBTFUL

    if joined.unmatched_recordings:
        names = first_few(joined.unmatched_recordings)
        console.warn(f"no image matches {counted(len(joined.unmatched_recordings), 'recording')}: {names}")
    if doubtful := sum(DOUBTFUL in each.notes for each in joined.unmatched_recordings):
        console.warn(f"{doubtful} of them: {DOUBTFUL}")
    if joined.exams_without:
        names = first_few(f"exam {exam} view {view}" for exam, view in joined.exams_without)
        console.warn(f"no recording of {counted(len(joined.exams_without), 'image')}: {names}")
