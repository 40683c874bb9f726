"""Change a trained model, or its images, and compare the attention maps before and after, exam by exam."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazekit.contracts.interfaces import AttentionMap
from gazekit.contracts.types import Views
from gazekit.errors import ConfigurationError
from gazekit.feeding.batches import Exams
from gazekit.feeding.feed import prepared_exams
from gazekit.feeding.random_numbers import CHECK_NOISE, CHECK_REMOVAL, CHECK_WEIGHTS, random_generator
from gazekit.measures.attention.map_likeness import map_likeness
from gazekit.measures.attention.removal import (
    area_under,
    impute_blurred,
    impute_linearly,
    removal_order,
    removed_pixels,
    with_cells_shuffled,
)
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.measures.gaze.agreement import correlation, nss
from gazekit.measures.gaze.looked_at import LookedAt
from gazekit.modelling.build import build_attention_map, build_model
from gazekit.modelling.randomised import Layers, layers_of, randomised
from gazekit.prediction.changed_images import Change, ExplainedExams, explain_changed, scores_of
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.arrays import Array, Floats, Integers
from gazekit.runs.explain_check.file import Values
from gazekit.runs.trained import Trained

Fill = Literal["linear", "blur"]
_SEEDS = 2**32
"""Seeds that torch tells apart: it drops the higher bits on a CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainCheckSettings:
    """How to check attention maps.

    Args:
        exams: most exams to check, drawn at random from the part.
        draws: random weights, and noises, that are averaged.
        noise: standard deviation of the noise, as a share of the full range of pixels.
        fill: replaces removed pixels: ``linear``, noisy linear imputation (ROAD), or ``blur``.
        steps: shares of removed pixels between none and all.
        seed: of exams, weights, noise and random orders.
    """

    exams: int = 100
    draws: int = 3
    noise: float = 0.02
    fill: Fill = "linear"
    steps: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.exams < 1 or self.draws < 1 or self.steps < 2 or not 0 <= self.noise < math.inf:
            raise ConfigurationError(
                "expected --exams and --draws of at least 1, --steps of at least 2 and a finite --noise of at least 0"
            )
        if not 0 <= self.seed < 2**32:
            raise ConfigurationError(f"--seed {self.seed}: expected a whole number from 0 to {2**32 - 1}")
        if self.fill not in get_args(Fill):
            raise ConfigurationError(f"--fill {self.fill}: expected {' or '.join(get_args(Fill))}")


@dataclass(frozen=True, slots=True, eq=False)
class CheckedMaps:
    """The exams that are checked, with their maps by the trained model.

    Args:
        trained: the run; ``attention_map`` is its own.
        dataset, indices: the exams, ``[N]`` positions.
        exams: the same, as the model reads them.
        target: explained class of each exam, ``[N]``.
        called: class that the run calls in each exam, ``[N]``.
        own: maps and probabilities of the trained model.
        looked: fixations on the exams.
        settings: of the checks.
    """

    trained: Trained
    attention_map: AttentionMap
    dataset: PreparedDataset
    indices: NDArray[np.int64]
    exams: Exams
    target: Integers
    called: Integers
    own: ExplainedExams
    looked: LookedAt
    settings: ExplainCheckSettings

    def _rows_with(self, view: str) -> list[int]:
        """Return the exams that have a view; the maps of the others show a stand-in."""
        column = self.dataset.views.index(view)
        return np.flatnonzero(self.dataset.has_image[self.indices, column]).tolist()

    def explained(self, change: Change | None = None) -> ExplainedExams:
        """Explain the exams with the model as it is now, and changed images."""
        return explain_changed(
            self.trained.model,
            self.exams,
            self.attention_map,
            self.target,
            batch_size=self.trained.preset.training.batch_size,
            change=change,
        )

    def likeness(self, maps: dict[str, NDArray[np.float32]]) -> Values:
        """Compare other maps of the exams with those of the trained model; views averaged."""
        return self._over_views(
            lambda view, row: _likeness(self.own.attention[view][row], maps[view][row], self.dataset.size)
        )

    def other_exams(self) -> Values:
        """Compare the map of each exam with that of the next exam of another patient."""
        patients = [self.dataset.patient_ids[exam] for exam in self.indices]

        def beside(view: str, row: int) -> dict[str, float]:
            there = self._rows_with(view)
            for other in [*(each for each in there if each > row), *there]:
                if patients[other] != patients[row]:
                    maps = self.own.attention[view]
                    return _likeness(maps[row], maps[other], self.dataset.size)
            return {}

        return self._over_views(beside)

    def gaze(self, maps: dict[str, NDArray[np.float32]]) -> Values:
        """Compute NSS, averaged over the readers of an image, and the correlation with gaze; views averaged.

        Not in exams where training aligned the map of another class than the explained one.
        """

        def agreement(view: str, row: int) -> dict[str, float]:
            exam, attention = int(self.indices[row]), maps[view][row]
            if self.trained.explains_another and self.dataset.labels[exam] != self.target[row]:
                return {}
            if not self.dataset.has_gaze[exam, self.dataset.views.index(view)] or not _usable(attention):
                return {}
            points = list(self.looked.points(exam, view).values())
            scores = [nss(attention, own, self.dataset.size) for own in points]
            found = {"nss": float(np.mean(scores))} if scores else {}
            return found | {"correlation": correlation(attention, self.dataset.heat_map(exam, view))}

        return self._over_views(agreement)

    def noise(self, draw: int) -> Values:
        """Compare the maps with those of images under Gaussian noise."""
        width = self.settings.noise / self.trained.preset.data.std

        def noisy(images: Views, rows: Integers) -> Views:
            return {
                view: image + width * self._normal(rows, draw * len(images) + number, image)
                for number, (view, image) in enumerate(images.items())
            }

        return self.likeness(self.explained(noisy).attention)

    def _normal(self, rows: Integers, number: int, like: Tensor) -> Tensor:
        drawn = [
            random_generator(
                seed=self.settings.seed, purpose=CHECK_NOISE, index=int(exam), epoch=number
            ).standard_normal(like.shape[1:])
            for exam in self.indices[rows]
        ]
        return torch.as_tensor(np.stack(drawn), dtype=like.dtype, device=like.device)

    def shift(self) -> Values:
        """Compare the maps with those of images shifted to the right by a cell of the map, shifted back."""
        width, black = self.dataset.size[1], self.trained.preset.data.normalisation()[1]
        by = {view: round(width / maps.shape[2]) for view, maps in self.own.attention.items()}

        def shifted(images: Views, _rows: Integers) -> Views:
            return {
                view: torch.nn.functional.pad(image, (by[view], 0), value=black)[..., : image.shape[-1]]
                if view in by
                else image
                for view, image in images.items()
            }

        maps = self.explained(shifted).attention

        def both(view: str, row: int) -> dict[str, float]:
            if by[view] >= width or not _usable(maps[view][row]):
                return {}
            before, after = (
                resize_bilinear(each[view][row], self.dataset.size) for each in (self.own.attention, maps)
            )
            first, second = before[:, : -by[view]], after[:, by[view] :]
            return map_likeness(first, second, (first.shape[0], first.shape[1]))

        return self._over_views(both)

    def random_weights(self, layers: Layers, fresh: Layers, names: list[str]) -> Values:
        """Compare the maps with those of the model after some layers got random weights, and these with gaze."""
        with randomised(layers, fresh, names):
            maps = self.explained().attention
        return self.likeness(maps) | self.gaze(maps)

    def rows_called(self) -> Integers:
        """Return the rows of the exams that the run calls the explained class."""
        return np.flatnonzero(self.called == self.target)

    def removal(self, rows: Integers) -> Values:
        """Measure the score while pixels are removed, or shown, in the order of the maps and in random order.

        Areas under the probability of the explained class against the share of pixels: ``deletion`` removes the most
        attended first (low is good), ``insertion`` shows the most attended first (high is good), ``random`` does either
        in the order of the map with its cells shuffled. All views at once. Exams other than those of ``rows`` have
        none.
        """
        steps = self.settings.steps
        shares = [step / steps for step in range(1, steps)]
        versions = self._versions(rows, shares)
        scores = scores_of(self.trained.model, self.exams, self.target, rows, versions).astype(np.float64)
        found: Values = {}
        for number, row in enumerate(rows):
            start, end = float(self.own.probabilities[row, self.target[row]]), scores[number, -1]
            deleted, hidden, random = scores[number, :-1].reshape(3, len(shares))
            deletion = area_under([start, *deleted, end])
            insertion = area_under([end, *hidden[::-1], start])
            chance = area_under([start, *random, end])
            for name, value in {
                "deletion": deletion,
                "insertion": insertion,
                "random": chance,
                "deletion_gain": chance - deletion,
                "insertion_gain": insertion - chance,
            }.items():
                found.setdefault(name, [None] * len(self.indices))[row] = value
        return found

    def _versions(self, rows: Integers, shares: list[float]) -> Views:
        """Return each image without shares of its pixels, ``[n, 3 shares + 1, C, H, W]`` per view.

        First without the most attended, then without the least attended, then in random order, last without all.
        """
        images = self.exams.batch(rows).images
        made: dict[str, list[list[Floats]]] = {view: [] for view in images}
        for number, view in enumerate(images):
            there = set(self._rows_with(view)) if view in self.own.attention else set()
            for place, row in enumerate(rows.tolist()):
                image = images[view][place].cpu().numpy()
                if row not in there:
                    made[view].append([image.astype(np.float64)] * (3 * len(shares) + 1))
                    continue
                random = random_generator(
                    seed=self.settings.seed,
                    purpose=CHECK_REMOVAL,
                    index=int(self.indices[row]),
                    epoch=number,
                )
                made[view].append(self._without_pixels(image, self.own.attention[view][row], shares, random))
        device = self.exams.device
        return {
            view: torch.as_tensor(np.stack([np.stack(each) for each in of_exams]).astype(np.float32)).to(
                device
            )
            for view, of_exams in made.items()
        }

    def _without_pixels(
        self, image: Array, attention: Array, shares: list[float], random: np.random.Generator
    ) -> list[Floats]:
        size = self.dataset.size
        order = removal_order(attention, size, random)
        shuffled = removal_order(with_cells_shuffled(attention, random), size, random)
        removed = [
            *(removed_pixels(order, share, size) for share in shares),
            *(removed_pixels(order, share, size, last=True) for share in shares),
            *(removed_pixels(shuffled, share, size) for share in shares),
            np.ones(size, dtype=bool),
        ]
        if self.settings.fill == "blur":
            return [impute_blurred(image, each) for each in removed]
        return [impute_linearly(image, each, random) for each in removed]

    def _over_views(self, measure: Callable[[str, int], dict[str, float]]) -> Values:
        """Average each measure over the views that an exam has; None where no view has it."""
        found: dict[str, list[list[float]]] = {}
        for view in self.own.attention:
            for row in self._rows_with(view):
                for name, value in measure(view, row).items():
                    found.setdefault(name, [[] for _ in self.indices])[row].append(value)
        return {
            name: [float(np.mean(values)) if values else None for values in of_exams]
            for name, of_exams in found.items()
        }


def fresh_seed(run: int, seed: int, draw: int) -> int:
    """Return the seed of random weights: never that of the run, with which they would be its own initial weights.

    Args:
        run: seed of the run, in [0, 2³²).
        seed: of the check.
        draw: number of the random weights, from 0.
    """
    random = random_generator(seed=seed, purpose=CHECK_WEIGHTS, index=0, epoch=draw)
    drawn = int(random.integers(_SEEDS - 1))
    return drawn + (drawn >= run)


def fresh_layers(trained: Trained, settings: ExplainCheckSettings, draw: int) -> Layers:
    """Make the layers of a run's preset with random weights, as at the start of a training without pre-training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fresh_seed(trained.facts.seed, settings.seed, draw))
        model = build_model(trained.preset, trained.registry, **trained.facts.model_arguments())
        attention_map = build_attention_map(trained.preset, trained.registry)
    return layers_of(model, attention_map)


def exams_of_run(trained: Trained, dataset: PreparedDataset, indices: NDArray[np.int64]) -> Exams:
    """Feed some exams of a data set to a run's model."""
    return prepared_exams(
        dataset,
        indices,
        trained.preset,
        trained.device,
        with_gaze=False,
        needs_gaze=trained.model.needs_gaze,
    )


def _usable(attention: Array) -> bool:
    """Whether a map is finite: a network of random weights may overflow."""
    return bool(np.isfinite(attention).all())


def _likeness(first: Array, second: Array, size: tuple[int, int]) -> dict[str, float]:
    return map_likeness(first, second, size) if _usable(first) and _usable(second) else {}
