"""Open a finished run for use: load its model with the selected weights, and predict."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gazekit.contracts.interfaces import AttentionMap, PredictsScanpaths
from gazekit.errors import ConfigurationError, DataError
from gazekit.feeding.feed import prepared_exams
from gazekit.modelling.build import build_objective
from gazekit.modelling.model import MultiViewClassifier
from gazekit.prediction.calibration import UNCALIBRATED, Calibration
from gazekit.prediction.loose_exams import TrainedOn, find_exams
from gazekit.prediction.members import IDENTITY, Member, trained_transforms
from gazekit.prediction.predict import ExamPrediction, predict_loose
from gazekit.prediction.predictions import Predictions, predict
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.settings import OF_PIXELS, completed
from gazekit.prepared.splits import indices_of
from gazekit.presets.preset import Preset
from gazekit.records.refused import Refused
from gazekit.registry.registry import Registry
from gazekit.runs.calibration.calibration_file import checksum, read_calibration
from gazekit.runs.checkpoints.checkpoint import put_weights
from gazekit.runs.directory import RunDirectory
from gazekit.runs.files import RunFacts
from gazekit.runs.selection import Weights, Which
from gazekit.runs.stored import (
    check_same_data,
    data_folder,
    load_model,
    other_versions,
    stored_preset,
    stored_split,
)

Progress = Callable[[int, int], None]
"""Told how many exams, steps or checks are done, and their number."""
_SILENT: Progress = lambda _done, _total: None  # noqa: E731


@dataclass(frozen=True, slots=True, repr=False)
class Trained:
    """A run opened for use; ``weights`` says which weights the model has, and why."""

    run: RunDirectory
    facts: RunFacts
    preset: Preset
    model: MultiViewClassifier
    attention_map: AttentionMap | None
    device: torch.device
    weights: Weights
    registry: Registry = field(repr=False)
    scanpath_term: PredictsScanpaths | None = None
    calibration: Calibration = UNCALIBRATED

    def __repr__(self) -> str:
        return (
            f"Trained({str(self.run.path)!r}, preset={self.facts.preset!r}, classes={self.facts.classes}, "
            f"epoch={self.weights.epoch}, device={self.device.type!r})"
        )

    @property
    def explains_another(self) -> bool:
        """Whether gaze aligned the map of the true class, but every picture shows that of the positive class."""
        return self.preset.aligns_label and self.model.outputs == 1

    def predict(
        self, dataset: PreparedDataset, part: str, *, explain: bool = True, report: Progress = _SILENT
    ) -> Predictions:
        """Predict, and explain, one part of a data set (``train``, ``val``, ``test`` or ``all``)."""
        return self.predict_exams(dataset, self.exams_of(dataset, part), explain=explain, report=report)

    def other_than_training(self, dataset: PreparedDataset) -> str:
        """Return the fingerprint of other data; empty for the training data."""
        return "" if dataset.fingerprint == self.facts.fingerprint else dataset.fingerprint

    def exams_of(self, dataset: PreparedDataset, part: str) -> NDArray[np.int64]:
        """Return the positions of a part's exams in a data set. Raises DataError: other data, or none."""
        if part == "all":
            indices = np.arange(len(dataset))
            _check_classes(self, dataset)
            _check_preparation(self, dataset)
        else:
            check_same_data(self.run, self.facts, dataset, "to evaluate on other data, add --part all")
            indices = indices_of(dataset, stored_split(self.run, dataset), part)
        self._check_targets(dataset)
        if len(indices) == 0:
            raise DataError(
                f"{self.run.path}: the split has no exam in its part '{part}'; choose another with --part"
            )
        return indices

    def predict_exams(
        self,
        dataset: PreparedDataset,
        indices: NDArray[np.int64],
        *,
        explain: bool = True,
        report: Progress = _SILENT,
    ) -> Predictions:
        """Predict, and explain, the exams at the given positions of a data set; report how many are done."""
        exams = prepared_exams(
            dataset, indices, self.preset, self.device, with_gaze=False, needs_gaze=self.model.needs_gaze
        )
        return predict(
            self.model,
            exams,
            batch_size=self.preset.training.batch_size,
            attention_map=self.attention_map if explain else None,
            scanpath_term=self.scanpath_term if explain else None,
            calibration=self.calibration,
            report=report,
        )

    def _check_targets(self, dataset: PreparedDataset) -> None:
        """Raise DataError if data number the classes of a further target otherwise than the training data."""
        for name, classes in self.facts.targets.items():
            here = dataset.target_classes.get(name, ())
            if here != classes:
                raise DataError(
                    f"{dataset.root}: target {name} has {', '.join(here) or 'no column'}; the model of {self.run.path} "
                    f"was trained on {', '.join(classes)}; prepare data that say all of these, in the same words"
                )

    def trained_on(self) -> TrainedOn:
        """Describe the training images, so that others can be prepared alike."""
        facts = self.facts
        return TrainedOn(
            self.preset.views, facts.preparation, facts.modalities, facts.sides, self.preset.covariates
        )

    def as_member(self, *, tta: bool = False) -> Member:
        """Return this model as an ensemble member; with ``tta`` it also answers under its training's transforms."""
        height, width = self.facts.preparation["size"]
        augmentation = self.preset.training.augmentation
        transforms = trained_transforms(augmentation, height / width) if tta else IDENTITY[None]
        return Member(self.model, self.preset, self.attention_map, transforms, self.calibration)

    def predict_images(
        self, *paths: Path | str, bit_depth: int | None = None
    ) -> list[ExamPrediction | Refused]:
        """Predict raw image files, folders or tables, prepared like the training data; see ``find_exams``.

        Data sources, DICOM headers or else file names give exam and view (``0012_cc.png``, ``0012_mlo.png``). An exam
        that cannot be predicted is a ``Refused`` with the reason; omissions and assumptions are warnings. No gaze is
        needed. ``bit_depth``: bits used in 16-bit images other than DICOM; None takes that of the training
        data.
        """
        grouping = find_exams([Path(path) for path in paths], self.trained_on(), self.registry)
        for remark in grouping.remarks(str):
            warnings.warn(remark, stacklevel=2)
        return list(
            predict_loose(
                [self.as_member()],
                self.trained_on().settings(bit_depth),
                self.registry,
                grouping.exams,
                self.device,
                explain=True,
                show_names=True,
            )
        )


def _warn(said: str) -> None:
    warnings.warn(said, stacklevel=4)


def open_trained(
    path: Path,
    registry: Registry,
    device: torch.device,
    *,
    which: Which = "selected",
    report: Callable[[str], None] = _warn,
    calibrated: bool = True,
) -> Trained:
    """Open a run with its selected or its last weights; nothing is written into it.

    Args:
        path: the run directory.
        registry: provides the components.
        device: for the model.
        which: the selected weights or the last ones.
        report: called for each damaged checkpoint that is skipped for the one before it, and for each plugin whose
            package has another version now.
        calibrated: use the run's calibration; False does not read it, so that a damaged one can be fitted again.

    Raises:
        DataError: there is no run, no such weights yet, or a file of it is damaged.
    """
    run = RunDirectory.open(path)
    preset = stored_preset(run, registry)
    for text in other_versions(run, preset, registry, "data", "training"):
        report(text)
    model, weights = load_model(run, registry, device, which=which, report=report)
    objective = build_objective(preset, registry, model)
    attention_map = objective.attention_map
    if isinstance(attention_map, torch.nn.Module):
        _put_learnt(run, attention_map, "attention_map.", weights, device)
    terms = {name: term for name, term in objective.terms.items() if isinstance(term, PredictsScanpaths)}
    for name, term in terms.items():
        _put_learnt(run, term, f"terms.{name}.", weights, device)
    return Trained(
        *(run, run.facts(), preset, model, attention_map, device, weights, registry),
        scanpath_term=next(iter(terms.values()), None),
        calibration=_calibration(run, weights, report) if calibrated else UNCALIBRATED,
    )


def _calibration(run: RunDirectory, weights: Weights, report: Callable[[str], None]) -> Calibration:
    """Read the calibration of a run; none where it was fitted to other weights."""
    stored = read_calibration(run)
    if stored is None:
        return UNCALIBRATED
    if stored.weights != checksum(weights.tensors):
        report(
            f"{run.path}: its calibration was fitted to the weights of epoch {stored.epoch}, not to these of epoch "
            f"{weights.epoch}; their probabilities are not calibrated; fit it again with gazekit calibrate"
        )
        return UNCALIBRATED
    return stored.calibration


def _put_learnt(
    run: RunDirectory, module: torch.nn.Module, prefix: str, weights: Weights, device: torch.device
) -> None:
    """Load the parameters of an attention map or a term. Raises DataError: they were not saved."""
    learnt = {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.objective.items()
        if name.startswith(prefix)
    }
    if module.state_dict() and not learnt:
        raise DataError(
            f"{run.path}: its selected weights lack the parameters of {prefix.removesuffix('.')}, which earlier "
            "versions did not save with them; train the run again, or evaluate with --weights last"
        )
    put_weights(module, learnt, run.path)
    module.to(device).eval()


def open_data(trained: Trained, data: PreparedDataset | Path | None) -> PreparedDataset:
    """Open the given data set, or the run's training data.

    A further target or a covariate that other data lack is not known of any exam, and classes of targets are numbered
    as the model does.

    Raises:
        DataError: its classes differ, it lacks a view, or it was prepared otherwise than the training data.
    """
    if isinstance(data, PreparedDataset):
        dataset = data
    else:
        dataset = PreparedDataset.open(data_folder(trained.run, trained.facts, data))
    _check_classes(trained, dataset)
    _check_views(trained, dataset)
    if data is not None:
        _check_preparation(trained, dataset)
    return _with_facts_of(trained, dataset)


def _with_facts_of(trained: Trained, dataset: PreparedDataset) -> PreparedDataset:
    """Return data that know the targets and covariates of a model. Raises DataError: a class that the model does not.

    Other data need not have exams of every class of a target.
    """
    targets, numbered = dict(dataset.targets), dict(dataset.target_classes)
    for name, classes in trained.facts.targets.items():
        here = dataset.target_classes.get(name, ())
        if strange := next((each for each in here if each not in classes), None):
            raise DataError(
                f"{dataset.root}: target {name} has '{strange}'; the model of {trained.run.path} was trained on "
                f"{', '.join(classes)}; write its classes in the same words, and prepare the data again"
            )
        numbers = np.array([*map(classes.index, here), -1])  # the last is found by -1, not known
        own = dataset.targets.get(name, np.full(len(dataset), -1))
        targets[name], numbered[name] = numbers[own], classes
    unknown = {name: np.full(len(dataset), np.nan) for name in trained.preset.covariates}
    covariates = unknown | dataset.covariates
    if numbered == dataset.target_classes and covariates.keys() == dataset.covariates.keys():
        return dataset  # whose pixels may be checked already
    return replace(dataset, targets=targets, target_classes=numbered, covariates=covariates)


def _check_classes(trained: Trained, dataset: PreparedDataset) -> None:
    """Raise DataError if data have other classes than the training data, or the same in another order."""
    if tuple(dataset.classes) != trained.facts.classes:
        raise DataError(
            f"{dataset.root}: classes {', '.join(dataset.classes)}; the model of {trained.run.path} "
            f"was trained on {', '.join(trained.facts.classes)}; {_to_have_equal_classes(dataset, trained)}"
        )


def _check_views(trained: Trained, dataset: PreparedDataset) -> None:
    """Raise DataError if data lack a view that the model reads."""
    views = trained.preset.views
    missing = next((view for view in views if view not in dataset.views), None)
    if missing is not None:
        raise DataError(
            f"{dataset.root}: no view '{missing}', which the model of {trained.run.path} reads; the data have "
            f"{', '.join(dataset.views)}; call them {', '.join(views)} in the table of exams, and prepare them again"
        )


def _to_have_equal_classes(dataset: PreparedDataset, trained: Trained) -> str:
    """Say how to make the classes of the data match the model's."""
    classes = trained.facts.classes
    if sorted(dataset.classes) == sorted(classes):
        return (
            f"prepare them again with --set 'positive={classes[-1]}'"
            if len(classes) == 2
            else "prepare them again with the classes in this order"
        )
    return "label them with these classes and prepare them again"


def check_ensemble(trained: Sequence[Trained]) -> None:
    """Raise ConfigurationError if runs differ in views, classes or preparation, and so cannot share one image."""

    def prepared(each: Trained) -> Mapping[str, Any]:
        return completed(each.facts.preparation)

    for first, other in combinations(trained, 2):  # two may differ where a third records no region
        for what, own, its in (
            ("views", first.preset.views, other.preset.views),
            ("classes", first.facts.classes, other.facts.classes),
            ("targets", first.facts.targets, other.facts.targets),
            *((key, prepared(first)[key], prepared(other)[key]) for key in OF_PIXELS),
        ):
            if own != its and not _is_unrecorded(what, own, its):
                named = "region by the rules of version" if what == "region" else what
                raise ConfigurationError(
                    f"{other.run.path}: {named} {_listed(its)}, but {first.run.path} has {_listed(own)}; an ensemble "
                    "must agree"
                )


def _listed(value: object) -> str:
    """List views, classes, or targets with their classes, as a sentence does."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name} ({_listed(classes)})" for name, classes in value.items()) or "none"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def each_once(trained: Sequence[Trained], said: Callable[[str], None]) -> list[Trained]:
    """Leave out weights of a run that come again, by whatever path; ``said`` is told of each: a run counts once."""
    kept: dict[tuple[str, int], Trained] = {}
    for each in trained:
        key = os.path.realpath(each.run.path), each.weights.epoch
        if key in kept:
            said(f"{each.run.path}: this run is given twice, and counts once in the mean")
        kept.setdefault(key, each)
    return list(kept.values())


def images_of(ensemble: Sequence[Trained]) -> TrainedOn:
    """Describe the training images of runs that agree, and the covariates that any of them reads.

    A region that the first run does not record is that of the next one that does.
    """
    covariates = dict.fromkeys(name for each in ensemble for name in each.preset.covariates)
    first = ensemble[0].trained_on()
    regions = (completed(each.facts.preparation)["masked_by"] for each in ensemble)
    region = next(filter(None, regions), "")
    preparation = {**first.preparation, "masked_by": region} if region else first.preparation
    return replace(first, preparation=preparation, covariates=tuple(covariates))


def open_data_of(ensemble: Sequence[Trained], data: PreparedDataset | Path) -> PreparedDataset:
    """Open a data set for runs that agree; see `open_data`. Raises DataError: any was trained on other images."""
    dataset = open_data(ensemble[0], data)
    for each in ensemble[1:]:
        _check_preparation(each, dataset)
    return dataset


_MAY_DIFFER = ("window", "dtype", "bit_depth")
"""Settings of the pixels that other data may have for themselves: they suit their files."""


def _is_unrecorded(key: str, *values: Any) -> bool:
    """Whether a setting is the region that images are masked by, which an earlier version did not record."""
    return key == "masked_by" and "" in values


def _check_preparation(trained: Trained, dataset: PreparedDataset) -> None:
    """Raise DataError if other data were prepared differently from the training data."""
    here, there = completed(dataset.settings.to_json()), completed(trained.facts.preparation)
    for key in [each for each in OF_PIXELS if each not in _MAY_DIFFER]:
        if here[key] != there[key] and not _is_unrecorded(key, here[key], there[key]):
            how = "cut to its region by the rules of version" if key == "region" else f"prepared with {key}"
            raise DataError(
                f"{dataset.root}: {how} {here[key]}, the data of {trained.run.path} with {there[key]}; "
                "prepare them alike"
            )
