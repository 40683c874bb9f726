"""Prepare exams in child processes with limits, so that a file that crashes a decoder costs only its own exam."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

from gazekit.preparing.one_exam import PreparedExam, Task, prepare_exam
from gazekit.reading.parallel import LIMITS, ordered_map
from gazekit.records.refused import Refused


def prepare_all(tasks: Iterable[Task | Refused], jobs: int) -> Generator[PreparedExam | Refused, None, None]:
    """Prepare exams in order; refuse one whose process dies, hangs or takes too much memory.

    Args:
        tasks: exams to prepare, and refused ones, which keep their places without reaching a worker.
        jobs: number of child processes; 0 works in this process, without limits.
    """
    places: deque[Refused | None] = deque()  # None for a task

    def accepted() -> Iterator[Task]:
        for task in tasks:
            places.append(task if isinstance(task, Refused) else None)
            if isinstance(task, Task):
                yield task

    with closing(ordered_map(prepare_exam, accepted(), jobs=jobs, limits=LIMITS, lost=_lost)) as results:
        for result in results:
            while (refused := places.popleft()) is not None:
                yield refused
            yield result
    yield from (refused for refused in places if refused is not None)


def _lost(task: Task, reason: str) -> Refused:
    return Refused(task.exam.exam_id, reason)
