"""Check everything before a run starts, so that a run that cannot work leaves nothing behind."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from math import prod
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from gazekit.contracts.interfaces import Term
from gazekit.disk.wording import counted
from gazekit.distributed.membership import count
from gazekit.errors import ConfigurationError, DataError
from gazekit.feeding.batches import Exams, epoch_batches
from gazekit.feeding.exam_facts import check_known, check_some_view
from gazekit.feeding.feed import check_views, prepared_exams
from gazekit.feeding.stored_gaze import TIMES, of_chosen_readers, stored_gaze, unknown_times
from gazekit.modelling.alignment import Alignment
from gazekit.modelling.model import MultiViewClassifier
from gazekit.modelling.objective import Objective
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import check_split, indices_of
from gazekit.presets.preset import Preset
from gazekit.records.arrays import Size
from gazekit.records.labels import doubts as doubts_about_classes
from gazekit.records.labels import in_order
from gazekit.registry.isolation import culprit_of
from gazekit.registry.registry import Registry
from gazekit.runs.selection import doubt
from gazekit.training.checking.trial import TrialBatch

Split = Mapping[str, str]
_SMALLEST_MAP = 4
_TRIED = 8
"""Batches in which a term may begin to say something, to be balanced."""


def check_fits(preset: Preset, dataset: PreparedDataset, split: Split, *, allow_leak: bool = False) -> None:
    """Check, without building a model, that a preset can be trained on the exams of a split.

    Raises:
        ConfigurationError: the data lack a view of the preset.
        DataError: an exam has none of the preset's views, the split is unusable or leaks without permission, or gaze
            supervision lacks gaze.
    """
    check_views(dataset, preset)
    check_known(dataset, preset)
    check_some_view(dataset, np.arange(len(dataset)), preset)
    check_split(dataset, split, allow_leak=allow_leak)
    check_parts(dataset, split)
    _check_gaze(preset, dataset, split)


def try_one_batch(
    model: MultiViewClassifier,
    objective: Objective,
    preset: Preset,
    dataset: PreparedDataset,
    split: Split,
    registry: Registry,
) -> Size:
    """Run the smallest batch through a copy of the model, to find misfits before a run starts.

    Returns:
        Height and width of the smallest final feature map of a branch.

    Raises:
        ConfigurationError: preset and data do not fit, or gaze would supervise maps of a single cell.
        DataError: a term needs lesion masks, and no training exam has one.
        PluginError: a component breaks its promises.
    """
    training = indices_of(dataset, split, "train")
    few = training[: min(_smallest_batch(preset, len(training)), 2)]
    _check_objective(model, objective, preset, dataset, training)
    with_masks = "masks" in objective.needs
    exams = prepared_exams(dataset, few, preset, torch.device("cpu"), with_gaze=True, with_masks=with_masks)
    batch, copy = exams.batch(np.arange(len(few))), deepcopy(model).train()
    trial = TrialBatch(preset, registry)
    trial.watch(copy)
    try:
        output = copy(batch.images, batch.gaze, batch.present, batch.covariates)
        smallest = min((tuple(maps.shape[-2:]) for maps in output.features.values()), key=prod)
        if preset.supervised and prod(smallest) == 1:
            raise ConfigurationError(
                f"preset '{preset.name}': gaze cannot supervise attention maps of 1 × 1, which images of "
                f"{' × '.join(map(str, dataset.size))} px give this backbone; prepare the data with a larger --size "
                f"(the preset is made for {preset.data.size}), take a backbone of smaller stride, "
                "or train with --set gaze=none"
            )
        trial.check_losses(objective, output, batch)
        objective(output, batch)
    except (ValueError, RuntimeError) as error:
        if culprit_of(error, registry):
            raise
        height, width = dataset.size
        raise ConfigurationError(
            f"preset '{preset.name}' cannot be trained on images of {height} × {width} px in batches of "
            f"{preset.training.batch_size}: {error}"
        ) from None
    return smallest


def _check_objective(
    model: MultiViewClassifier,
    objective: Objective,
    preset: Preset,
    dataset: PreparedDataset,
    training: NDArray[np.int64],
) -> None:
    """Raise an error if the terms need what the training cannot give."""
    if "gaze" in objective.needs or (model.gaze_use == "training" and dataset.has_gaze[training].any()):
        _check_gaze_left(objective, preset, dataset, training)
    if "masks" in objective.needs and not dataset.has_mask[training].any():
        raise DataError(
            f"{dataset.root}: none of the {len(training)} training exams has a lesion mask, which a term of preset "
            f"'{preset.name}' needs; prepare data with masks, or switch the term off with --set terms.NAME=none"
        )
    if model.gaze_use == "training" and not dataset.has_gaze[training].any():
        raise DataError(
            f"{dataset.root}: none of the {len(training)} training exams has gaze, which the fusion of images of "
            f"preset '{preset.name}' reads in training; prepare the data with recordings, or take another fusion"
        )
    if model.needs_gaze and preset.training.augmentation.drop_view:
        raise ConfigurationError(
            f"preset '{preset.name}': its model reads gaze at inference too, and a dropped view has none; set "
            "training.augmentation.drop_view=0"
        )
    if model.shows_stages and preset.training.accumulate > 1:
        raise ConfigurationError(
            f"preset '{preset.name}': an attention map reads the maps of inner stages, which training.accumulate > 1 "
            "does not keep; set training.accumulate=1, with a smaller training.batch_size"
        )


def _check_gaze_left(
    objective: Objective, preset: Preset, dataset: PreparedDataset, training: NDArray[np.int64]
) -> None:
    """Raise DataError if the table ``gaze`` leaves no fixation of the training exams that a term could read."""
    if len(stored_gaze(dataset, training, preset, torch.device("cpu")).rows) > 1:
        return
    finished = dataset.layers is not None and dataset.has_gaze[training].any()
    if not finished:
        raise DataError(
            f"{dataset.root}: no fixation of the {len(training)} training exams is left of those that the table gaze "
            f"of preset '{preset.name}' asks for; look at gaze.readers, gaze.window_ms and gaze.minimum_duration_ms"
        )
    for name, term in objective.terms.items():
        if "fixations" in cast(Term | Alignment, term).needs:
            raise DataError(
                f"{dataset.root}: holds finished heat maps, and the loss '{name}' of preset '{preset.name}' reads "
                "fixations; prepare the data with recordings, or take a loss that reads heat maps"
            )


def balance(
    model: MultiViewClassifier,
    objective: Objective,
    preset: Preset,
    dataset: PreparedDataset,
    split: Split,
    seed: int,
) -> None:
    """Choose the factors of the terms, without augmentation; see ``Objective.balance``.

    A term is balanced on the first batch about which it says something, when the exams that have what it needs come
    first in the order of the training.

    Raises:
        ConfigurationError: a term does not depend on the last maps, or says nothing.
    """
    training = indices_of(dataset, split, "train")
    batches = epoch_batches(len(training), preset.training.batch_size, seed=seed, epoch=0)
    with_masks = "masks" in objective.needs
    exams = prepared_exams(
        dataset, training, preset, torch.device("cpu"), with_gaze=True, with_masks=with_masks
    )
    copy, order = deepcopy(model).train(), np.concatenate(batches)
    needs_of = {name: cast(Term | Alignment, term).needs for name, term in objective.terms.items()}
    for needs in dict.fromkeys(needs_of.values()):
        names = [name for name, needed in needs_of.items() if needed == needs]
        first = order[np.argsort(~_has(needs, exams, dataset, preset)[order], kind="stable")]
        for rows in np.array_split(first, len(batches))[:_TRIED]:
            batch = exams.batch(rows)
            output = copy(batch.images, batch.gaze, batch.present, batch.covariates)
            names = objective.balance(output, batch, names)
            if not names:
                break
        else:
            raise ConfigurationError(
                f"preset '{preset.name}': loss.balance = 'gradient' cannot balance the term '{names[0]}', which has no "
                f"gradient, or none that is finite, on training exams of {dataset.root}; set loss.balance=none, or "
                "leave the term out"
            )


def _has(needs: frozenset[str], exams: Exams, dataset: PreparedDataset, preset: Preset) -> NDArray[np.bool_]:
    """Say which exams have what a term needs on one of the preset's views, ``[n]``."""
    columns = [dataset.views.index(view) for view in preset.views]
    found = np.ones(len(exams), dtype=np.bool_)
    if "masks" in needs:
        found &= dataset.has_mask[exams.indices][:, columns].any(axis=1)
    if "gaze" in needs and dataset.layers is None and exams.gaze is not None:  # what the table gaze has left
        found &= (exams.gaze.number > 0).any(dim=1).numpy()
    elif "gaze" in needs:
        found &= dataset.has_gaze[exams.indices][:, columns].any(axis=1)
    return found


def doubts(preset: Preset, dataset: PreparedDataset, split: Split, maps: Size) -> Iterator[str]:
    """List, one line each, conditions that do not stop training but may spoil its result.

    Args:
        preset, dataset, split: of the training.
        maps: height and width of the smallest final feature map, from ``try_one_batch``.
    """
    names = [dataset.classes[label] for label in dataset.labels]
    chosen = dataset.classes != in_order(names)  # chosen by the user or by the data source
    yield from doubts_about_classes(dataset.classes, names, dataset.patient_ids, chosen=chosen)
    if preset.training.labels == "permuted":
        yield "the labels of the training part are permuted: this run is a control and learns nothing true"
    here = " × ".join(map(str, dataset.size))
    if max(dataset.size) < preset.data.size / 2:
        yield (
            f"the images have {here} px, under half of the {preset.data.size} that preset '{preset.name}' is made for; "
            f"prepare them with --size {preset.data.size}"
            + (f", or take --preset {preset.quick}, made for small images" if preset.quick else "")
        )
    if min(maps) < _SMALLEST_MAP and preset.attention_map is not None:
        yield (
            f"attention maps have {' × '.join(map(str, maps))} cells for images of {here} px: they point at nothing "
            f"finer; prepare the data with a larger --size, or take a backbone of smaller stride"
        )
    if text := _doubt_about_finished_maps(preset, dataset, indices_of(dataset, split, "train")):
        yield text
    yield from _doubts_about_unknown_times(preset, dataset, indices_of(dataset, split, "train"))
    val_labels = dataset.labels[indices_of(dataset, split, "val")].tolist()
    if text := doubt(val_labels, len(dataset.classes), preset.training.select):
        yield text
    if not len(indices_of(dataset, split, "test")):
        yield (
            "the split has no test part: evaluate with --part val, whose exams also select the weights, or on other "
            "data (--data OTHER --part all)"
        )


def _doubt_about_finished_maps(preset: Preset, dataset: PreparedDataset, training: NDArray[np.int64]) -> str:
    """Warn of exams whose finished heat maps are not chosen from as the table ``gaze`` asks; empty without them."""
    if dataset.layers is None or preset.gaze is None or not preset.gaze.choices:
        return ""
    table, finished = dataset.fixation_table, dataset.has_gaze.copy()
    finished[table.exam, table.view] = False
    columns = [dataset.views.index(view) for view in preset.views]
    number = int(finished[training][:, columns].any(axis=1).sum())
    if not number:
        return ""
    what = (
        "gaze.readers = 'each' compares attention with no such map"
        if preset.gaze.readers == "each"
        else f"gaze.{preset.gaze.choices[0]} cannot choose from such a map, which is used as it is"
    )
    return f"the gaze of {counted(number, 'training exam')} is a finished heat map, of no known reader and time: {what}"


def _doubts_about_unknown_times(
    preset: Preset, dataset: PreparedDataset, training: NDArray[np.int64]
) -> Iterator[str]:
    """Warn of exams whose recordings have no time by which the table ``gaze`` could choose."""
    if preset.gaze is None:
        return
    table = of_chosen_readers(dataset.fixation_table, preset.gaze, dataset)
    columns = [dataset.views.index(view) for view in preset.views]
    read = np.isin(table.exam, training) & np.isin(table.view, columns)
    for name, unknown in unknown_times(table, preset.gaze).items():
        if number := len(np.unique(table.exam[read & unknown])):
            yield (
                f"recordings of {counted(number, 'training exam')} have no times: gaze.{name} leaves them out, because "
                f"it needs {TIMES[name]}"
            )


def left_out(preset: Preset, objective: Objective) -> Iterator[str]:
    """Name the terms of a preset that its training without gaze leaves out, in one line."""
    names = [name for name, term in preset.terms.items() if term is not None and name not in objective.terms]
    if names:
        yield (
            f"preset '{preset.name}' trains without gaze, so the loss has no {', '.join(names)}; to train with it, "
            "set gaze.readers=mean"
        )


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
    """Raise DataError if there are no exams to train on or to select by."""
    for part in ("train", "val"):
        if len(indices_of(dataset, split, part)) == 0:
            raise DataError(
                f"{dataset.root}: the split has no exam in its part '{part}'; training needs both"
            )


def _check_gaze(preset: Preset, dataset: PreparedDataset, split: Split) -> None:
    """Raise DataError if gaze would supervise but no training exam has gaze."""
    if not preset.supervised:
        return
    training = indices_of(dataset, split, "train")
    if not dataset.has_gaze[training].any():
        raise DataError(
            f"{dataset.root}: none of the {len(training)} training exams has gaze, which preset '{preset.name}' "
            "is supervised by; prepare the data with recordings, or train with --set gaze=none"
        )
