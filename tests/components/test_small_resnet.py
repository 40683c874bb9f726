"""The small residual network: its stride, its blocks, and that it sees the same thing everywhere."""

import pytest
import torch
from gazekit_components.backbones.small_resnet import SmallResNet
from torch import Tensor, nn


def _maps(backbone: SmallResNet, images: Tensor) -> list[Tensor]:
    found = []
    for stage in backbone.stages:
        images = stage(images)
        found.append(images)
    return found


@pytest.mark.parametrize("size", [64, 96])
def test_the_total_stride_is_8_and_the_first_stage_keeps_every_pixel(size: int) -> None:
    maps = _maps(SmallResNet(1), torch.zeros(2, 1, size, size))
    assert [each.shape[2] for each in maps] == [size, size // 2, size // 4, size // 8]
    assert [each.shape[1] for each in maps] == [24, 32, 64, 96] == list(SmallResNet(1).channels)


def test_moving_the_image_by_the_stride_moves_the_maps_by_one_cell() -> None:
    torch.manual_seed(0)
    backbone = SmallResNet(1, widths=(4, 4, 6, 6)).double().eval()
    image = torch.zeros(1, 1, 192, 192, dtype=torch.float64)
    image[:, :, 90:100, 85:99] = torch.randn(10, 14, dtype=torch.float64)
    still, moved = (_maps(backbone, each)[-1] for each in (image, image.roll((8, -16), dims=(2, 3))))
    inside = slice(8, 16)  # far from the border, whose padding does not move
    torch.testing.assert_close(
        moved[..., inside, inside], still.roll((1, -2), dims=(2, 3))[..., inside, inside]
    )
    assert still[..., inside, inside].std() > 0


def test_a_block_whose_last_norm_is_zero_is_its_shortcut() -> None:
    backbone = SmallResNet(1, widths=(4, 4, 6, 6)).eval()
    block = list(backbone.stages[0])[-1]
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    nn.init.zeros_(norms[-1].weight)
    maps = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(block(maps), maps.relu())


def test_the_shortcut_of_a_smaller_stage_is_a_1x1_convolution_of_that_stride() -> None:
    block = SmallResNet(1, widths=(4, 6, 6, 6)).double().eval().stages[1]
    nn.init.zeros_(next(norm for norm in reversed(block.residual) if isinstance(norm, nn.BatchNorm2d)).weight)
    projection, norm = block.shortcut
    maps = torch.randn(2, 4, 9, 8, dtype=torch.float64)
    strided = nn.functional.conv2d(maps, projection.weight, stride=2)
    torch.testing.assert_close(block(maps), norm(strided).relu())
