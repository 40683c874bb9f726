"""Check every recording of a collection, on its image if there is a data set."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from gazekit.gaze.fixations import FixationSettings
from gazekit.gaze.matching import ExamView, Joined
from gazekit.gaze.quality import RecordingCheck, doubts_about
from gazekit.preparing.validating.image_check import Drawing, ViewCheck, Viewed, check_view
from gazekit.reading.parallel import LIMITS, ordered_map
from gazekit.records.exam import Exam
from gazekit.records.recording import Recording

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import RegionFinder

NUMBERS = (
    "rows",
    "seconds",
    "rate_hz",
    "interval_spread_ms",
    "lost",
    "border",
    "outside",
    "fixations",
    "median_duration_ms",
    "region",
    "lesion",
)
"""Numbers of a check whose median is taken over a collection."""
FORMER = {"breast": "region", "breast_area": "region_area", "fault": "refused"}
"""Former name (until 0.1, still written for one release) → current name of a value."""


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """A recording with its format, image and check.

    Args:
        recording: as read.
        format: of its file.
        key: exam and view of its image; None without a match.
        check: the numbers.
        image_refused: why its image or masks are not used.
        drawing: input for an overlay; None unless requested, or without fixations.
    """

    recording: Recording
    format: str
    key: ExamView | None
    check: RecordingCheck
    image_refused: str | None
    drawing: Drawing | None

    @property
    def name(self) -> str:
        """Exam and view if it matches an image, else its file and the names in it; and the reader."""
        one = self.recording
        about = self.key or (one.source.name, one.exam_id, one.view, one.image_name)
        return " ".join(filter(None, (*about, one.reader)))

    @property
    def doubts(self) -> list[str]:
        """Doubts about it and how it was read, in sentences that do not name it."""
        return [*self.recording.notes, *doubts_about(self.check)]

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        numbers = asdict(self.check)
        return {
            "file": str(self.recording.source),
            "format": self.format,
            "exam_id": self.key[0] if self.key else self.recording.exam_id,
            "view": self.key[1] if self.key else self.recording.view,
            "image": self.recording.image,
            "reader": self.recording.reader,
            "matched": self.key is not None,
            **numbers,
            **{former: numbers[now] for former, now in FORMER.items()},
            "image_refused": self.image_refused,
            "image_fault": self.image_refused,  # its name until 0.1
            "doubts": self.doubts,
        }


def check_all(
    recordings: Sequence[Recording],
    formats: Mapping[Path, str],
    *,
    exams: Sequence[Exam],
    joined: Joined | None,
    settings: FixationSettings,
    draw: bool,
    jobs: int,
    region: "tuple[RegionFinder, str] | None" = None,
) -> Iterator[list[Checked]]:
    """Check the recordings, image by image, then those without an image one by one.

    Args:
        recordings: the recordings.
        formats: of each file.
        exams, joined: the data set, and the recordings of each image; without them, no image is read.
        settings: how fixations are found.
        draw: also return drawings.
        jobs: worker processes that read images.
        region: where dwell is measured, as finder and name.
    """
    images = {(exam.exam_id, view): (exam, path) for exam in exams for view, path in exam.images.items()}
    tasks: list[tuple[ExamView | None, Viewed]] = []
    for key, some in joined.matched.items() if joined else ():
        exam, path = images[key]
        tasks.append((key, Viewed(path, tuple(some), exam.masks.get(key[1]), settings, draw, region)))
    for recording in joined.unmatched_recordings if joined else recordings:
        tasks.append((None, Viewed(None, (recording,), None, settings)))
    viewed = (task for _, task in tasks)
    with closing(
        ordered_map(check_view, viewed, jobs=jobs if joined else 0, limits=LIMITS, lost=_lost)
    ) as results:
        for (image, task), result in zip(tasks, results, strict=True):
            found = zip(task.recordings, result.checks, result.drawings, strict=True)
            yield [
                Checked(each, formats[each.source], image, check, result.refused, d)
                for each, check, d in found
            ]


def _lost(viewed: Viewed, reason: str) -> ViewCheck:
    """Check recordings without their image, which crashed its worker."""
    return replace(check_view(replace(viewed, image=None)), refused=f"{viewed.image}: {reason}")


def medians(checked: Sequence[Checked]) -> dict[str, float | None]:
    """Compute the median of every number over the recordings that have it; None if none does."""
    values = {name: [getattr(each.check, name) for each in checked] for name in NUMBERS}
    known = {name: [value for value in some if value is not None] for name, some in values.items()}
    found = {name: float(median(some)) if some else None for name, some in known.items()}
    return found | {former: found[now] for former, now in FORMER.items() if now in found}


def doubts(checked: Sequence[Checked]) -> dict[str, list[str]]:
    """Map each doubt to the names of its recordings, the most frequent doubt first."""
    found: dict[str, list[str]] = {}
    for each in checked:
        for sentence in each.doubts:
            found.setdefault(sentence, []).append(each.name)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))
