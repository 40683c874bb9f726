"""Label smoothing, the focal loss and mixed labels against their formulas in NumPy."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny import random_batch, tiny, without_batch_norm
from torch import nn
from torch.nn import functional

from gazekit.contracts.types import Batch, Mixture
from gazekit.modelling.build import build_model, build_objective
from gazekit.modelling.class_loss import class_losses
from gazekit.modelling.objective import Objective
from gazekit.registry.registry import Registry
from gazekit.training.computing.step import TrainingStep
from gazekit.training.optimising.optimiser import make_optimizer
from gazekit.training.optimising.recipe import Recipe

Array = NDArray[np.float64]


def binary(logits: Array, labels: Array, positive: float, smoothing: float, gamma: float) -> Array:
    """torchvision.ops.sigmoid_focal_loss without alpha, with pos_weight and smoothed targets."""
    p = 1 / (1 + np.exp(-logits))
    t = labels * (1 - smoothing) + smoothing / 2
    cross_entropy = -(positive * t * np.log(p) + (1 - t) * np.log(1 - p))
    p_t = p * t + (1 - p) * (1 - t)
    return (1 - p_t) ** gamma * cross_entropy


def several(
    logits: Array, labels: NDArray[np.int64], weights: Array, smoothing: float, gamma: float
) -> Array:
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = np.empty(len(labels))
    for row, label in enumerate(labels):
        truth = np.full(logits.shape[1], smoothing / logits.shape[1])
        truth[label] += 1 - smoothing
        found[row] = (1 - p[row, label]) ** gamma * -(truth * weights * np.log(p[row])).sum()
    return found


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_losses_are_those_of_the_formulas(smoothing: float, gamma: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(9, 3, generator=generator, dtype=torch.float64)
    labels, weights = torch.arange(9) % 3, torch.tensor([0.5, 1.0, 2.5], dtype=torch.float64)
    came = class_losses(logits, labels, weights, label_smoothing=smoothing, focal_gamma=gamma)
    expected = several(logits.numpy(), labels.numpy(), weights.numpy(), smoothing, gamma)
    np.testing.assert_allclose(came.numpy(), expected, rtol=1e-12)
    two = labels % 2
    came = class_losses(logits[:, :1], two, weights[1:], label_smoothing=smoothing, focal_gamma=gamma)
    expected = binary(logits[:, 0].numpy(), two.numpy().astype(float), 2.5, smoothing, gamma)
    np.testing.assert_allclose(came.numpy(), expected, rtol=1e-12)


def test_the_focal_loss_is_torchvisions() -> None:
    from torchvision.ops import sigmoid_focal_loss

    logits, labels = torch.randn(40, 1), torch.arange(40) % 2
    expected = sigmoid_focal_loss(logits[:, 0], labels.float(), alpha=-1, gamma=2)
    torch.testing.assert_close(class_losses(logits, labels, focal_gamma=2.0), expected)


def test_certain_exams_have_finite_gradients() -> None:
    logits = torch.tensor([[100.0], [-100.0], [0.0]], requires_grad=True)
    class_losses(logits, torch.tensor([1, 0, 1]), focal_gamma=0.5).sum().backward()
    assert logits.grad is not None and bool(logits.grad.isfinite().all()) and bool(logits.grad[2] != 0)


def objective_of(classes: int, smoothing: float = 0.0, gamma: float = 0.0) -> Objective:
    weights = torch.tensor([0.7, 1.9, 1.1][:classes], dtype=torch.float64)
    objective = Objective(class_weights=weights)
    objective.label_smoothing, objective.focal_gamma = smoothing, gamma
    return objective


@pytest.mark.parametrize("classes", [2, 3])
def test_without_an_option_the_mean_is_that_of_torch_and_with_one_it_is_weighed_the_same(
    classes: int,
) -> None:
    logits = torch.randn(8, 1 if classes == 2 else 3, dtype=torch.float64)
    labels = torch.arange(8) % classes
    plain = objective_of(classes).classification(logits, labels)
    nearly = objective_of(classes, smoothing=1e-14).classification(logits, labels)
    torch.testing.assert_close(plain, nearly)
    smooth = objective_of(classes, smoothing=0.2).classification(logits, labels)
    if classes == 3:
        weights = torch.tensor([0.7, 1.9, 1.1], dtype=torch.float64)
        expected = functional.cross_entropy(logits, labels, weight=weights, label_smoothing=0.2)
        torch.testing.assert_close(smooth, expected)
    assert not torch.allclose(smooth, plain)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("smoothing", "gamma"), [(0.0, 0.0), (0.1, 2.0)])
def test_the_loss_of_mixed_labels_is_linear_in_them(classes: int, smoothing: float, gamma: float) -> None:
    objective = objective_of(classes, smoothing, gamma)
    logits = torch.randn(6, 1 if classes == 2 else 3, dtype=torch.float64)
    labels, others = torch.arange(6) % classes, torch.arange(1, 7) % classes
    share = torch.linspace(0.5, 1, 6, dtype=torch.float64)
    weights = torch.tensor([0.7, 1.9, 1.1], dtype=torch.float64)
    divisor = share * weights[labels] + (1 - share) * weights[others] if classes == 3 else torch.ones(6)
    of_classes = weights[:classes]

    def each(truth: torch.Tensor) -> torch.Tensor:
        return class_losses(logits, truth, of_classes, label_smoothing=smoothing, focal_gamma=gamma)

    expected = (share * each(labels) + (1 - share) * each(others)).sum() / divisor.sum()
    came = objective.classification(logits, labels, Mixture(share, others))
    torch.testing.assert_close(came, expected)
    whole = objective.classification(logits, labels, Mixture(torch.ones(6, dtype=torch.float64), others))
    torch.testing.assert_close(whole, objective.classification(logits, labels))


def double(batch: Batch) -> Batch:
    return batch.map(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


def test_a_batch_of_such_losses_in_parts_has_the_gradient_of_the_whole(registry: Registry) -> None:
    plain = random_batch(("cc", "mlo"), exams=7)
    mixture = Mixture(torch.linspace(0.5, 1, 7), torch.arange(7).roll(1) % 2)
    batch = double(Batch(plain.images, plain.labels, plain.gaze, mixture=mixture))
    weights = []
    for parts in (1, 3):
        preset = tiny(
            registry, f"training.accumulate={parts}", "loss.label_smoothing=0.1", "loss.focal_gamma=1.5"
        )
        torch.manual_seed(0)
        model = build_model(preset, registry, classes=2).train()
        objective = build_objective(preset, registry, model, class_weights=torch.tensor([0.7, 1.9]))
        assert (objective.label_smoothing, objective.focal_gamma) == (0.1, 1.5)
        without_batch_norm(model)
        modules = nn.ModuleDict({"model": model, "objective": objective})
        optimizer = make_optimizer(modules, Recipe.of(preset.training, registry))
        step = TrainingStep(model, objective, optimizer, preset.training)
        step(batch)
        weights.append({name: each.clone() for name, each in model.state_dict().items()})
    torch.testing.assert_close(*weights, rtol=1e-7, atol=1e-9)
