"""Put the layers of a trained model back to random weights, from the logits down or one at a time."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

from gazekit.contracts.interfaces import AttentionMap
from gazekit.modelling.model import MultiViewClassifier

Layers = dict[str, list[nn.Module]]
"""Layer by name → its modules, one per branch where branches have their own; from the logits down to the images."""


def layers_of(model: MultiViewClassifier, attention_map: AttentionMap | None = None) -> Layers:
    """List the layers of a model that have parameters, from the logits down; a stage of a backbone is one layer.

    An attention map with parameters comes first. The mean and spread of covariates are no layer: data give them.
    """
    found: Layers = {
        "attention map": [attention_map] if isinstance(attention_map, nn.Module) else [],
        "head": [model.head],
        "vector fusion": [model.vector_fusion] if model.vector_fusion is not None else [],
        "projections": [model.projections] if model.projections is not None else [],
        "pooling": list(model.poolings),
    }
    stages = [list(backbone.stages) for backbone in model.backbones]  # type: ignore[arg-type]
    for number in range(len(stages[0]), 0, -1):
        if model.map_fusion is not None and number == model.map_fusion_after:
            found["map fusion"] = [model.map_fusion]
        found[f"stage {number}"] = [branch[number - 1] for branch in stages]
    found["image fusion"] = [model.image_fusion] if model.image_fusion is not None else []
    return {
        name: modules
        for name, modules in found.items()
        if any(True for module in modules for _ in module.parameters())
    }


@contextmanager
def randomised(layers: Layers, fresh: Layers, names: Iterable[str]) -> Iterator[None]:
    """Give some layers the weights, and the statistics of batch norm, of fresh ones within the block.

    Args:
        layers: of the trained model; it is as before after the block.
        fresh: of a model of the same preset with its initial random weights.
        names: of the layers.
    """
    pairs = [pair for name in names for pair in zip(layers[name], fresh[name], strict=True)]
    before = [copy.deepcopy(module.state_dict()) for module, _ in pairs]
    try:
        for module, random in pairs:
            module.load_state_dict(random.state_dict())
        yield
    finally:
        for (module, _), state in zip(pairs, before, strict=True):
            module.load_state_dict(state)
