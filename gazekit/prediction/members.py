"""Ask the models of an ensemble about the same exams, each under the transforms it was trained with."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazekit.contracts.interfaces import AttentionMap
from gazekit.contracts.types import Views
from gazekit.errors import ConfigurationError
from gazekit.feeding.augment import warp
from gazekit.feeding.batches import ResidentExams, Stored, StoredLayer
from gazekit.feeding.exam_facts import ExamFacts
from gazekit.feeding.stored_gaze import StoredGaze
from gazekit.modelling.model import MultiViewClassifier
from gazekit.prediction.calibration import UNCALIBRATED, Calibration
from gazekit.presets.preset import Preset
from gazekit.presets.tables import AugmentationSettings

Singles = NDArray[np.float32]
IDENTITY = np.eye(2, 3, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A trained model of an ensemble.

    Args:
        model: in evaluation mode.
        preset: names the views and the normalisation.
        attention_map: explains the prediction; None = no explanation.
        transforms: ``[T, 2, 3]`` applied to each image, see ``trained_transforms``.
        calibration: of the probabilities of the label.
    """

    model: MultiViewClassifier
    preset: Preset
    attention_map: AttentionMap | None
    transforms: Singles
    calibration: Calibration = UNCALIBRATED


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """M answers (models × transforms) for n exams.

    Args:
        probabilities: ``[M, n, classes]``.
        attention: view → ``[n, h, w]``, the mean map of all answers; empty unless requested.
        further: further target → ``[M, n, its classes]``.
    """

    probabilities: Singles
    attention: dict[str, Singles]
    further: dict[str, Singles]


def trained_transforms(settings: AugmentationSettings, aspect: float) -> Singles:
    """Return the transforms for test-time augmentation; all lie in the range that training drew from.

    First the unchanged image, then every combination of the flips used in training, then the image rotated by half
    of the largest training rotation to either side.

    Args:
        settings: the augmentation settings of the training.
        aspect: height / width of the images.

    Returns:
        ``[T, 2, 3]``, T from 2 to 6: maps output to input coordinates, as ``warp`` expects.

    Raises:
        ConfigurationError: the training used neither flips nor rotations.
    """
    across = (1, -1) if settings.flip_horizontal else (1,)
    down = (1, -1) if settings.flip_vertical else (1,)
    found = [np.array([[x, 0, 0], [0, y, 0]]) for x, y in itertools.product(across, down)]
    for angle in (settings.rotation / 2, -settings.rotation / 2):
        if angle:
            cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
            found.append(np.array([[cosine, -sine * aspect, 0], [sine / aspect, cosine, 0]]))
    if len(found) == 1:
        raise ConfigurationError(
            "--tta repeats the flips and rotations of the training, and this training used none; leave out --tta"
        )
    return np.stack(found).astype(np.float32)


class KnownOfImages(NamedTuple):
    """Facts about some exams besides pixels and gaze: ``present`` ``[n, V]`` bool, and covariate → ``[n]``, NaN where
    not known."""

    present: NDArray[np.bool_]
    covariates: Mapping[str, NDArray[np.float64]]

    def of(self, preset: Preset, device: torch.device) -> ExamFacts:
        """What a model of a preset reads of them; a covariate that nobody gives is not known."""
        exams = len(self.present)
        columns = [self.covariates.get(name, np.full(exams, np.nan)) for name in preset.covariates]
        return ExamFacts(
            torch.zeros(exams, dtype=torch.int64, device=device),
            covariates=torch.as_tensor(np.stack(columns, axis=1), dtype=torch.float32, device=device)
            if columns
            else None,
            present=None if self.present.all() else torch.as_tensor(self.present, device=device),
        )


class GazeOfImages(NamedTuple):
    """The gaze on some images, for models that read it at inference.

    ``fixations`` are of the same exams; ``heat_maps`` ``[n, V, H, W]`` are those that the data bring finished, if any.
    """

    fixations: StoredGaze
    heat_maps: Stored | None = None


def ask(
    members: Sequence[Member],
    images: Stored,
    device: torch.device,
    *,
    known: KnownOfImages | None = None,
    gaze: GazeOfImages | None = None,
    explain: bool = False,
) -> Answers:
    """Predict exams with every member under each of its transforms.

    A single map is kept as it is. Several maps are each divided by their largest magnitude before averaging, because
    maps of different models share no scale. Maps explain the positive class, or with several classes the one with the
    highest mean probability.

    Args:
        members: with the same views and classes.
        images: ``[n, V, H, W]`` as stored, in colour ``[n, V, 3, H, W]``.
        device: where the models are.
        known: of the exams; None = they have all views and no covariates.
        gaze: on the images, for models that read it at inference.
        explain: also average the attention maps of the members that have one.
    """
    known = known or KnownOfImages(np.ones(images.shape[:2], dtype=bool), {})
    total = sum(len(member.transforms) for member in members)
    wanted = explain and any(member.attention_map for member in members)
    binary = members[0].model.outputs == 1
    single_pass = binary or total == 1
    answers = [
        _answer(*each, explain=wanted and single_pass)
        for each in _questions(members, images, known, gaze, device)
    ]
    joined = np.stack([answer.probabilities for answer in answers])  # [M, n, classes]
    further = {name: np.stack([answer.further[name] for answer in answers]) for name in answers[0].further}
    maps = [answer.maps for answer in answers]
    if wanted and not single_pass:
        target = torch.as_tensor(joined.mean(axis=0).argmax(axis=1), device=device)
        again = _questions(members, images, known, gaze, device)
        maps = [_answer(*each, explain=True, target=target).maps for each in again]
    return Answers(joined, _average([each for each in maps if each]), further)


_Question = tuple[Member, ResidentExams, Singles]


def _questions(
    members: Sequence[Member],
    images: Stored,
    known: KnownOfImages,
    gaze: GazeOfImages | None,
    device: torch.device,
) -> Iterator[_Question]:
    indices = np.arange(len(images))
    fixations, heat_maps = gaze or (None, None)
    pixels = images if images.ndim == 5 else images[:, :, None]  # [n, V, layers, H, W]
    layers: tuple[StoredLayer, ...] = ("image",) * pixels.shape[2]
    if heat_maps is not None:
        pixels = np.concatenate([pixels, heat_maps[:, :, None].astype(pixels.dtype)], axis=2)
        layers = (*layers, "heat_map")
    for member in members:
        facts = known.of(member.preset, device)
        exams = ResidentExams(
            pixels, member.preset, device, indices=indices, facts=facts, layers=layers, gaze=fixations
        )
        for transform in member.transforms:
            yield member, exams, transform


class _Answer(NamedTuple):
    """Probabilities ``[n, classes]`` of the label and of further targets, and each view's maps ``[n, h, w]``."""

    probabilities: Singles
    further: dict[str, Singles]
    maps: Views


def _answer(
    member: Member, exams: ResidentExams, transform: Singles, *, explain: bool, target: Tensor | None = None
) -> _Answer:
    """Ask one question; maps are transformed back."""
    rows = np.arange(len(exams))
    moved = not np.array_equal(transform, IDENTITY)
    theta = np.broadcast_to(transform, (len(exams), len(exams.views), 2, 3)).copy() if moved else None
    batch = exams.batch(rows, theta)
    gaze = batch.gaze if member.model.needs_gaze else None
    maps: Views = {}
    if explain and member.attention_map is not None:
        output, found = member.model.explain(
            batch.images, member.attention_map, target, gaze, batch.present, batch.covariates
        )
        maps = {view: found[view] for view in exams.views if view in found}
    else:
        with torch.no_grad():
            output = member.model(batch.images, gaze, batch.present, batch.covariates)
    if moved:
        back = torch.as_tensor(_inverse(transform), device=exams.device).expand(len(exams), 2, 3)
        maps = {view: warp(each[:, None], back)[:, 0] for view, each in maps.items()}
    further = {name: _chances(logits, UNCALIBRATED) for name, logits in output.further.items()}
    return _Answer(_chances(output.logits, member.calibration), further, maps)


def _chances(logits: Tensor, calibration: Calibration) -> Singles:
    chances: Singles = calibration.probabilities(logits.detach()).cpu().numpy()
    return chances


def _inverse(transform: Singles) -> Singles:
    return np.linalg.inv(np.vstack([transform, [0, 0, 1]]))[:2].astype(np.float32)


def _average(answers: Sequence[Views]) -> dict[str, Singles]:
    """Average the maps of each view, ``[n, h, w]``, on the finest grid among them."""
    if not answers:
        return {}
    mean = {}
    for view in answers[0]:
        maps = [answer[view] for answer in answers if view in answer]
        if len(maps) > 1:
            finest = max((each.shape[1:] for each in maps), key=lambda shape: shape[0] * shape[1])
            maps = [_scaled(each, list(finest)) for each in maps]
        mean[view] = torch.stack(maps).mean(dim=0).cpu().numpy()
    return mean


def _scaled(maps: Tensor, shape: list[int]) -> Tensor:
    """Resize maps ``[n, h, w]`` and divide each by its largest magnitude."""
    highest = maps.abs().amax(dim=(1, 2), keepdim=True)
    scaled = maps / torch.where(highest > 0, highest, 1.0)
    if list(maps.shape[1:]) == shape:
        return scaled
    return torch.nn.functional.interpolate(scaled[:, None], size=shape, mode="bilinear", align_corners=False)[
        :, 0
    ]
