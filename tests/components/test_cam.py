"""CAM is the head's own weights over the maps, and h w times Grad-CAM."""

import pytest
import torch
from gazekit_components.attention_maps.cam import CAM
from gazekit_components.attention_maps.grad_cam import GradCAM
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gazekit.contracts.types import Output
from gazekit.errors import ConfigurationError

VIEWS = ("cc", "mlo")


def _output(head: nn.Module, height: int = 3, width: int = 5, seed: int = 0) -> Output:
    generator = torch.Generator().manual_seed(seed)
    features = {
        view: torch.randn(2, 4, height, width, generator=generator, dtype=torch.float64).requires_grad_()
        for view in VIEWS
    }
    pooled = {view: maps.mean(dim=(2, 3)) for view, maps in features.items()}
    fused = torch.cat(list(pooled.values()), dim=1)
    return Output(head(fused), features, pooled, pooled, fused)


def test_the_weights_are_those_of_the_head() -> None:
    head, target = nn.Linear(8, 3).double(), torch.tensor([2, 0])
    output = _output(head)
    maps = CAM()(output, target)
    for index, view in enumerate(VIEWS):
        for exam, label in enumerate(target.tolist()):
            weights = head.weight[label, 4 * index : 4 * index + 4].detach()
            expected = sum(weights[i] * output.features[view][exam, i] for i in range(4))
            torch.testing.assert_close(maps[view][exam], expected, rtol=1e-12, atol=1e-15)


@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    outputs=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
def test_is_exactly_h_w_times_grad_cam(height: int, width: int, outputs: int, seed: int) -> None:
    torch.manual_seed(seed)
    output = _output(nn.Linear(8, outputs).double(), height, width, seed)
    target = torch.tensor([0, 1])
    cam, grad_cam = CAM()(output, target), GradCAM()(output, target)
    for view in VIEWS:
        torch.testing.assert_close(cam[view], height * width * grad_cam[view], rtol=1e-12, atol=1e-15)


def test_the_weights_are_detached_and_the_maps_are_not() -> None:
    head = nn.Linear(8, 1).double()
    output = _output(head)
    total = sum(each.square().sum() for each in CAM()(output, torch.tensor([1, 0])).values())
    variables = [*output.features.values(), head.weight]
    *features, weight = torch.autograd.grad(total, variables, allow_unused=True, retain_graph=True)
    assert all(gradient.any() for gradient in features)
    assert weight is None
    output.logits.sum().backward()


def test_relu_keeps_the_positive_part() -> None:
    output, target = _output(nn.Linear(8, 1).double()), torch.tensor([1, 0])
    plain, positive = CAM()(output, target), CAM(relu=True)(output, target)
    assert plain["cc"].min() < 0
    assert torch.equal(positive["cc"], plain["cc"].clamp(min=0))


@pytest.mark.parametrize("frozen", [False, True])
def test_linear_layers_in_a_row_are_linear(frozen: bool) -> None:
    head = (
        nn.Sequential(nn.Linear(8, 5), nn.Dropout(0.5), nn.Linear(5, 1)).double().requires_grad_(not frozen)
    )
    head.eval()
    output = _output(head)
    weights = (head[2].weight @ head[0].weight).detach()[0]
    expected = torch.einsum("c,bchw->bhw", weights[:4], output.features["cc"])
    torch.testing.assert_close(CAM()(output, torch.tensor([1, 1]))["cc"], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.GELU])
def test_a_head_with_an_activation_is_refused(activation: type[nn.Module]) -> None:
    head = nn.Sequential(nn.Linear(8, 5), activation(), nn.Linear(5, 1)).double()
    with pytest.raises(ConfigurationError, match=r"linear in the pooled features.*grad_cam"):
        CAM()(_output(head), torch.tensor([1, 0]))
