"""The benchmark that says what arithmetic and memory alone would take counts both."""

import importlib
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="module")
def limits():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        yield importlib.import_module("limits")


def test_a_convolution_and_a_product_are_counted_by_hand(limits):
    images = torch.ones(2, 3, 8, 8, requires_grad=True)
    weights = torch.ones(5, 3, 3, 3, requires_grad=True)
    with limits.Counted() as work:
        maps = torch.nn.functional.conv2d(images, weights)  # [2, 5, 6, 6]
        (maps.reshape(2, 180) @ torch.ones(180, 7)).sum().backward()
    multiplied = 2 * 5 * 6 * 6 * 3 * 3 * 3
    assert work.arithmetic["convolutions, forward"] == 2 * multiplied
    assert work.arithmetic["convolutions, backward"] == 4 * multiplied  # of images and of weights
    assert work.arithmetic["matrix products"] == 2 * (2 * 2 * 180 * 7)  # the other matrix needs no gradient
    assert work.bytes["convolutions, forward"] == 4 * (images.numel() + weights.numel() + maps.numel())
    assert work.operations["convolutions, forward"] == work.operations["convolutions, backward"] == 1


def test_looking_at_memory_in_another_way_is_no_work_and_its_gradient_is(limits):
    maps, gradient = torch.zeros(2, 3, 4, requires_grad=True), torch.ones(4)
    with limits.Counted() as looking:
        row = torch.ops.aten._unsafe_view(maps, [6, 4])[0]
    assert not looking.operations and not looking.bytes
    with limits.Counted() as work:
        row.backward(gradient)
    assert work.operations == {limits.OTHER: 1} and work.bytes[limits.OTHER] == 4 * (4 + 24)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::mkldnn_convolution", "convolutions, forward"),
        ("aten.convolution_backward.default", "convolutions, backward"),
        ("aten.native_batch_norm_backward.default", "norms"),
        ("aten::mm", "matrix products"),
        ("aten.baddbmm.default", "matrix products"),
        ("aten.max_pool2d_with_indices.default", "pooling"),
        ("aten::_fused_adam_", "optimiser"),
        ("aten::sum", "element by element, copies"),
        ("aten::comm", "element by element, copies"),  # "mm" within a name is no product
    ],
)
def test_operations_have_kinds(limits, operation, kind):
    assert limits.kind_of(operation) == kind
