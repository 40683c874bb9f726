"""Facts about some exams besides pixels and gaze, held on the device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazekit.errors import ConfigurationError, DataError
from gazekit.feeding.random_numbers import PERMUTED_LABELS, random_generator
from gazekit.prepared.dataset import PreparedDataset
from gazekit.presets.preset import Preset


@dataclass(frozen=True, slots=True, eq=False)
class ExamFacts:
    """Labels and whatever else a batch holds of n exams.

    Args:
        labels: ``[n]`` int64; zero where nobody knows the truth.
        targets: further target → ``[n]`` int64, -1 where not known.
        covariates: ``[n, C]`` float32, NaN where not known; None without any.
        present: ``[n, V]`` bool; None where no exam of the data lacks a view.
    """

    labels: Tensor
    targets: Mapping[str, Tensor] = field(default_factory=dict)
    covariates: Tensor | None = None
    present: Tensor | None = None

    def with_permuted_truth(self, *, seed: int) -> "ExamFacts":
        """Exchange labels, and targets with them, among the exams, in an order that is a function of the seed."""
        generator = random_generator(seed=seed, purpose=PERMUTED_LABELS, index=0, epoch=0)
        order = torch.as_tensor(generator.permutation(len(self.labels)), device=self.labels.device)
        targets = {name: truth[order] for name, truth in self.targets.items()}
        return replace(self, labels=self.labels[order], targets=targets)


def labels_alone(labels: NDArray[np.int64], device: torch.device) -> ExamFacts:
    """The facts of exams of which nothing but the label is known."""
    return ExamFacts(torch.as_tensor(labels, device=device))


def exam_facts(
    dataset: PreparedDataset, indices: NDArray[np.int64], preset: Preset, device: torch.device
) -> ExamFacts:
    """The facts of some exams that a preset reads.

    Raises:
        ConfigurationError: the data lack a target or a covariate of the preset.
        DataError: an exam has none of the preset's views.
    """
    check_known(dataset, preset)
    check_some_view(dataset, indices, preset)
    there = dataset.has_image[:, [dataset.views.index(view) for view in preset.views]]
    covariates = covariates_of(dataset, preset.covariates)
    return ExamFacts(
        torch.as_tensor(dataset.labels[indices], device=device),
        {name: torch.as_tensor(dataset.targets[name][indices], device=device) for name in preset.targets},
        torch.as_tensor(covariates[indices], device=device) if preset.covariates else None,
        None if there.all() else torch.as_tensor(there[indices], device=device),
    )


def check_some_view(dataset: PreparedDataset, indices: NDArray[np.int64], preset: Preset) -> None:
    """Raise DataError if an exam has none of a preset's views."""
    columns = [dataset.views.index(view) for view in preset.views]
    none = indices[~dataset.has_image[indices][:, columns].any(axis=1)]
    if len(none):
        raise DataError(
            f"{dataset.root}: exam {dataset.exam_ids[none[0]]} has none of the views {', '.join(preset.views)} (and "
            f"{len(none)} exams in all); prepare the data with --views {','.join(preset.views)}"
        )


def covariates_of(dataset: PreparedDataset, names: Sequence[str]) -> NDArray[np.float32]:
    """Covariates of all exams by name, ``[N, C]``, NaN where not known."""
    columns = [dataset.covariates[name] for name in names]
    return (
        np.stack(columns, axis=1).astype(np.float32) if columns else np.empty((len(dataset), 0), np.float32)
    )


def check_known(dataset: PreparedDataset, preset: Preset) -> None:
    """Raise ConfigurationError if the data lack a target or a covariate of a preset."""
    for key, asked, there in (
        ("targets", preset.targets, dataset.target_classes),
        ("covariates", preset.covariates, dataset.covariates),
    ):
        missing = [name for name in asked if name not in there]
        if missing:
            word = key.removesuffix("s")
            raise ConfigurationError(
                f"{dataset.root}: no {word} '{missing[0]}', which preset '{preset.name}' names in {key}; the data have "
                f"{', '.join(there) or 'none'}: prepare them with a column {word}_{missing[0]}"
            )
