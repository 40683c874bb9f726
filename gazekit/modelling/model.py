"""The model shell: images → maps → vectors → logits, with the views meeting wherever a fusion says so."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from gazekit.contracts.interfaces import AttentionMap, Backbone, ImageFusion, MapFusion, VectorFusion
from gazekit.contracts.types import Output, Views
from gazekit.errors import ConfigurationError
from gazekit.modelling.recompute import recomputed


class MultiViewClassifier(nn.Module):
    """Branches of convolutional stages, up to three fusions, and a linear head.

    Args:
        views: the views that the branches see, in order.
        backbones: one for all views, or one per view.
        outputs: K, the number of logits.
        image_fusion, map_fusion, vector_fusion: where views meet; None = they do not. Without a vector
            fusion there must be one view, whose vector goes to the head.
        map_fusion_after: stage after which ``map_fusion`` acts, counted from 1.
        projections: ``p_v`` = Linear(pooled) per view; None = ``p_v`` is ``pooled``.
        head_features: D, features that reach the head.
    """

    def __init__(
        self,
        views: Sequence[str],
        backbones: Sequence[Backbone],
        *,
        outputs: int,
        head_features: int,
        image_fusion: ImageFusion | None = None,
        map_fusion: MapFusion | None = None,
        map_fusion_after: int = 3,
        projections: nn.ModuleDict | None = None,
        vector_fusion: VectorFusion | None = None,
    ) -> None:
        super().__init__()
        self.views = tuple(views)
        self.backbones = nn.ModuleList(backbones)
        self.image_fusion = image_fusion
        self.map_fusion = map_fusion
        self.map_fusion_after = map_fusion_after
        self.projections = projections
        self.vector_fusion = vector_fusion
        self.head = nn.Linear(head_features, outputs)
        self.amp: torch.dtype | None = None
        """Half precision that ``encode`` computes in; its maps are float32 all the same."""
        self.checkpoint_activations = False
        """Whether ``encode`` computes each stage again in the backward pass instead of keeping its activations."""

    @property
    def needs_gaze(self) -> bool:
        """Whether a prediction needs gaze."""
        return self.image_fusion is not None and self.image_fusion.needs_gaze

    def forward(self, images: Views, gaze: Views | None = None) -> Output:
        """Map images ``[B, C, H, W]`` per view to logits ``[B, K]`` and all that the losses need.

        ``gaze`` (``[B, H, W]`` per view) is read only if the image fusion says that it needs it.
        """
        return self.classify(self.encode(images, gaze))

    def encode(self, images: Views, gaze: Views | None = None) -> Views:
        """Images to the last feature maps ``[B, C, h, w]``."""
        if self.needs_gaze and gaze is None:
            raise ConfigurationError(
                "this model reads gaze at inference too; give recordings with the images"
            )
        if self.amp is None:
            return self._encode(images, gaze)
        with torch.autocast(next(iter(images.values())).device.type, dtype=self.amp):
            maps = self._encode(images, gaze)
        return {view: values.float() for view, values in maps.items()}

    def _encode(self, images: Views, gaze: Views | None) -> Views:
        if self.image_fusion is not None:
            images = self.image_fusion(images, gaze if self.needs_gaze else None)
        maps = {view: images[view] for view in self.views}
        backbones = [cast(Backbone, backbone) for backbone in self.backbones]
        shared = len(backbones) == 1
        for stage in range(len(backbones[0].stages)):
            for branch, view in enumerate(self.views):
                module = backbones[0 if shared else branch].stages[stage]
                run = partial(recomputed, module) if self.checkpoint_activations else module
                maps[view] = run(maps[view])
            if self.map_fusion is not None and stage + 1 == self.map_fusion_after:
                maps = self.map_fusion(maps)
        return maps

    def classify(self, features: Views) -> Output:
        """The last feature maps to logits; the only part that an attention map differentiates."""
        pooled = {view: maps.mean(dim=(2, 3)) for view, maps in features.items()}  # [B, C]
        vectors = pooled
        if self.projections is not None:
            vectors = {view: self.projections[view](vector) for view, vector in pooled.items()}  # [B, D_v]
        if self.vector_fusion is None:
            fused = vectors[self.views[0]]
        else:
            fused = self.vector_fusion(vectors)  # [B, D]
        return Output(self.head(fused), features, pooled, vectors, fused)

    def explain(
        self,
        images: Views,
        attention_map: AttentionMap,
        target: Tensor | None = None,
        gaze: Views | None = None,
    ) -> tuple[Output, Views]:
        """Logits and attention maps ``[B, h, w]`` without the graph of the backbone.

        Args:
            images: per view ``[B, C, H, W]``.
            attention_map: what to compute.
            target: class to explain per exam ``[B]``; None = see ``explained_class``.
            gaze: only for models that need it.
        """
        with torch.no_grad():
            features = self.encode(images, gaze)
        with torch.enable_grad():
            leaves = {view: maps.detach().requires_grad_() for view, maps in features.items()}
            output = self.classify(leaves)
            maps = attention_map(output, explained_class(output.logits) if target is None else target)
        return output, {view: attention.detach() for view, attention in maps.items()}


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
