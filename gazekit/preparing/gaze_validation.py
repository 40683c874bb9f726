"""Every recording of a collection checked, on its image where a data set is at hand."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from gazekit.errors import DataError
from gazekit.gaze.fixations import FixationSettings
from gazekit.gaze.formats import GazeFile
from gazekit.gaze.matching import Joined, Key
from gazekit.gaze.quality import RecordingCheck, doubts_about
from gazekit.preparing.image_check import Drawing, ViewCheck, Viewed, check_view
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
"""Numbers of a check of which a collection has a median."""
FORMER = {"breast": "region", "breast_area": "region_area"}
"""Names that numbers had until 0.1, written beside those of today for one release → the name now."""


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """A recording with its format, its image, and what was found.

    Args:
        recording: as it was read.
        format: the format of its file.
        key: exam and view of its image; None when it matches none.
        check: the numbers.
        image_fault: why its image or masks cannot be used.
        drawing: what an overlay is drawn from; None when none was asked for or it has no fixation.
    """

    recording: Recording
    format: str
    key: Key | None
    check: RecordingCheck
    image_fault: str | None
    drawing: Drawing | None

    @property
    def name(self) -> str:
        """Exam and view where it matches an image, else its file and what it names; and who looked."""
        one = self.recording
        about = self.key or (one.source.name, one.exam_id, one.view, one.image)
        return " ".join(filter(None, (*about, one.reader)))

    @property
    def doubts(self) -> list[str]:
        """What looks wrong with it and how it was read, in sentences that do not name it."""
        return [*self.recording.notes, *doubts_about(self.check)]

    def record(self) -> dict[str, Any]:
        """All of it as plain values."""
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
            "image_fault": self.image_fault,
            "doubts": self.doubts,
        }


def read_files(files: Sequence[GazeFile]) -> tuple[list[Recording], list[str]]:
    """The recordings of all files, and a sentence per file that cannot be read."""
    found: list[Recording] = []
    faults = []
    for file in files:
        try:
            found += file.read()
        except DataError as error:
            faults.append(str(error))
    return found, faults


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
        recordings: what was recorded.
        formats: the format of each file.
        exams, joined: the data set, and which recording belongs to which image; without one, nothing is read.
        settings: how fixations are found.
        draw: give the drawings too.
        jobs: worker processes that read images.
        region: in which dwell is measured, by finder and name.
    """
    images = {(exam.exam_id, view): (exam, path) for exam in exams for view, path in exam.images.items()}
    tasks: list[tuple[Key | None, Viewed]] = []
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
                Checked(each, formats[each.source], image, check, result.fault, d) for each, check, d in found
            ]


def _lost(viewed: Viewed, reason: str) -> ViewCheck:
    """What can be said without the image that took its worker along."""
    return replace(check_view(replace(viewed, image=None)), fault=f"{viewed.image}: {reason}")


def medians(checked: Sequence[Checked]) -> dict[str, float | None]:
    """The median of every number over the recordings that have it; None where none has."""
    values = {name: [getattr(each.check, name) for each in checked] for name in NUMBERS}
    known = {name: [value for value in some if value is not None] for name, some in values.items()}
    found = {name: float(median(some)) if some else None for name, some in known.items()}
    return found | {former: found[now] for former, now in FORMER.items() if now in found}


def doubts(checked: Sequence[Checked]) -> dict[str, list[str]]:
    """What looks wrong → the names of the recordings of which it holds; sentences about most recordings first."""
    found: dict[str, list[str]] = {}
    for each in checked:
        for sentence in each.doubts:
            found.setdefault(sentence, []).append(each.name)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))
