"""Carry out one run of a study: start it or go on with it, then predict and evaluate its test part."""

from collections.abc import Callable

from gazekit.registry import Registry
from gazekit.study.grid import RunTask
from gazekit.training.loop import State

Report = Callable[[State, int], None]


def carry_out(
    task: RunTask,
    registry: Registry | None = None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    report: Report = lambda _state, _batches: None,
) -> None:
    """Train to the end from wherever the run is; a finished run is left as it is.

    Args:
        task: what to run.
        registry: where the components come from; None loads the installed plugins.
        should_stop, report: see ``training.loop.train``.

    Raises:
        Preempted: stopped on request; the same task goes on with it.
        GazekitError: what a training can raise.
    """
    raise NotImplementedError
