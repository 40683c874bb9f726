"""HiResCAM place by place against its definition, and against CAM and Grad-CAM where they must agree."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from explained import VIEWS, gradient_of_one, nonlinear_head, output_of
from gazekit_components.attention_maps.cam import CAM
from gazekit_components.attention_maps.grad_cam import GradCAM
from gazekit_components.attention_maps.hires_cam import HiResCAM
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn


def norm_pooling(maps: Tensor) -> Tensor:
    """The root mean square, whose gradient differs from place to place."""
    return maps.square().mean(dim=(2, 3)).sqrt()


@pytest.mark.parametrize(("outputs", "target"), [(1, [0, 1, 1]), (4, [3, 0, 2])])
def test_equals_the_definition_for_any_pooling(outputs: int, target: list[int]) -> None:
    output = output_of(nonlinear_head(outputs), pooling=norm_pooling)
    maps = HiResCAM()(output, torch.tensor(target))
    for view in VIEWS:
        features = output.features[view]
        for exam, label in enumerate(target):
            gradient = gradient_of_one(output, exam, label, features).numpy()
            expected = np.zeros(features.shape[2:])
            for channel in range(features.shape[1]):
                for y in range(expected.shape[0]):
                    for x in range(expected.shape[1]):
                        expected[y, x] += gradient[channel, y, x] * features[exam, channel, y, x].item()
            np.testing.assert_allclose(maps[view][exam].detach(), expected, rtol=1e-10, atol=1e-15)


@settings(max_examples=15, deadline=None)
@given(
    grid=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    outputs=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
def test_with_a_linear_head_after_mean_pooling_it_is_cam(
    grid: tuple[int, int], outputs: int, seed: int
) -> None:
    """Up to the ``h w`` of the mean."""
    torch.manual_seed(seed)
    output, target = output_of(nn.Linear(8, outputs).double(), grid=grid, seed=seed), torch.tensor([0, 1, 0])
    hires, cam = HiResCAM()(output, target), CAM()(output, target)
    for view in VIEWS:
        torch.testing.assert_close(grid[0] * grid[1] * hires[view], cam[view], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("relu", [False, True])
def test_after_mean_pooling_it_is_grad_cam_and_after_another_it_is_not(relu: bool) -> None:
    target = torch.tensor([1, 0, 1])
    for pooling, alike in (({}, True), ({"pooling": norm_pooling}, False)):
        output = output_of(nonlinear_head(1), **pooling)
        hires, grad_cam = HiResCAM(relu=relu)(output, target), GradCAM(relu=relu)(output, target)
        assert torch.allclose(hires["cc"], grad_cam["cc"], rtol=1e-12, atol=1e-15) == alike


def test_the_maps_of_a_linear_head_sum_to_the_score_less_its_bias() -> None:
    """Completeness, which the paper proves."""
    head = nn.Linear(8, 1).double()
    output = output_of(head)
    maps = HiResCAM()(output, torch.ones(3, dtype=torch.int64))
    summed = sum(each.sum(dim=(1, 2)) for each in maps.values())
    torch.testing.assert_close(summed, output.logits[:, 0] - head.bias)


def test_a_view_that_does_not_matter_gets_zeros() -> None:
    output = output_of(nonlinear_head(1, features=4), unused="mlo")
    maps = HiResCAM()(output, torch.tensor([1, 1, 0]))
    assert not maps["mlo"].any()
    assert maps["cc"].any()


@pytest.mark.parametrize("detach", [True, False])
def test_whether_a_loss_reaches_the_head(detach: bool) -> None:
    head = nonlinear_head(1)
    output = output_of(head)
    maps = HiResCAM(detach_weights=detach)(output, torch.tensor([1, 0, 1]))
    total = sum(each.square().sum() for each in maps.values())
    variables = [*output.features.values(), head[0].weight, head[2].weight]
    *features, first, last = torch.autograd.grad(total, variables, allow_unused=True, retain_graph=True)
    assert all(gradient.any() for gradient in features)
    assert all((gradient is None) == detach for gradient in (first, last))
    output.logits.sum().backward()  # the graph of the classification is still there


def test_the_attached_gradient_is_that_of_the_function() -> None:
    head = nonlinear_head(3)

    def maps(*features: Tensor) -> Tensor:
        pooled = [norm_pooling(each) for each in features]
        logits = head(torch.cat(pooled, dim=1))
        output = replace(output_of(head), logits=logits, features=dict(zip(VIEWS, features, strict=True)))
        return torch.stack(list(HiResCAM(detach_weights=False)(output, torch.tensor([2, 0, 1])).values()))

    assert torch.autograd.gradcheck(maps, tuple(output_of(head).features.values()), fast_mode=True)
