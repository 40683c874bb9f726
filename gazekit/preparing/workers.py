"""Exams prepared in child processes, each within limits: a file that crashes a decoder costs its own exam only."""

from collections.abc import Generator, Iterable

from gazekit.preparing.one_exam import PreparedExam, Reject, Task, prepare_exam
from gazekit.reading.parallel import LIMITS, ordered_map


def prepare_all(tasks: Iterable[Task | Reject], jobs: int) -> Generator[PreparedExam | Reject, None, None]:
    """Prepare exams in order; one that dies, hangs or swells is a reject with that reason.

    Args:
        tasks: exams to prepare; rejects pass through.
        jobs: child processes; 0 works in this one, without limits.
    """
    return ordered_map(prepare_exam, tasks, jobs=jobs, limits=LIMITS, lost=_reject)


def _reject(task: Task | Reject, reason: str) -> Reject:
    return task if isinstance(task, Reject) else Reject(task.exam.exam_id, reason)
