"""The fusion network that concatenation and bidirectional fusion learning share."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

Activation = Literal["tanh", "relu", "gelu"]

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU}


def fusion_network(
    in_features: int, hidden: Sequence[int], *, activation: Activation, dropout: float
) -> nn.Sequential:
    """Build ``[Linear -> activation -> dropout] x n``; without hidden layers it is the identity.

    Args:
        in_features: input features, ``V * D_v``.
        hidden: features out of each layer; the last is ``D``.
        activation: activation after each linear layer.
        dropout: probability in [0, 1) of dropping a feature after each activation.

    Source: Sec. 2.1 ("a stack of linear-activation layers").
    """
    layers: list[nn.Module] = []
    for out_features in hidden:
        layers += [nn.Linear(in_features, out_features), _ACTIVATIONS[activation]()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        in_features = out_features
    return nn.Sequential(*layers)
