"""Carry out one run of a study: start or resume it, then predict and evaluate its test part."""

from collections.abc import Callable

import torch

from gazekit.disk.atomic import check_folder
from gazekit.prepared.dataset import PreparedDataset
from gazekit.presets.preset import Preset
from gazekit.registry.discovery import load_registry
from gazekit.registry.isolation import blaming
from gazekit.registry.registry import Registry
from gazekit.runs.best_epoch import stopped_early
from gazekit.runs.directory import RunDirectory
from gazekit.runs.evaluation import evaluate_run
from gazekit.runs.tracking import followed
from gazekit.runs.trained import open_trained
from gazekit.study.grid import RunTask
from gazekit.training.computing.memory import memory_released
from gazekit.training.loop import State
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, resume_run, split_of, start_run


def carry_out(
    task: RunTask,
    registry: Registry | None = None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train the run from its current state to the end, then evaluate the test part once; skip a finished run.

    Args:
        task: the run.
        registry: provides the components; None loads the installed plugins.
        should_stop: see ``training.loop.train``.

    Raises:
        Preempted: stopped on request; the same task resumes it.
        GazekitError: any error of training; PluginError names the plugin whose code raised anything else.
    """
    registry = registry or load_registry()
    with blaming(registry):
        _carry_out(task, registry, should_stop)


def _carry_out(task: RunTask, registry: Registry, should_stop: Callable[[], bool]) -> None:
    preset = registry.preset(str(task.preset_path)).named(task.system)
    if is_finished(task, preset):
        return
    dataset = PreparedDataset.open(task.data)
    device = torch.device(task.device)
    with memory_released(device):
        run = _run(task, preset, registry, dataset, device)
        with followed(run, registry, (), _silent, warn=run.log) as told:
            continue_run(run, registry, dataset, device=device, should_stop=should_stop, report=told)
        if task.test:
            evaluate_run(open_trained(run.path, registry, device, report=run.log), dataset, "test")


def _silent(_state: State, _batches: int) -> None:
    """Say nothing: the progress of a study is read from its run directories."""


def is_finished(task: RunTask, preset: Preset) -> bool:
    """Say whether a run is fully trained and, if requested, its test predictions come from its final state."""
    if not (task.path / "run.json").exists():
        return False
    run = RunDirectory.open(task.path)
    epochs = run.read_metrics()
    if not epochs:
        return False
    done, best = epochs[-1]["epoch"], epochs[-1]["best_epoch"]
    if done < preset.training.epochs and not stopped_early(done, best, preset.training.patience):
        return False
    if not task.test:
        return True
    if not (run.evaluation.exists() and run.predictions.exists()):
        return False
    evaluation = run.read_evaluation()
    return bool(evaluation["split"] == "test" and evaluation.get("epoch") == best)


def _run(
    task: RunTask, preset: Preset, registry: Registry, dataset: PreparedDataset, device: torch.device
) -> RunDirectory:
    """Open the run to resume, or make a new one. Raises ConfigurationError, DataError: it is not the task's run."""
    for own in (task.path.parent, task.path):  # a link may lead outside the study
        check_folder(own)
    if not (task.path / "run.json").exists():
        split = split_of(preset, dataset, task.split_path)
        settings = StartSettings(
            seed=task.seed,
            device=device,
            leftovers=True,  # from a crash before the run existed
            allow_leak=task.allow_leak,
        )
        return start_run(task.path, preset, registry, dataset, split, settings)
    return check_own(task, preset, registry, dataset)


def check_own(task: RunTask, preset: Preset, registry: Registry, dataset: PreparedDataset) -> RunDirectory:
    """Return the run in a task's directory. Raises ConfigurationError, DataError: it is not the task's run."""
    run = RunDirectory.open(task.path)
    resume_run(
        run,
        preset,
        registry,
        dataset=dataset,
        seed=task.seed,
        split=task.split_path,
        may_extend=False,
        remedy="a run that was moved or copied here does not belong here: remove it, and it is trained again",
    )
    return run
