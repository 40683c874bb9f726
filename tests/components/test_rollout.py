"""Attention rollout against the paper's recursion in slow loops, and as the random walk that it is."""

import numpy as np
import pytest
import torch
from gazekit_components.attention_maps.rollout import AttentionRollout, rollout
from hypothesis import given, settings
from hypothesis import strategies as st
from made_attention import showing, weights
from slow_maps import Array

from gazekit.errors import ConfigurationError

TARGET = torch.tensor([0, 1])


def _slow(attention: Array) -> Array:
    """Of one exam, ``[layers, heads, n, n]``: mean over heads, add the identity, normalise, multiply."""
    layers, heads, n, _ = attention.shape
    flow = np.eye(n)
    for layer in range(layers):
        step = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                step[i, j] = 0.5 * sum(attention[layer, head, i, j] for head in range(heads)) / heads
                step[i, j] += 0.5 if i == j else 0.0
            step[i] /= step[i].sum()
        flow = np.array(
            [[sum(step[i, k] * flow[k, j] for k in range(n)) for j in range(n)] for i in range(n)]
        )
    return flow


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_equals_the_recursion(layers: int) -> None:
    attention = weights(2, layers, 3, 7)
    flow = rollout(attention)
    for exam in range(2):
        np.testing.assert_allclose(flow[exam], _slow(attention[exam].numpy()), rtol=1e-12)


def test_rows_that_lost_some_weight_are_normalised() -> None:
    """As after dropout on the weights."""
    attention = weights(2, 3, 2, 5) * (weights(2, 3, 2, 5, seed=1) > 0.1)
    flow = rollout(attention)
    torch.testing.assert_close(flow.sum(dim=-1), torch.ones(2, 5, dtype=torch.float64))
    np.testing.assert_allclose(flow[0], _slow(attention[0].numpy()), rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(layers=st.integers(1, 4), n=st.integers(1, 9), seed=st.integers(0, 99))
def test_is_a_random_walk_that_follows_a_change_of_order(layers: int, n: int, seed: int) -> None:
    attention = weights(1, layers, 2, n, seed=seed)
    flow = rollout(attention)
    assert (flow >= 0).all()
    torch.testing.assert_close(flow.sum(dim=-1), torch.ones(1, n, dtype=torch.float64))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    permuted = rollout(attention[..., order, :][..., order])
    torch.testing.assert_close(permuted, flow[:, order][:, :, order])


def test_closed_forms() -> None:
    """Attention to oneself changes nothing; uniform attention keeps ``2^-L`` in place and spreads the rest."""
    own, uniform = torch.eye(4).expand(1, 3, 2, 4, 4), torch.full((1, 3, 2, 4, 4), 0.25)
    torch.testing.assert_close(rollout(own)[0], torch.eye(4))
    torch.testing.assert_close(rollout(uniform)[0], torch.eye(4) / 8 + 7 / 8 / 4)


def test_the_map_is_the_row_of_the_class_token_on_the_grid() -> None:
    attention = weights(2, 3, 2, 7)
    maps = AttentionRollout()(showing(attention, grid=(2, 3)), TARGET)
    torch.testing.assert_close(maps["cc"], rollout(attention)[:, 0, 1:].reshape(2, 2, 3))


def test_without_a_class_token_it_is_the_mean_over_rows() -> None:
    attention = weights(2, 3, 2, 6)
    maps = AttentionRollout()(showing(attention, grid=(2, 3)), TARGET)
    torch.testing.assert_close(maps["cc"], rollout(attention).mean(dim=1).reshape(2, 2, 3))
    torch.testing.assert_close(maps["cc"].sum(dim=(1, 2)), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("class_tokens", [0, 1])
def test_registers_pass_attention_on_and_have_no_place(class_tokens: int) -> None:
    attention = weights(2, 3, 2, class_tokens + 2 + 6)
    maps = AttentionRollout()(showing(attention, grid=(2, 3), registers=2), TARGET)
    for exam in range(2):
        flow = _slow(attention[exam].numpy())[:, -6:]
        expected = flow[0] if class_tokens else flow[-6:].mean(axis=0)
        np.testing.assert_allclose(maps["cc"][exam], expected.reshape(2, 3), rtol=1e-12)


def test_the_last_stage_that_shows_attention_counts() -> None:
    attention = weights(2, 3, 2, 7)
    maps = AttentionRollout()(showing(weights(2, 1, 2, 25), attention, None, grid=(2, 3)), TARGET)
    torch.testing.assert_close(maps["cc"], rollout(attention)[:, 0, 1:].reshape(2, 2, 3))


def test_blocks_of_several_stages_follow_each_other() -> None:
    attention = weights(2, 3, 2, 7)
    parts = showing(attention[:, :2], attention[:, 2:], grid=(2, 3))
    maps = AttentionRollout()(parts, TARGET)
    for exam in range(2):
        expected = _slow(attention[exam].numpy())[0, 1:].reshape(2, 3)
        np.testing.assert_allclose(maps["cc"][exam], expected, rtol=1e-12)


def test_the_gradient_is_that_of_the_function_and_reaches_every_block() -> None:
    logits = torch.randn(1, 3, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda each: rollout(each.softmax(dim=-1)), logits, fast_mode=True)
    maps = AttentionRollout()(showing(logits.softmax(dim=-1), grid=(2, 2)), TARGET[:1])
    (gradient,) = torch.autograd.grad(maps["cc"].square().sum(), logits)
    assert all(gradient[0, layer].any() for layer in range(3))


def test_half_precision_is_multiplied_in_single() -> None:
    attention = weights(1, 4, 2, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        flow = rollout(attention.bfloat16())
    assert flow.dtype == torch.float32
    torch.testing.assert_close(flow.double(), rollout(attention.bfloat16().double()), rtol=1e-5, atol=1e-6)


def test_a_backbone_that_shows_none_or_another_grid_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"rollout: expected a backbone that shows the attention"):
        AttentionRollout()(showing(None, grid=(2, 3)), TARGET)
    with pytest.raises(ConfigurationError, match=r"between 2 × 3 tokens.*got 9 tokens"):
        AttentionRollout()(showing(weights(2, 3, 2, 9), grid=(2, 3)), TARGET)
