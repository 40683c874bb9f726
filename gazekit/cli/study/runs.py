"""Execute the remaining runs of a study, and show the progress."""

from typing import TYPE_CHECKING

from gazekit.cli import console

if TYPE_CHECKING:
    from gazekit.study.grid import RunTask
    from gazekit.study.study import Study


def finish(study: "Study", command: str, *, launcher: str, jobs: int) -> "dict[RunTask, str]":
    """Execute the unfinished runs; return the failed ones with their reasons.

    Args:
        study: an open study, with its folder locked.
        command: command that resumes the study, shown if it is stopped.
        launcher, jobs: see ``study.launch``.

    Raises:
        Preempted: stopped on request; the same command resumes it.
    """
    from gazekit.cli.study.progress import StudyProgress
    from gazekit.disk.wording import counted
    from gazekit.study import study as opened
    from gazekit.study.tuning.nested import finish_tuned, trial_runs
    from gazekit.training.signals import stop_on_signals

    unfinished = study.unfinished()
    tuned = study.settings.tune if study.folder.read()["kind"] == "benchmark" else None
    trials = trial_runs(study) if tuned else []
    sets, splits = len(study.data.sets), len(study.splits)
    dealt = f"{sets} data sets, {splits} splits" if sets > 1 else counted(splits, "fold")
    systems, seeds = counted(len(study.presets), "system"), counted(study.settings.seeds, "seed")
    console.note(
        f"{systems}, {dealt}, {seeds}: {len(study.tasks)} "
        f"runs, {len(study.tasks) - len(unfinished)} of them done; study directory {study.folder.path}"
    )
    if tuned:
        console.note(
            f"each run is tuned first by {counted(tuned.trials, 'trial')} ({tuned.sampler}) on "
            f"{counted(tuned.folds, 'inner fold')}: {counted(len(trials), 'run')} of trials left"
        )
    if not unfinished:
        return {}
    epochs = {name: preset.training.epochs for name, preset in study.presets.items()}
    with (
        stop_on_signals() as signals,
        StudyProgress([*study.tasks, *trials], [*unfinished, *trials], epochs) as progress,
    ):
        try:
            return (finish_tuned if tuned else opened.finish)(
                study, launcher=launcher, jobs=jobs, should_stop=signals.asked, finished=progress.finished
            )
        except Exception as error:
            signals.explain(error, command)
            raise
