"""The class token's attention in the last block, against loops."""

import numpy as np
import pytest
import torch
from gazekit_components.attention_maps.class_attention import ClassAttention
from made_attention import showing, weights

from gazekit.errors import ConfigurationError

TARGET = torch.tensor([0, 1])


@pytest.mark.parametrize("heads", [(), (1,), (0, 2)])
def test_is_the_mean_over_heads_of_its_row_in_the_last_block(heads: tuple[int, ...]) -> None:
    attention = weights(2, 4, 3, 7)
    maps = ClassAttention(heads=heads)(showing(attention, grid=(2, 3)), TARGET)["cc"]
    chosen = heads or (0, 1, 2)
    for exam in range(2):
        for y in range(2):
            for x in range(3):
                values = [attention[exam, 3, head, 0, 1 + 3 * y + x].item() for head in chosen]
                np.testing.assert_allclose(maps[exam, y, x].item(), sum(values) / len(values), rtol=1e-12)


def test_with_its_attention_to_itself_the_map_sums_to_one() -> None:
    attention = weights(2, 4, 3, 7)
    maps = ClassAttention()(showing(attention, grid=(2, 3)), TARGET)["cc"]
    own = attention[:, -1, :, 0, 0].mean(dim=1)
    torch.testing.assert_close(maps.sum(dim=(1, 2)) + own, torch.ones(2, dtype=torch.float64))


def test_registers_have_no_place() -> None:
    attention = weights(2, 4, 3, 9)
    maps = ClassAttention()(showing(attention, grid=(2, 3), registers=2), TARGET)
    torch.testing.assert_close(maps["cc"], attention[:, 3, :, 0, 3:].mean(dim=1).reshape(2, 2, 3))


def test_a_loss_reaches_the_last_block_alone() -> None:
    logits = torch.randn(2, 4, 3, 7, 7, dtype=torch.float64, requires_grad=True)
    maps = ClassAttention(heads=(1,))(showing(logits.softmax(dim=-1), grid=(2, 3)), TARGET)
    (gradient,) = torch.autograd.grad(maps["cc"].square().sum(), logits)
    assert gradient[:, 3, 1, 0].all()
    gradient[:, 3, 1, 0] = 0
    assert not gradient.any()


def test_the_class_does_not_matter() -> None:
    output = showing(weights(2, 4, 3, 7), grid=(2, 3))
    one, other = (ClassAttention()(output, torch.full((2,), label)) for label in (0, 1))
    assert torch.equal(one["cc"], other["cc"])


def test_what_it_cannot_explain_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected a backbone that shows the attention"):
        ClassAttention()(showing(None, grid=(2, 3)), TARGET)
    with pytest.raises(ConfigurationError, match=r"with a class token; .*rollout works without"):
        ClassAttention()(showing(weights(2, 4, 3, 6), grid=(2, 3)), TARGET)
    with pytest.raises(ConfigurationError, match=r"heads of 0 … 2, got \[1, 3\]"):
        ClassAttention(heads=(1, 3))(showing(weights(2, 4, 3, 7), grid=(2, 3)), TARGET)
