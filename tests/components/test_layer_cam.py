"""LayerCAM of every stage of a small network against its definition, place by place."""

import numpy as np
import pytest
import torch
from explained import gradient_of_one, nonlinear_head, output_of
from gazekit_components.attention_maps.cam import CAM
from gazekit_components.attention_maps.layer_cam import LayerCAM
from torch import nn

from gazekit.contracts.types import Output
from gazekit.errors import ConfigurationError

VIEWS = ("cc", "mlo")
GRIDS = ((8, 6), (4, 3), (2, 2))


def _network() -> tuple[nn.ModuleList, nn.Module]:
    torch.manual_seed(0)
    widths = ((1, 3, 1), (3, 4, 2), (4, 5, 2))
    stages = nn.ModuleList(
        nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.Tanh()) for before, after, stride in widths
    )
    return stages.double(), nonlinear_head(3, features=10)


def _output(stages: nn.ModuleList, head: nn.Module) -> Output:
    found = {}
    for seed, view in enumerate(VIEWS):
        generator = torch.Generator().manual_seed(seed)
        maps = torch.randn(3, 1, 8, 6, generator=generator, dtype=torch.float64)
        found[view] = tuple(maps := stage(maps) for stage in stages)
    features = {view: maps[-1] for view, maps in found.items()}
    pooled = {view: maps.mean(dim=(2, 3)) for view, maps in features.items()}
    fused = torch.cat(list(pooled.values()), dim=1)
    return Output(head(fused), features, pooled, pooled, fused, stages=found)


@pytest.mark.parametrize("stage", [1, 2, 3, None])
@pytest.mark.parametrize("relu", [False, True])
def test_equals_the_definition_at_every_stage(stage: int | None, relu: bool) -> None:
    output, target = _output(*_network()), torch.tensor([2, 0, 1])
    maps = LayerCAM(stage=stage, relu=relu)(output, target)
    for view in VIEWS:
        features = output.stages[view][-1 if stage is None else stage - 1]
        assert maps[view].shape == (3, *GRIDS[-1 if stage is None else stage - 1])
        for exam, label in enumerate(target.tolist()):
            gradient = gradient_of_one(output, exam, label, features).numpy()
            expected = np.zeros(features.shape[2:])
            for c in range(features.shape[1]):
                for y in range(expected.shape[0]):
                    for x in range(expected.shape[1]):
                        expected[y, x] += max(gradient[c, y, x], 0) * features[exam, c, y, x].item()
            if relu:
                expected = np.maximum(expected, 0)
            np.testing.assert_allclose(maps[view][exam].detach(), expected, rtol=1e-10, atol=1e-15)


def test_with_a_linear_head_of_positive_weights_the_last_stage_is_cam() -> None:
    head = nn.Linear(8, 1).double()
    with torch.no_grad():
        head.weight.copy_(head.weight.abs())
    output, target = output_of(head), torch.ones(3, dtype=torch.int64)
    layer_cam, cam = LayerCAM()(output, target), CAM()(output, target)
    for view in VIEWS:
        torch.testing.assert_close(15 * layer_cam[view], cam[view], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("detach", [True, False])
def test_a_loss_reaches_the_stages_up_to_it_and_with_attached_weights_all(detach: bool) -> None:
    stages, head = _network()
    output = _output(stages, head)
    maps = LayerCAM(stage=2, detach_weights=detach)(output, torch.tensor([2, 0, 1]))
    total = sum(each.square().sum() for each in maps.values())
    weights = [*(stage[0].weight for stage in stages), head[0].weight]
    gradients = torch.autograd.grad(total, weights, allow_unused=True, retain_graph=True)
    reached = [gradient is not None and bool(gradient.any()) for gradient in gradients]
    assert reached == [True, True, not detach, not detach]
    output.logits.sum().backward()


def test_a_view_that_does_not_matter_gets_zeros() -> None:
    maps = LayerCAM()(output_of(nonlinear_head(1, features=4), unused="mlo"), torch.tensor([1, 1, 0]))
    assert not maps["mlo"].any()
    assert maps["cc"].any()


def test_it_says_that_it_reads_stages_and_which_there_are() -> None:
    assert LayerCAM.reads_stages
    with pytest.raises(ConfigurationError, match=r"stage of 1 … 3, got 4"):
        LayerCAM(stage=4)(_output(*_network()), torch.tensor([2, 0, 1]))
