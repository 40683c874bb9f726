"""Single precision inside a training with automatic mixed precision, on every device."""

import torch

from gazekit.contracts.precision import full_precision


def test_products_inside_are_in_single_precision() -> None:
    matrix = torch.full((2, 2), 1.001)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (matrix @ matrix).dtype == torch.bfloat16
        with full_precision(matrix.device):
            inside = matrix @ matrix
        assert (matrix @ matrix).dtype == torch.bfloat16
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, torch.full((2, 2), 2 * 1.001**2))


def test_a_device_without_autocast_will_do() -> None:
    with full_precision(torch.device("meta")):
        assert (torch.ones(2, 2, device="meta") @ torch.ones(2, 2, device="meta")).device.type == "meta"
