"""Measure the cost of a system: parameters, and training step time relative to the reference."""

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

from gazekit.errors import GazekitError
from gazekit.feeding.feed import prepared_exams
from gazekit.modelling.build import build_model, build_objective
from gazekit.modelling.model import MultiViewClassifier
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import Split, indices_of
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.training.computing.captured import fastest
from gazekit.training.computing.execution import chosen_algorithms, prepare_execution
from gazekit.training.computing.step import TrainingStep
from gazekit.training.optimising.optimiser import make_optimizer
from gazekit.training.optimising.recipe import Recipe

_STEPS = 10
_WARM_UP = 5
"""Warm-up rounds; on a GPU the fourth records the step."""


def count_parameters(preset: Preset, registry: Registry, dataset: PreparedDataset) -> int | None:
    """Count the trainable parameters of the model of a data set; None if it cannot be built."""
    try:
        model = _model(preset, registry, dataset)
    except GazekitError:
        return None
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def step_ratios(
    presets: Mapping[str, Preset],
    datasets: Mapping[str, PreparedDataset],
    split: Split,
    registry: Registry,
    *,
    reference: str,
    device: torch.device,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, float]:
    """Divide each system's median step time by the reference's, taking steps in turn in one process.

    A step is augmentation, forward, losses, backward and optimiser, with the reference's batch size.
    A system that cannot take a step is left out; without the reference there are no ratios.

    Args:
        presets, datasets: of every system.
        split: the first exams of its training part are used.
        registry: provides the components.
        reference: name of the system whose ratio is 1.
        device: where steps are timed.
        report: called with the rounds done and in total.
    """
    training = presets[reference].training
    steps: dict[str, Callable[[int], None]] = {}
    with chosen_algorithms(training):
        for name, preset in presets.items():
            try:
                step = _stepper(preset, datasets[name], split, registry, training.batch_size, device)
                step(0)
            except (GazekitError, RuntimeError, ValueError):
                continue
            steps[name] = step
        if reference not in steps:
            return {}
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for turn in range(_WARM_UP + _STEPS):
            for name, step in steps.items():
                begin = _now(device)
                step(turn)
                seconds[name].append(_now(device) - begin)
            report(turn + 1, _WARM_UP + _STEPS)
    medians = {name: statistics.median(times[_WARM_UP:]) for name, times in seconds.items()}
    return {name: median / medians[reference] for name, median in medians.items()}


def _stepper(
    preset: Preset,
    dataset: PreparedDataset,
    split: Split,
    registry: Registry,
    batch: int,
    device: torch.device,
) -> Callable[[int], None]:
    """Make a function that takes one training step."""
    model = _model(preset, registry, dataset).to(device).train()
    prepare_execution(model, preset.training)
    objective = build_objective(preset, registry, model).to(device)
    modules = torch.nn.ModuleDict({"model": model, "objective": objective})
    optimizer = make_optimizer(modules, Recipe.of(preset.training, registry))
    indices = indices_of(dataset, split, "train")[:batch]
    exams = prepared_exams(
        dataset,
        indices,
        preset,
        device,
        with_gaze="gaze" in objective.needs or model.gaze_use == "training",
        with_masks="masks" in objective.needs,
        needs_gaze=model.needs_gaze,
    )
    take = fastest(
        TrainingStep(model, objective, optimizer, preset.training), preset.training, lambda _reason: None
    )
    rows = np.arange(len(indices))

    def step(turn: int) -> None:
        (batch,) = exams.augmented([rows], preset.training.augmentation, seed=0, epoch=turn)
        take(batch)

    return step


def _model(preset: Preset, registry: Registry, dataset: PreparedDataset) -> MultiViewClassifier:
    return build_model(
        preset,
        registry,
        classes=len(dataset.classes),
        targets=dataset.target_classes,
        size=dataset.size,
        in_channels=dataset.settings.channels,
    )


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
