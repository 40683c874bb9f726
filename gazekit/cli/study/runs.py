"""Carry out what is left of a study, and show how far it is."""

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
    from gazekit.cli.study.progress import StudyProgress
    from gazekit.study import study as opened
    from gazekit.training.signals import stop_on_signals

    unfinished = study.unfinished()
    console.note(
        f"{len(study.presets)} systems, {len(study.splits)} folds, {study.settings.seeds} seeds: {len(study.tasks)} "
        f"runs, {len(study.tasks) - len(unfinished)} of them done; study directory {study.folder.path}"
    )
    if not unfinished:
        return {}
    epochs = {name: preset.training.epochs for name, preset in study.presets.items()}
    with stop_on_signals() as signals, StudyProgress(study.tasks, unfinished, epochs) as progress:
        try:
            return opened.finish(
                study, launcher=launcher, jobs=jobs, should_stop=signals.asked, finished=progress.finished
            )
        except Exception as error:
            signals.explain(error, command)
            raise
