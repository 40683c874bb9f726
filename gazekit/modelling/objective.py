"""The loss: classification, the terms that gaze, masks or plugins bring, and the fusion's own (Eq. 8)."""

import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gazekit.contracts.interfaces import AttentionMap, Term
from gazekit.contracts.types import Batch, Mixture, Output, Views
from gazekit.distributed.processes import share, total
from gazekit.errors import ConfigurationError
from gazekit.modelling.alignment import Alignment
from gazekit.modelling.class_loss import class_losses

OwnLosses = Callable[[Views, Tensor], Mapping[str, Tensor]]
"""From vectors and fused vector to the losses of a fusion itself."""
GAZE = "gaze"
"""Name of the term that the table ``gaze`` of a preset asks for."""


@dataclass(frozen=True, slots=True)
class Losses:
    """The total to minimise and its unweighted terms by name, all scalars.

    ``said`` counts the numbers of each term that may say nothing, in the whole batch; with none it is 0.
    """

    total: Tensor
    terms: dict[str, Tensor]
    said: dict[str, Tensor]


class Objective(nn.Module):
    """``L = L_class + Σ_t λ_t c_t L_t + Σ_k w_k L_target,k + μ Σ L_auxiliary``.

    Args:
        attention_map: of the alignment terms that name none; its parameters learn.
        terms: by name, such as ``"gaze"``.
        weights: λ of each term.
        auxiliary_weight: μ.
        auxiliary_losses: of the model's vector fusion; None = it has none.
        class_weights: ``[classes]``; None = all alike.
        targets: further targets, each with the weight w of its cross-entropy and its class weights.
        balanced: let ``balance`` choose the factors ``c_t``, which are 1 before; else they do not exist.

    Source: Sec. 2.4, Eq. 8; the class weights Sec. 3.2.
    """

    class_weights: Tensor | None
    factors: Tensor | None

    def __init__(
        self,
        *,
        attention_map: AttentionMap | None = None,
        terms: Mapping[str, Term | Alignment] | None = None,
        weights: Mapping[str, float] | None = None,
        auxiliary_weight: float = 0.2,
        auxiliary_losses: OwnLosses | None = None,
        class_weights: Tensor | None = None,
        targets: Mapping[str, tuple[float, Tensor | None]] | None = None,
        balanced: bool = False,
    ) -> None:
        super().__init__()
        self.attention_map = attention_map
        self.terms = nn.ModuleDict(terms or {})
        self.weights = dict(weights or {})
        self.auxiliary_weight = auxiliary_weight
        self.auxiliary_losses = auxiliary_losses
        self.targets = {name: weight for name, (weight, _) in (targets or {}).items()}
        self.register_buffer("class_weights", class_weights)
        for name, (_, of_classes) in (targets or {}).items():
            self.register_buffer(f"weights_of_{name}", of_classes, persistent=False)
        self.register_buffer("factors", torch.ones(len(self.terms)) if balanced else None)
        self.label_smoothing = 0.0
        """ε, see ``class_loss``."""
        self.focal_gamma = 0.0
        """γ, see ``class_loss``."""
        self.register_load_state_dict_pre_hook(_with_former_names)  # type: ignore[no-untyped-call]

    def forward(self, output: Output, batch: Batch, *former: Any) -> Losses:
        """Sum the terms for one batch.

        Of a batch that several processes share, each has some exams, and gets its part of every term: the parts
        add up to the term of the whole batch, however the exams are shared out. A fusion's own terms are taken
        to be means over exams.
        """
        if former:  # until 0.1: objective(model, output, batch)
            return self._former(output, batch, *former)
        exams = share(output.logits.new_full((), len(batch.labels)))
        weight = exams
        if self.class_weights is not None and output.logits.shape[1] > 1:  # what its mean is divided by
            weight = share(self._weights(output.logits, batch.labels, batch.mixture).sum())
        classification = self.classification(output.logits, batch.labels, batch.mixture)
        terms = {"classification": weight * classification}
        loss = terms["classification"]
        said = {}
        for number, (name, values) in enumerate(self.values(output, batch).items()):
            terms[name], said[name] = _mean_said(values)
            factor = self.weights[name] if self.factors is None else self.weights[name] * self.factors[number]
            loss = loss + factor * terms[name]
        for name, weight_of_target in self.targets.items():
            key = f"target_{name}"
            terms[key], said[key] = _mean_said(self.of_target(name, output, batch))
            loss = loss + weight_of_target * terms[key]
        if self.auxiliary_losses is not None:
            for name, term in self.auxiliary_losses(output.vectors, output.fused).items():
                terms[name] = exams * term
                loss = loss + self.auxiliary_weight * terms[name]
        return Losses(loss, terms, said)

    def _former(self, model: Any, output: Any, batch: Any) -> Losses:
        warnings.warn(
            "objective(model, output, batch) is now build_objective(preset, registry, model)(output, batch); "
            "the former way goes in the next release",
            FutureWarning,
            stacklevel=4,
        )
        self.auxiliary_losses = model.vector_fusion.auxiliary_losses if model.vector_fusion else None
        return self.forward(output, batch)

    @property
    def needs(self) -> frozenset[str]:
        """The parts of a batch that the terms read besides images and labels: ``"gaze"``, ``"masks"``."""
        return frozenset().union(*(term.needs for term in self.terms.values()))  # type: ignore[arg-type]

    @property
    def differentiates_gradients(self) -> bool:
        """Whether a term compares an attention map that holds a gradient, so that it is differentiated once more."""
        maps = [
            term.attention_map or self.attention_map
            for term in self.terms.values()
            if isinstance(term, Alignment)
        ]
        return any(getattr(each, "differentiates_gradient", False) for each in maps)

    def values(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Evaluate each term, unweighted: ``[B]`` or ``[B, n]``, NaN where it says nothing."""
        maps: dict[tuple[int, str], Views] = {}  # terms that align the same map share it
        found = {}
        for name, term in self.terms.items():
            if isinstance(term, Alignment):
                attention_map = term.attention_map or self.attention_map
                assert attention_map is not None, "a preset with an alignment names an attention map"
                key = (id(attention_map), term.target)
                if key not in maps:
                    maps[key] = attention_map(output, term.explained(output, batch.labels))
                found[name] = term(maps[key], batch)
            else:
                found[name] = term(output, _as_needed(batch, cast(Term, term).needs))
        return found

    def of_target(self, name: str, output: Output, batch: Batch) -> Tensor:
        """Cross-entropy of a further target ``[B]``, NaN where its class, or the partner's in mixup, is not known."""
        weights: Tensor | None = getattr(self, f"weights_of_{name}")

        def losses(labels: Tensor) -> Tensor:
            certain = labels.clamp(min=0)
            found = self._each(output.further[name], certain)
            found = found if weights is None else weights[certain] * found
            return torch.where(labels >= 0, found, torch.nan)

        own = losses(batch.targets[name])
        return own if batch.mixture is None else batch.mixture.of(own, losses(batch.mixture.targets[name]))

    def balance(self, output: Output, batch: Batch, names: Collection[str] | None = None) -> list[str]:
        """Choose the factors so that each term pulls at the last maps as hard as classification does.

        ``c_t = ‖∂L_class / ∂A‖ / ‖∂L_t / ∂A‖`` over the last maps A of all views. Losses of different sizes can then be
        compared at the same λ. Ours.

        Args:
            output: of the untrained model, with its graph.
            batch: of training exams.
            names: of the terms to balance; None = all.

        Returns:
            Those of ``names`` without a gradient in this batch, such as a term that says nothing about its exams, or
            with one that is not finite; their factors stay.

        Raises:
            ConfigurationError: a term does not depend on the last maps.
        """
        assert self.factors is not None, "made with balanced=True"
        maps = list(output.features.values())

        def pull(loss: Tensor) -> Tensor | None:
            """The norm of a loss's gradient; None if it does not depend on the maps."""
            if not loss.requires_grad:
                return None
            gradients = torch.autograd.grad(loss, maps, retain_graph=True, allow_unused=True)
            squares = [each.square().sum() for each in gradients if each is not None]
            return torch.stack(squares).sum().sqrt() if squares else None

        reference = pull(self.classification(output.logits, batch.labels))
        assert reference is not None, "the logits are made of the last maps"
        left = []
        for number, (name, values) in enumerate(self.values(output, batch).items()):
            if names is not None and name not in names:
                continue
            mean, said = _mean_said(values)
            own = pull(mean)
            if own is None and said > 0:
                raise ConfigurationError(
                    f"loss.balance = 'gradient' compares gradients at the last maps, on which the term '{name}' does "
                    "not depend (an attention map of inner stages, for example); set loss.balance=none, or align a map "
                    "of the last stage"
                )
            if own is not None and own.isfinite() and (reference / own).isfinite():
                self.factors[number] = reference / own
            else:
                left.append(name)
        return left

    def classification(self, logits: Tensor, labels: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Cross-entropy; binary with pos_weight = w_1 / w_0, so that negatives weigh 1.

        Of mixed images, ``s L(y) + (1 - s) L(y')`` per exam, where s is the share of its own image.
        """
        weights = self.class_weights
        if mixture is not None or self.label_smoothing or self.focal_gamma:
            losses = self._each(logits, labels, weights)
            if mixture is not None:
                losses = mixture.of(losses, self._each(logits, mixture.labels, weights))
            return losses.sum() / self._weights(logits, labels, mixture).sum()
        if logits.shape[1] == 1:
            positive = None if weights is None else weights[1] / weights[0]
            return functional.binary_cross_entropy_with_logits(
                logits[:, 0], labels.to(logits.dtype), pos_weight=positive
            )
        return functional.cross_entropy(logits, labels, weight=weights)

    def _each(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """The losses of the exams, ``[B]``."""
        smoothing, gamma = self.label_smoothing, self.focal_gamma
        return class_losses(logits, labels, weights, label_smoothing=smoothing, focal_gamma=gamma)

    def _weights(self, logits: Tensor, labels: Tensor, mixture: Mixture | None) -> Tensor:
        """Weigh each exam ``[B]``; the mean of the losses divides by the sum."""
        weights = self.class_weights
        if weights is None or logits.shape[1] == 1:
            return torch.ones_like(labels, dtype=logits.dtype)
        return weights[labels] if mixture is None else mixture.of(weights[labels], weights[mixture.labels])


def _as_needed(batch: Batch, needs: frozenset[str]) -> Batch:
    """Hand a term nothing that it does not declare."""
    return replace(
        batch,
        gaze=batch.gaze if "gaze" in needs else None,
        masks=batch.masks if "masks" in needs else None,
    )


def _mean_said(values: Tensor) -> tuple[Tensor, Tensor]:
    """Average the numbers among ``[B]`` or ``[B, n]``, and count them.

    Of a batch in several processes: this process's part of the mean, and the count of all.
    """
    numbers = ~values.isnan()
    said = total(numbers.sum())
    return torch.where(numbers, values, 0).sum() / said.clamp(min=1), said


def _with_former_names(_module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Let the alignment loss of a run that gazekit 0.1 began be found where it is now."""
    former = f"{prefix}alignment_loss."
    for key in [key for key in state if key.startswith(former)]:
        state[f"{prefix}terms.{GAZE}.alignment_loss.{key.removeprefix(former)}"] = state.pop(key)


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights inverse to the class frequencies ``[classes]``; for two, w_1 / w_0 = n_0 / n_1."""
    counts = torch.bincount(labels, minlength=classes).float()
    return counts.sum() / (classes * counts.clamp(min=1))
