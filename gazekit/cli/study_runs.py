"""Carry out what is left of a study, and show how far it is."""

import time
from typing import TYPE_CHECKING

from gazekit.cli import console

if TYPE_CHECKING:
    from gazekit.study.grid import RunTask
    from gazekit.study.study import Study


def finish(study: "Study", command: str, *, launcher: str, jobs: int) -> "dict[RunTask, str]":
    """Carry out the runs that are not finished; those that failed, with their reasons.

    Args:
        study: open, its folder locked.
        command: that goes on with it, for who stops it.
        launcher, jobs: see ``study.launch``.

    Raises:
        Preempted: stopped on request; the same command goes on.
    """
    from gazekit.cli.study_progress import StudyProgress
    from gazekit.study.launch import launch
    from gazekit.training.signals import stop_on_signals

    unfinished = study.unfinished()
    console.note(
        f"{len(study.presets)} systems, {len(study.splits)} folds, {study.settings.seeds} seeds: {len(study.tasks)} "
        f"runs, {len(study.tasks) - len(unfinished)} of them done; study directory {study.folder.path}"
    )
    failures: dict[RunTask, str] = {}
    if not unfinished:
        return failures
    epochs = {name: preset.training.epochs for name, preset in study.presets.items()}
    began = time.monotonic()
    with stop_on_signals() as signals, StudyProgress(study.tasks, unfinished, epochs) as progress:
        try:
            outcomes = launch(
                unfinished,
                launcher=launcher,
                jobs=jobs,
                logs=study.folder.path / "logs",
                should_stop=signals.asked,
            )
            for task, reason in outcomes:
                progress.finished(task, reason)
                ended = time.monotonic()
                study.folder.add_seconds(ended - began)  # at once, for a kill leaves no time to
                began = ended
                study.folder.note(f"{task.system}/{task.name}", reason)
                if reason is not None:
                    failures[task] = reason
        except Exception as error:
            signals.explain(error, command)
            raise
        finally:
            study.folder.add_seconds(time.monotonic() - began)
    return failures
