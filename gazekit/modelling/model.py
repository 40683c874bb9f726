"""The model shell: images → maps → vectors → logits, with the views meeting wherever a fusion says so."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.interfaces import (
    AttentionMap,
    Backbone,
    Head,
    ImageFusion,
    MapFusion,
    Pooling,
    VectorFusion,
)
from gazekit.contracts.types import Extras, Output, Views
from gazekit.errors import ConfigurationError
from gazekit.modelling.head import Covariates
from gazekit.modelling.recompute import attention, recomputed


class MultiViewClassifier(nn.Module):
    """Branches of convolutional stages, up to three fusions, and a head.

    An exam may lack views, as long as it has one. The branch of a missing view sees the exam's first present image in
    its place, so that batch norm sees images; its maps take no part in a fusion of maps (those of the exam stay as they
    are), and its vector is the mean of the vectors of the views that are there. Ours.

    Args:
        views: the views that the branches see, in order.
        backbones: one for all views, or one per view.
        poolings: as many as backbones.
        head: from the fused vector, with the covariates beside it, to the logits.
        outputs: K, the number of logits of the label.
        further_outputs: further target → the number of its logits.
        covariates: standardises the covariates; None = the model reads none.
        image_fusion, map_fusion, vector_fusion: where views meet; None = they do not. Without a vector
            fusion there must be one view, whose vector goes to the head.
        map_fusion_after: stage after which ``map_fusion`` acts, counted from 1.
        projections: ``p_v`` = Linear(pooled) per view; None = ``p_v`` is ``pooled``.
    """

    def __init__(
        self,
        views: Sequence[str],
        backbones: Sequence[Backbone],
        poolings: Sequence[Pooling],
        *,
        head: Head,
        outputs: int,
        further_outputs: Mapping[str, int],
        image_fusion: ImageFusion | None = None,
        map_fusion: MapFusion | None = None,
        map_fusion_after: int = 3,
        projections: nn.ModuleDict | None = None,
        vector_fusion: VectorFusion | None = None,
        covariates: Covariates | None = None,
    ) -> None:
        super().__init__()
        self.views = tuple(views)
        self.backbones = nn.ModuleList(backbones)
        self.poolings = nn.ModuleList(poolings)
        self.image_fusion = image_fusion
        self.map_fusion = map_fusion
        self.map_fusion_after = map_fusion_after
        self.projections = projections
        self.vector_fusion = vector_fusion
        self.head = head
        self.outputs = outputs
        self.further_outputs = dict(further_outputs)
        self.covariates = covariates
        self.amp: torch.dtype | None = None
        """Half precision that ``encode`` computes in; its maps are float32 all the same."""
        self.checkpoint_activations = False
        """Whether ``encode`` computes each stage again in the backward pass instead of keeping its activations."""
        self.shows_stages = False
        """Whether the output holds the maps of every stage, for an attention map that reads them."""
        self.composes_attention = False
        """Whether attention is composed of its products: a loss differentiates a gradient that passes through it."""

    @property
    def gaze_use(self) -> str:
        """When the images are fused with gaze: ``"never"``, in ``"training"`` or ``"always"``."""
        return "never" if self.image_fusion is None else gaze_use(type(self.image_fusion))

    @property
    def needs_gaze(self) -> bool:
        """Whether a prediction needs gaze."""
        return self.gaze_use == "always"

    def forward(
        self,
        images: Views,
        gaze: Gaze | None = None,
        present: Views | None = None,
        covariates: Tensor | None = None,
    ) -> Output:
        """Map images ``[B, C, H, W]`` per view to logits ``[B, K]`` and everything that the losses need.

        Args:
            images: per view.
            gaze: read only if the image fusion says that it needs it, in training or always.
            present: per view ``[B]`` bool, which exams have it; None = all have all.
            covariates: ``[B, C]``, NaN where not known; read only by a model that has some.
        """
        return self.classify(self.encode_all(images, gaze, present), present, covariates)

    def encode(self, images: Views, gaze: Gaze | None = None) -> Views:
        """Images to the last feature maps ``[B, C, h, w]``."""
        return self.encode_all(images, gaze).maps

    def encode_all(self, images: Views, gaze: Gaze | None = None, present: Views | None = None) -> "Encoded":
        """Images to the last feature maps, and what the stages show beside them."""
        if self.needs_gaze and gaze is None:
            raise ConfigurationError(
                "this model reads gaze at inference too; give recordings with the images"
            )
        if present is not None:
            images = _with_stand_ins(images, present)
        if self.amp is None:
            with attention(composed=self.composes_attention):
                return self._encode(images, gaze, present)
        device = next(iter(images.values())).device.type
        with attention(composed=self.composes_attention), torch.autocast(device, dtype=self.amp):
            encoded = self._encode(images, gaze, present)
        return Encoded(
            {view: values.float() for view, values in encoded.maps.items()},
            encoded.stages,
            {view: tuple(map(_in_float, found)) for view, found in encoded.extras.items()},
        )

    def _encode(self, images: Views, gaze: Gaze | None, present: Views | None) -> "Encoded":
        if self.image_fusion is not None:
            handed = self.needs_gaze or (self.gaze_use == "training" and self.training)
            images = self.image_fusion(images, gaze if handed else None)
        maps = {view: images[view] for view in self.views}
        stages: dict[str, tuple[Tensor, ...]] = {}
        extras: dict[str, tuple[Extras, ...]] = {}
        backbones = [cast(Backbone, backbone) for backbone in self.backbones]
        shared = len(backbones) == 1
        for stage in range(len(backbones[0].stages)):
            for branch, view in enumerate(self.views):
                module = backbones[0 if shared else branch].stages[stage]
                run = (
                    partial(recomputed, module, composed=self.composes_attention)
                    if self.checkpoint_activations
                    else module
                )
                reads_extras = getattr(module, "reads_extras", False)
                result = run(maps[view], extras[view][-1]) if reads_extras else run(maps[view])
                maps[view], shown = result if isinstance(result, tuple) else (result, {})
                extras[view] = (*extras.get(view, ()), shown)
            if self.map_fusion is not None and stage + 1 == self.map_fusion_after:
                maps = _where_whole(present, self.map_fusion(maps), maps)
            if self.shows_stages:
                if self.amp is not None:
                    # the next stage reads these: copies beside its input would have no gradient
                    maps = {view: values.float() for view, values in maps.items()}
                stages = {view: (*stages.get(view, ()), maps[view]) for view in self.views}
        shown_somewhere = any(shown for found in extras.values() for shown in found)
        return Encoded(maps, stages, extras if shown_somewhere else {})

    def classify(
        self,
        encoded: "Encoded | Views",
        present: Views | None = None,
        covariates: Tensor | None = None,
    ) -> Output:
        """The last feature maps to logits; the only part that an attention map of them differentiates.

        Args:
            encoded: from ``encode_all``, or the last maps alone, per view ``[B, C, h, w]``.
            present, covariates: see ``forward``.
        """
        features, stages, extras = encoded if isinstance(encoded, Encoded) else (encoded, {}, {})
        vectors = pooled = self._pool(features, extras)
        if self.projections is not None:
            vectors = {view: self.projections[view](vector) for view, vector in pooled.items()}  # [B, D_v]
        if present is not None:
            vectors = _with_mean_of_present(vectors, present)
        if self.vector_fusion is None:
            fused = vectors[self.views[0]]
        else:
            fused = self.vector_fusion(vectors)  # [B, D]
        known = fused
        if self.covariates is not None:
            if covariates is None:
                raise ConfigurationError(
                    f"this model reads {self.covariates.count} covariates beside the images; give a number, or NaN, "
                    "for each"
                )
            known = torch.cat([fused, self.covariates(covariates)], dim=1)
        (_, logits), *further = self.head(known, vectors).items()
        mean_pooled = all(cast(Pooling, pooling).is_mean for pooling in self.poolings)
        return Output(
            logits, features, pooled, vectors, fused, stages, extras, mean_pooled, further=dict(further)
        )

    def _pool(self, features: Views, extras: dict[str, tuple[Extras, ...]]) -> Views:
        """The last feature maps, and what the last stage shows beside them, to ``[B, C]`` per view."""
        shared = len(self.poolings) == 1
        return {
            view: self.poolings[0 if shared else branch](
                features[view], extras[view][-1] if view in extras else {}
            )
            for branch, view in enumerate(self.views)
        }

    def explain(
        self,
        images: Views,
        attention_map: AttentionMap,
        target: Tensor | None = None,
        gaze: Gaze | None = None,
        present: Views | None = None,
        covariates: Tensor | None = None,
    ) -> tuple[Output, Views]:
        """Logits and attention maps ``[B, h, w]``, without the graph of the backbone unless the map reads stages.

        Args:
            images: per view ``[B, C, H, W]``.
            attention_map: what to compute.
            target: class to explain per exam ``[B]``; None = see ``explained_class``.
            gaze: only for models that need it.
            present, covariates: see ``forward``.
        """
        if self.shows_stages:
            with torch.enable_grad():
                leaves = {view: image.detach().requires_grad_() for view, image in images.items()}
                output = self(leaves, gaze, present, covariates)
                maps = self._attention(attention_map, output, target)
        else:
            with torch.no_grad():
                encoded = self.encode_all(images, gaze, present)
            with torch.enable_grad():
                leaves = {view: each.detach().requires_grad_() for view, each in encoded.maps.items()}
                output = self.classify(Encoded(leaves, {}, encoded.extras), present, covariates)
                maps = self._attention(attention_map, output, target)
        return output, {view: attention.detach() for view, attention in maps.items()}

    def _attention(self, attention_map: AttentionMap, output: Output, target: Tensor | None) -> Views:
        return attention_map(output, explained_class(output.logits) if target is None else target)


class Encoded(NamedTuple):
    """The last feature maps per view, and what the stages show beside them; see ``Output``."""

    maps: Views
    stages: dict[str, tuple[Tensor, ...]]
    extras: dict[str, tuple[Extras, ...]]

    def map(self, function: Callable[[Tensor], Tensor]) -> "Encoded":
        """With a function applied to each tensor."""
        return Encoded.joined([self], lambda same: function(same[0]))

    @staticmethod
    def joined(parts: Sequence["Encoded"], join: Callable[[list[Tensor]], Tensor] = torch.cat) -> "Encoded":
        """The parts of a batch as one."""
        first = parts[0]
        return Encoded(
            {view: join([part.maps[view] for part in parts]) for view in first.maps},
            {
                view: tuple(join([part.stages[view][i] for part in parts]) for i in range(len(maps)))
                for view, maps in first.stages.items()
            },
            {
                view: tuple(
                    {name: join([part.extras[view][i][name] for part in parts]) for name in shown}
                    for i, shown in enumerate(found)
                )
                for view, found in first.extras.items()
            },
        )

    def tensors(self) -> list[Tensor]:
        """Every tensor, in a fixed order."""
        of_stages = [each for maps in self.stages.values() for each in maps]
        shown = [each for found in self.extras.values() for extras in found for each in extras.values()]
        return [*self.maps.values(), *of_stages, *shown]


def _in_float(extras: Extras) -> Extras:
    return {name: each.float() if each.is_floating_point() else each for name, each in extras.items()}


def _with_stand_ins(images: Views, present: Views) -> Views:
    """Replace a missing image by the exam's first present one."""
    first: Tensor | None = None
    for view in reversed(images):
        there = present[view][:, None, None, None]
        first = images[view] if first is None else torch.where(there, images[view], first)
    assert first is not None, "a model has a view"
    return {
        view: torch.where(present[view][:, None, None, None], image, first) for view, image in images.items()
    }


def _where_whole(present: Views | None, fused: Views, own: Views) -> Views:
    """Take fused maps of exams that have all views, and a view's own maps of others."""
    if present is None:
        return fused
    whole = torch.stack([present[view] for view in own if view in present] or [_all(own)]).all(dim=0)
    return {view: torch.where(whole[:, None, None, None], fused[view], maps) for view, maps in own.items()}


def _with_mean_of_present(vectors: Views, present: Views) -> Views:
    """Replace a missing view's vector by the mean of the vectors ``[B, D_v]`` of the present views."""
    there = {view: present.get(view, _all(vectors))[:, None] for view in vectors}
    number = torch.stack(list(there.values())).sum(dim=0).clamp(min=1)
    mean = (
        torch.stack([torch.where(there[view], vector, 0) for view, vector in vectors.items()]).sum(dim=0)
        / number
    )
    return {view: torch.where(there[view], vector, mean) for view, vector in vectors.items()}


def _all(tensors: Views) -> Tensor:
    """True for every exam, ``[B]``: for views that an image fusion has made of all."""
    first = next(iter(tensors.values()))
    return torch.ones(len(first), dtype=torch.bool, device=first.device)


def gaze_use(fusion: type[ImageFusion]) -> str:
    """``needs_gaze`` of an image fusion, which was a bool until 0.1."""
    declared = fusion.needs_gaze
    if isinstance(declared, bool):
        now = "always" if declared else "never"
        warnings.warn(
            f"{fusion.__name__}.needs_gaze = {declared} is now needs_gaze = '{now}'; the bool goes in the next release",
            FutureWarning,
            stacklevel=2,
        )
        return now
    return declared


def explained_class(logits: Tensor) -> Tensor:
    """The class that pictures and measures explain, ``[B, K]`` → ``[B]`` int64.

    The positive class of a binary model, whatever it predicts, for the map of the other class is the same map
    negated; the most probable class of several.
    """
    if logits.shape[1] == 1:
        return torch.ones_like(logits[:, 0], dtype=torch.int64)
    return logits.argmax(dim=1)


def probabilities(logits: Tensor) -> Tensor:
    """``[B, K]`` → ``[B, classes]``, two columns for K = 1."""
    if logits.shape[1] == 1:
        positive = logits[:, 0].sigmoid()
        return torch.stack([1 - positive, positive], dim=1)
    return logits.softmax(dim=1)
