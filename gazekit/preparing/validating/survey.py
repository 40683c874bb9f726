"""Read every image of a raw data set and report its faults, without preparing it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from gazekit.disk.regular_file import is_there
from gazekit.machine import available_cores
from gazekit.prepared.settings import PreparationSettings
from gazekit.preparing.one_exam import Task
from gazekit.preparing.raw.outside_files import outside
from gazekit.preparing.raw.source import RawData, tasks_of, views_of
from gazekit.preparing.validating.corner import Corner
from gazekit.preparing.workers import prepare_all
from gazekit.reading.bit_depth import find_depth
from gazekit.reading.image import BIT_DEPTHS
from gazekit.reading.window import FIRST
from gazekit.records.exam import DOUBT, GAZE, NOTE, ODD, REFUSED_GAZE, Exam
from gazekit.records.refused import Refused

T = TypeVar("T")
_SIZE = (64, 64)
"""Size of the images made only to see whether they can be made."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults found by reading every image with its masks and gaze.

    Args:
        refused: every image that a preparation would refuse.
        doubtful: (exam, view, why) of every image that a preparation would not cut to its region though asked to.
        odd: (exam, view, what) of every image whose header does not fit its pixels or the tables.
        gaze: (exam, view, what) of every gaze recording that looks wrong.
        notes: (exam, view, what) of every image with something else to know, such as a special image.
        refused_gaze: (exam, view, why) of every recording, gaze file or finished heat map that a preparation would
            refuse.
        identical: exam and view of the images that hold the same pixels, a tuple per image.
    """

    refused: tuple[Refused, ...]
    identical: tuple[tuple[str, ...], ...]
    doubtful: tuple[tuple[str, str, str], ...] = ()
    odd: tuple[tuple[str, str, str], ...] = ()
    gaze: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[tuple[str, str, str], ...] = ()
    refused_gaze: tuple[tuple[str, str, str], ...] = ()


def find_faults(
    exams: Sequence[Exam],
    raw: RawData,
    settings: PreparationSettings,
    *,
    jobs: int | None,
    progress: Callable[[int, int], None],
) -> Faults:
    """Read every existing image, with its masks and gaze, as a preparation does.

    Args:
        exams, raw: of a data set.
        settings: of the preparation to come, apart from views and size; without a bit depth the least that holds every
            image, as there.
        jobs: worker processes; None takes one per core.
        progress: called with (images done, images).
    """
    views = views_of(exams)  # view by view, so that a gaze file that exams share is read once for each
    images = [(exam, v) for v in views for exam in exams if v in exam.images and is_there(exam.images[v])]
    if not images:
        return Faults((), ())
    refused: list[Refused] = []
    noticed: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    owners: dict[str, list[str]] = defaultdict(list)
    corner = Corner()
    workers, depth = available_cores() if jobs is None else jobs, settings.bit_depth
    if depth is None and settings.window == FIRST:
        inside = [(exam, v) for exam, v in images if not outside(exam, raw.root, raw.allow_outside)]
        depth = find_depth([exam.images[v] for exam, v in inside], workers, colour=settings.colour)
    tasks = _tasks(images, raw, replace(settings, views=views, size=_SIZE, bit_depth=depth or BIT_DEPTHS[-1]))
    with closing(prepare_all(tasks, workers)) as results:
        for done, ((exam, view), result) in enumerate(zip(images, results, strict=True), start=1):
            if isinstance(result, Refused):
                refused.append(replace(result, view=view))
            else:
                (record,) = result.record.views
                corner.look((record,))
                for each in record.findings:
                    noticed[each.kind].append((exam.exam_id, view, each.what))
                owners[record.digest].append(f"{exam.exam_id} {view}")
            progress(done, len(images))
    noticed[GAZE][:0] = [(each.about, "", each.what) for each in corner.findings()]
    identical = tuple(tuple(same) for same in owners.values() if len(same) > 1)
    kinds = (DOUBT, ODD, GAZE, NOTE, REFUSED_GAZE)
    return Faults(tuple(refused), identical, *(tuple(noticed[kind]) for kind in kinds))


def _tasks(
    images: Sequence[tuple[Exam, str]], raw: RawData, settings: PreparationSettings
) -> Iterator[Task | Refused]:
    ids = {exam.exam_id for exam, _ in images}
    for view, of_view in groupby(images, key=lambda image: image[1]):
        alone = [  # with all its images: a recording says by their names which of them it is of
            replace(
                exam,
                gaze=_only(exam.gaze, view),
                heat_maps=_only(exam.heat_maps, view),
                masks=_only(exam.masks, view),
            )
            for exam, _ in of_view
        ]
        yield from tasks_of(alone, raw, replace(settings, views=(view,)), ids=ids)


def _only(values: Mapping[str, T], view: str) -> dict[str, T]:
    return {view: values[view]} if view in values else {}
