"""Grad-CAM from pooled gradients against the definition: gradients at the maps, averaged over space."""

import pytest
import torch
from gazekit_components.attention_maps.grad_cam import GradCAM
from torch import Tensor, nn

from gazekit.contracts.types import Output

VIEWS = ("cc", "mlo")


def _output(head: nn.Module, views: tuple[str, ...] = VIEWS, unused: str = "") -> Output:
    generator = torch.Generator().manual_seed(0)
    features = {
        view: torch.randn(3, 4, 5, 2, generator=generator, dtype=torch.float64).requires_grad_()
        for view in views
    }
    pooled = {view: maps.mean(dim=(2, 3)) for view, maps in features.items()}
    fused = torch.cat([pooled[view] for view in views if view != unused], dim=1)
    return Output(head(fused), features, pooled, pooled, fused)


def _head(outputs: int, features: int = 8) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(features, 6), nn.Tanh(), nn.Linear(6, outputs)).double()


def _definition(output: Output, target: Tensor, view: str, *, create_graph: bool = False) -> Tensor:
    """Exam by exam and channel by channel: ``H = sum_i mean_xy(d score / d f_i) f_i``."""
    maps = output.features[view]
    rows = []
    for exam, label in enumerate(target.tolist()):
        logits = output.logits[exam]
        score = (logits[0] if label else -logits[0]) if len(logits) == 1 else logits[label]
        gradient = torch.autograd.grad(score, maps, retain_graph=True, create_graph=create_graph)[0][exam]
        rows.append(sum(gradient[i].mean() * maps[exam, i] for i in range(maps.shape[1])))
    return torch.stack(rows)


@pytest.mark.parametrize(("outputs", "target"), [(1, [0, 1, 1]), (4, [3, 0, 2])])
def test_equals_the_definition_for_binary_and_multi_class_heads(outputs: int, target: list[int]) -> None:
    output, labels = _output(_head(outputs)), torch.tensor(target)
    maps = GradCAM()(output, labels)
    for view in VIEWS:
        torch.testing.assert_close(maps[view], _definition(output, labels, view), rtol=1e-12, atol=1e-15)


def test_the_map_of_the_negative_class_is_the_negated_map() -> None:
    output = _output(_head(1))
    positive, negative = (GradCAM()(output, torch.full((3,), label)) for label in (1, 0))
    for view in VIEWS:
        assert torch.equal(positive[view], -negative[view])


def test_relu_keeps_the_positive_part() -> None:
    output, target = _output(_head(1)), torch.tensor([1, 0, 1])
    plain, positive = GradCAM()(output, target), GradCAM(relu=True)(output, target)
    for view in VIEWS:
        assert plain[view].min() < 0
        assert torch.equal(positive[view], plain[view].clamp(min=0))


def test_a_view_that_does_not_matter_gets_zeros() -> None:
    output = _output(_head(1, features=4), unused="mlo")
    maps = GradCAM()(output, torch.tensor([1, 1, 0]))
    assert not maps["mlo"].any()
    assert maps["cc"].any()


def test_detached_weights_let_a_loss_reach_the_features_only() -> None:
    head = _head(1)
    output = _output(head)
    total = sum(each.square().sum() for each in GradCAM()(output, torch.tensor([1, 0, 1])).values())
    gradients = torch.autograd.grad(
        total, [*output.features.values(), *head.parameters()], allow_unused=True, retain_graph=True
    )
    assert all(gradient.any() for gradient in gradients[:2])
    assert all(gradient is None for gradient in gradients[2:])
    output.logits.sum().backward()  # the graph of the classification is still there


def test_attached_weights_give_the_head_the_gradient_of_the_definition() -> None:
    head = _head(1)
    output, target = _output(head), torch.tensor([1, 0, 1])
    variables = [*output.features.values(), head[0].weight, head[2].weight]

    def gradients(maps: list[Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(sum(each.square().sum() for each in maps), variables, retain_graph=True)

    came = gradients(list(GradCAM(detach_weights=False)(output, target).values()))
    expected = gradients([_definition(output, target, view, create_graph=True) for view in VIEWS])
    torch.testing.assert_close(came, expected, rtol=1e-10, atol=1e-14)
    assert all(gradient.any() for gradient in came)
