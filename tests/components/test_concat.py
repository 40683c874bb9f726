"""Late fusion by concatenation, with and without hidden layers."""

import math

import numpy as np
import pytest
import torch
from gazekit_components.fusions.concat import Concat
from torch import nn


def test_without_hidden_layers_it_is_the_concatenation_in_preset_order() -> None:
    fusion = Concat(("cc", "mlo"), 3)
    cc, mlo = torch.randn(4, 3), torch.randn(4, 3)
    fused = fusion({"mlo": mlo, "cc": cc})
    assert torch.equal(fused, torch.cat([cc, mlo], dim=1))
    assert fusion.out_features == 6
    assert not list(fusion.parameters())


ORACLES = {
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
}


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_hidden_layers_are_linear_then_activation(activation: str) -> None:
    torch.manual_seed(1)
    fusion = Concat(("a", "b", "c"), 2, hidden=(5, 4), activation=activation).double()  # type: ignore[arg-type]
    vectors = {view: torch.randn(3, 2, dtype=torch.float64) for view in "abc"}
    layers = [module for module in fusion.modules() if isinstance(module, nn.Linear)]
    expected = np.zeros((3, 4))
    for exam in range(3):
        features = [float(value) for view in "abc" for value in vectors[view][exam]]
        for layer in layers:
            weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
            features = [
                ORACLES[activation](sum(w * x for w, x in zip(row, features, strict=True)) + b)
                for row, b in zip(weight, bias, strict=True)
            ]
        expected[exam] = features
    np.testing.assert_allclose(fusion(vectors).detach().numpy(), expected, rtol=1e-12)
    assert fusion.out_features == 4


def test_dropout_acts_in_training_only() -> None:
    fusion = Concat(("a",), 4, hidden=(2000,), dropout=0.25)
    vectors = {"a": torch.ones(1, 4)}
    assert 0.2 < (fusion.train()(vectors) == 0).float().mean() < 0.3
    assert (fusion.eval()(vectors) != 0).all()
