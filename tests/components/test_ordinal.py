"""Proportional odds against a slow implementation."""

import numpy as np
import pytest
import torch
from gazekit_components.heads.ordinal import Ordinal

from gazekit.errors import ConfigurationError


def oracle(score, thresholds):
    """P(y = k) in float64, exam by exam."""
    below = 1 / (1 + np.exp(-(np.asarray(thresholds) - score)))
    return np.diff(np.concatenate([[0.0], below, [1.0]]))


@pytest.mark.parametrize("steps", [(), (0.3,), (0.3, -1.2)])
def test_a_logit_is_the_log_probability_of_its_class(steps):
    torch.manual_seed(0)
    head = Ordinal(5, {"label": len(steps) + 2}, ("cc",), 5).double()
    head.targets["label"].steps.data = torch.tensor(steps, dtype=torch.float64)
    fused = torch.randn(7, 5, dtype=torch.float64)
    found = head(fused, {})["label"].exp().detach().numpy()
    layer = head.targets["label"]
    steps = np.log1p(np.exp(layer.steps.detach().numpy()))
    thresholds = layer.first.item() + np.concatenate([[0.0], np.cumsum(steps)])
    for exam in range(7):
        score = float(fused[exam].numpy() @ layer.score.weight.detach().numpy()[0])
        np.testing.assert_allclose(found[exam], oracle(score, thresholds), rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_thresholds_start_one_apart_around_zero(classes):
    head = Ordinal(1, {"label": classes}, ("cc",), 1)
    found = head(torch.zeros(1, 1), {})["label"].exp()[0].detach().numpy()
    np.testing.assert_allclose(found, oracle(0, np.arange(classes - 1) - (classes - 2) / 2), rtol=1e-4)


def test_far_scores_stay_finite_and_reach_the_ends():
    head = Ordinal(1, {"label": 3}, ("cc",), 1)
    head.targets["label"].score.weight.data.fill_(1.0)
    logits = head(torch.tensor([[-200.0], [200.0]]), {})["label"]
    assert logits.isfinite().all()
    assert logits.argmax(dim=1).tolist() == [0, 2]


def test_a_target_that_is_not_ordered_gets_a_linear_layer_and_an_unknown_one_is_refused():
    head = Ordinal(5, {"label": 1, "density": 4, "lesion": 3}, ("cc",), 5, ordered=("density",))
    assert {name: type(layer).__name__ for name, layer in head.targets.items()} == {
        "label": "Linear",
        "density": "_ProportionalOdds",
        "lesion": "Linear",
    }
    with pytest.raises(
        ConfigurationError, match=r"head.ordered: 'grade' is no target .* some of label: name one"
    ):
        Ordinal(5, {"label": 3}, ("cc",), 5, ordered=("grade",))


def test_a_class_that_hardly_has_a_place_keeps_a_finite_gradient():
    head = Ordinal(1, {"label": 4}, ("cc",), 1)
    layer = head.targets["label"]
    layer.steps.data = torch.tensor([-40.0, 0.5])
    layer.first.data.fill_(30.0)  # beside it the step is lost in rounding
    logits = head(torch.tensor([[0.0], [1.0]]), {})["label"]
    torch.nn.functional.cross_entropy(logits, torch.tensor([1, 2])).backward()
    assert logits.isfinite().all()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in head.parameters())
