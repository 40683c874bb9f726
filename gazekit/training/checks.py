"""What is checked before a run begins, so that nothing is left behind by one that cannot work."""

from collections.abc import Mapping
from copy import deepcopy

import numpy as np
import torch

from gazekit.data.feed import prepared_exams
from gazekit.data.prepared import PreparedDataset
from gazekit.data.splits import indices_of
from gazekit.errors import ConfigurationError, DataError
from gazekit.foreign import culprit_of
from gazekit.model import MultiViewClassifier
from gazekit.objective import Objective
from gazekit.preset import Preset
from gazekit.processes import count
from gazekit.registry import Registry
from gazekit.training.trial import Trial

Split = Mapping[str, str]


def try_one_batch(
    model: MultiViewClassifier,
    objective: Objective,
    preset: Preset,
    dataset: PreparedDataset,
    split: Split,
    registry: Registry,
) -> None:
    """Run the smallest batch through a copy of the model, so that what does not fit is said before a run begins.

    Raises:
        ConfigurationError: preset and data do not fit.
        PluginError: a component does not keep its promises.
    """
    training = indices_of(dataset, split, "train")
    few = training[: min(_smallest_batch(preset, len(training)), 2)]
    exams = prepared_exams(dataset, few, preset, torch.device("cpu"), with_gaze=True)
    batch, copy = exams.batch(np.arange(len(few))), deepcopy(model).train()
    trial = Trial(preset, registry)
    trial.watch(copy)
    try:
        output = copy(batch.images, batch.gaze)
        trial.check_losses(copy, objective, output, batch)
        objective(copy, output, batch)
    except (ValueError, RuntimeError) as error:
        if culprit_of(error, registry):
            raise
        height, width = dataset.size
        raise ConfigurationError(
            f"preset '{preset.name}' cannot be trained on images of {height} × {width} px in batches of "
            f"{preset.training.batch_size}: {error}"
        ) from None


def _smallest_batch(preset: Preset, exams: int) -> int:
    return exams // -(-exams // preset.training.batch_size)


def check_processes(preset: Preset, exams: int) -> None:
    """Raise ConfigurationError if more processes train together than the smallest batch has exams."""
    smallest = _smallest_batch(preset, exams)
    if smallest < count():
        raise ConfigurationError(
            f"{count()} processes cannot share batches of {smallest} of the {exams} training exams; start at most "
            f"{smallest}, or choose a larger training.batch_size (now {preset.training.batch_size})"
        )


def check_parts(dataset: PreparedDataset, split: Split) -> None:
    """Raise DataError if there is nothing to train on or nothing to select by."""
    for part in ("train", "val"):
        if len(indices_of(dataset, split, part)) == 0:
            raise DataError(
                f"{dataset.root}: the split has no exam in its part '{part}'; training needs both"
            )


def check_gaze(preset: Preset, dataset: PreparedDataset, split: Split) -> None:
    """Raise DataError if gaze is to supervise and no training exam has any."""
    if preset.gaze is None:
        return
    training = indices_of(dataset, split, "train")
    if not dataset.has_gaze[training].any():
        raise DataError(
            f"{dataset.root}: none of the {len(training)} training exams has gaze, which preset '{preset.name}' "
            "is supervised by; prepare the data with recordings, or train with --set gaze=none"
        )
