"""Predict exam by exam, in a stream: raw image files, prepared in memory like the training data, or prepared
exams.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gazekit.contracts.interfaces import RegionFinder
from gazekit.errors import ConfigurationError
from gazekit.feeding.batches import Stored
from gazekit.feeding.exam_facts import check_some_view
from gazekit.feeding.feed import check_gaze_of_all, check_views
from gazekit.feeding.stored_gaze import stored_gaze
from gazekit.machine import available_cores
from gazekit.prediction.file_grouping import LooseExam, about_exams, without_covariates, without_views
from gazekit.prediction.members import GazeOfImages, KnownOfImages, Member, ask
from gazekit.prediction.uncertainty import predictive_entropy, spread
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.settings import SAME, PreparationSettings
from gazekit.preparing.one_exam import PreparedExam, Task
from gazekit.preparing.redaction import without_names
from gazekit.preparing.regions import finder_of
from gazekit.preparing.workers import prepare_all
from gazekit.records.arrays import in_unit_range, luminance
from gazekit.records.exam import Exam
from gazekit.records.geometry import Geometry
from gazekit.records.refused import Refused
from gazekit.registry.registry import Registry


@dataclass(frozen=True, slots=True, eq=False)
class ExamPrediction:
    """Prediction of one or several models for one exam.

    Args:
        key: the exam's name.
        probabilities: ``[classes]``, mean over the answers.
        entropy: of the probabilities, in bits.
        spread: of the answers, see ``uncertainty``; None for a single answer.
        images: view that the exam has → prepared image ``[H, W]`` in [0, 1], grey.
        attention: view → ``[h, w]`` for the explained class; empty unless requested.
        geometry: view → mapping from raw to prepared pixels.
        findings: remarks about its images, and what was assumed of them, one sentence each, without file names.
        further: further target → probability of each of its classes.
        threshold: the run's, above which the second of two classes is called; 0.5 for several runs.
    """

    key: str
    probabilities: NDArray[np.float64]
    entropy: float
    spread: float | None
    images: dict[str, NDArray[np.float32]] = field(repr=False)
    attention: dict[str, NDArray[np.float32]] = field(repr=False)
    geometry: dict[str, Geometry] = field(repr=False)
    findings: tuple[str, ...] = ()
    further: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    threshold: float = 0.5

    @property
    def called(self) -> int:
        """The class that is called: of two the second above the threshold, else the likeliest."""
        if len(self.probabilities) == 2:
            return int(self.probabilities[1] > self.threshold)
        return int(self.probabilities.argmax())


def __getattr__(name: str) -> Any:
    """Return ``Refused`` under the name it had until 0.1, with a warning, for one release."""
    if name == "Refusal":
        warnings.warn(
            "Refusal is now gazekit.records.refused.Refused; the former name goes in the next release",
            FutureWarning,
            stacklevel=2,
        )
        return Refused
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def predict_loose(
    members: Sequence[Member],
    preparation: PreparationSettings,
    registry: Registry,
    exams: Sequence[LooseExam],
    device: torch.device,
    *,
    batch_size: int = 8,
    explain: bool = False,
    show_names: bool = False,
) -> Iterator[ExamPrediction | Refused]:
    """Predict exams in order; child processes decode them, and only the exams in progress are in memory.

    Args:
        members: models trained on data prepared alike.
        preparation: preparation settings of their training data.
        registry: provides the region that the training data were cut to.
        exams: with absolute paths.
        device: where the models are.
        batch_size: exams at a time.
        explain: also return attention maps.
        show_names: whether reasons may contain file names.

    Raises:
        ConfigurationError: a model reads gaze at inference.
        PluginError: the training data were cut to a region that is not installed.
        DataError: the training data were cut by another version of the region's rules.
    """
    for member in members:
        if member.model.needs_gaze:
            raise ConfigurationError(
                f"preset '{member.preset.name}' reads gaze at inference; predict a prepared data set with gaze"
            )
    finder = finder_of(preparation, registry, "the data that the model was trained on")
    _check_scaled_views(preparation, members[0].preset.views)
    settings = replace(preparation, views=members[0].preset.views)
    waiting: list[tuple[LooseExam, PreparedExam | Refused]] = []
    tasks = (_task(exam, settings, finder) for exam in exams)
    with closing(prepare_all(tasks, min(available_cores(), len(exams)))) as results:
        for pair in zip(exams, results, strict=True):
            waiting.append(pair)
            if len(waiting) == batch_size:
                yield from _decided(members, waiting, device, explain, show_names)
                waiting = []
    yield from _decided(members, waiting, device, explain, show_names)


def _check_scaled_views(preparation: PreparationSettings, views: Sequence[str]) -> None:
    """Raise ConfigurationError if the scale of the training images came from views that the model does not read."""
    others = [view for view in preparation.views if view not in views]
    if preparation.scale == SAME and others:
        raise ConfigurationError(
            f"the training images were brought to one scale with those of {', '.join(others)}, which the model does "
            "not read, so files of its own views alone cannot be prepared alike; predict a prepared data set with all "
            "views (--scale same), or train on one prepared with --scale fill"
        )


def predict_prepared(
    members: Sequence[Member],
    dataset: PreparedDataset,
    device: torch.device,
    *,
    batch_size: int = 8,
    explain: bool = False,
) -> Iterator[ExamPrediction]:
    """Predict all exams of a prepared data set in order, holding one batch in memory.

    Raises:
        ConfigurationError: the data lack a view that the models need.
        DataError: an exam lacks the gaze that a model reads.
    """
    views = members[0].preset.views
    check_views(dataset, members[0].preset)
    needs_gaze = any(member.model.needs_gaze for member in members)
    if needs_gaze:
        check_gaze_of_all(dataset, np.arange(len(dataset)), members[0].preset)
    check_some_view(dataset, np.arange(len(dataset)), members[0].preset)
    columns = [dataset.views.index(view) for view in views]
    for start in range(0, len(dataset), batch_size):
        rows = slice(start, start + batch_size)
        images = np.ascontiguousarray(dataset.images[rows][:, columns])
        gaze = None
        if needs_gaze:
            indices = np.arange(len(dataset))[rows]
            layers = (
                None if dataset.layers is None else np.ascontiguousarray(dataset.layers[rows][:, columns])
            )
            gaze = GazeOfImages(stored_gaze(dataset, indices, members[0].preset, device), layers)
        yield from _predictions(
            members,
            dataset.exam_ids[rows],
            images,
            dataset.geometry[rows],
            device,
            known=KnownOfImages(
                dataset.has_image[rows][:, columns],
                {name: values[rows] for name, values in dataset.covariates.items()},
            ),
            explain=explain,
            gaze=gaze,
        )


def remarks_on(predictions: Iterable[ExamPrediction]) -> Iterator[str]:
    """Word the findings, each once for all exams with it."""
    alike: dict[str, list[str]] = {}
    for each in predictions:
        for finding in each.findings:
            alike.setdefault(finding, []).append(each.key)
    for finding, exams in alike.items():
        yield about_exams(exams, finding)


def _task(loose: LooseExam, settings: PreparationSettings, finder: RegionFinder | None) -> Task | Refused:
    """Make the task for a worker; an exam refused by grouping keeps its reason."""
    if loose.refused:
        return Refused(loose.key, loose.refused)
    exam = Exam(exam_id=loose.key, patient_id="", label="", images=loose.images, laterality=loose.laterality)
    return Task(exam, {}, settings, Path(next(iter(loose.images.values())).anchor), finder)


def _decided(
    members: Sequence[Member],
    pairs: Sequence[tuple[LooseExam, PreparedExam | Refused]],
    device: torch.device,
    explain: bool,
    show_names: bool,
) -> Iterator[ExamPrediction | Refused]:
    """Yield predictions and refused exams in the order of the pairs."""
    usable = [(loose.key, result) for loose, result in pairs if isinstance(result, PreparedExam)]
    found: dict[str, ExamPrediction] = {}
    if usable:
        keys = [key for key, _ in usable]
        present = [[view.has_image for view in result.record.views] for _, result in usable]
        given = {loose.key: loose.covariates for loose, _ in pairs}
        names = {name for key in keys for name in given[key]}
        covariates = {name: np.array([given[key].get(name, np.nan) for key in keys]) for name in names}
        known = KnownOfImages(np.array(present), covariates)
        images = np.stack([result.images for _, result in usable])
        geometry = [{view.view: view.geometry for view in result.record.views} for _, result in usable]
        predicted = _predictions(members, keys, images, geometry, device, known=known, explain=explain)
        assumed = {loose.key: loose.assumed for loose, _ in pairs}
        noticed = {key: (*assumed[key], *_sentences(result)) for key, result in usable}
        found = {each.key: replace(each, findings=noticed[each.key]) for each in predicted}
    for loose, result in pairs:
        if isinstance(result, Refused):
            views = {path: f"view {view}" for view, path in loose.images.items()}
            reason = result.reason if show_names else without_names(result.reason, views)
            yield replace(result, reason=reason)
        else:
            yield found[loose.key]


def _assumed(
    missing: Sequence[str], known: KnownOfImages, row: int, members: Sequence[Member]
) -> tuple[str, ...]:
    """Say which views and which covariates of the models an exam is predicted without."""
    read = dict.fromkeys(name for member in members for name in member.preset.covariates)
    lost = [name for name in read if name not in known.covariates or np.isnan(known.covariates[name][row])]
    return (*([without_views(missing)] if missing else ()), *([without_covariates(lost)] if lost else ()))


def _grey(stored: Stored) -> NDArray[np.float32]:
    image = in_unit_range(stored)
    return luminance(image) if image.ndim == 3 else image


def _sentences(result: PreparedExam) -> tuple[str, ...]:
    return tuple(f"view {each.about} {each.what}" for view in result.record.views for each in view.findings)


def _predictions(
    members: Sequence[Member],
    keys: Sequence[str],
    images: Stored,
    geometry: Sequence[dict[str, Geometry]],
    device: torch.device,
    *,
    known: KnownOfImages,
    explain: bool,
    gaze: GazeOfImages | None = None,
) -> Iterator[ExamPrediction]:
    answers = ask(members, images, device, known=known, explain=explain, gaze=gaze)
    probabilities = answers.probabilities.astype(np.float64)  # [M, n, classes]
    mean = probabilities.mean(axis=0)  # [n, classes]
    entropies = predictive_entropy(probabilities)
    spreads = spread(probabilities)
    further = {name: each.astype(np.float64).mean(axis=0) for name, each in answers.further.items()}
    for row, key in enumerate(keys):
        views = list(enumerate(members[0].preset.views))
        missing = [view for column, view in views if not known.present[row, column]]
        yield ExamPrediction(
            key=key,
            probabilities=mean[row],
            entropy=float(entropies[row]),
            spread=None if spreads is None else float(spreads[row]),
            images={view: _grey(images[row, column]) for column, view in views if view not in missing},
            attention={view: maps[row] for view, maps in answers.attention.items() if view not in missing},
            geometry={view: each for view, each in geometry[row].items() if view not in missing},
            findings=_assumed(missing, known, row, members),
            further={name: mean_of_target[row] for name, mean_of_target in further.items()},
            threshold=members[0].calibration.threshold if len(members) == 1 else 0.5,
        )
