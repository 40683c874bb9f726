"""Attention to tokens against loops over pixels, tokens and heads."""

import math

import numpy as np
import torch
from gazekit_components.fusions.token_attention import TokenAttention

CHANNELS, TOKENS, HEADS, HEAD_DIM = 5, 3, 2, 4


def softmax(values):
    shifted = [math.exp(value - max(values)) for value in values]
    return [value / sum(shifted) for value in shifted]


def slow_tokens(weights, pixels, layers):
    """One token after the other: a weighted mean of the pixels."""
    queries = [weights["first.weight"][t] for t in range(TOKENS)]
    for layer in range(layers):
        if layer:
            queries = [weights[f"further.{layer - 1}.weight"] @ token for token in tokens]  # noqa: F821
        tokens = []
        for query in queries:
            share = softmax([float(query @ pixel) for pixel in pixels])
            tokens.append(sum(s * pixel for s, pixel in zip(share, pixels, strict=True)))
    return tokens


def slow_target(weights, own, tokens):
    """Eq. 3 and 4 with tokens as keys and values, and the norm over the whole map."""
    updated = np.zeros_like(own)
    for y, x in np.ndindex(own.shape[1:]):
        gathered = []
        for head in range(HEADS):
            rows = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
            query = weights["query.weight"][rows] @ own[:, y, x]
            keys = [weights["key.weight"][rows] @ token for token in tokens]
            share = softmax([float(query @ key) / math.sqrt(HEAD_DIM) for key in keys])
            gathered.append(sum(s * token for s, token in zip(share, tokens, strict=True)))
        updated[:, y, x] = own[:, y, x] + weights["output.weight"] @ np.concatenate(gathered)
    unit = (updated - updated.mean()) / np.sqrt(updated.var() + 1e-5)
    return unit * weights["norm.weight"][:, None, None] + weights["norm.bias"][:, None, None]


def make(views, layers=3):
    torch.manual_seed(0)
    options = {"tokens": TOKENS, "layers": layers, "heads": HEADS, "head_dim": HEAD_DIM}
    fusion = TokenAttention(views, CHANNELS, **options).double().eval()
    return fusion, {view: torch.randn(1, CHANNELS, 2, 3, dtype=torch.float64) for view in views}


def arrays(module):
    return {name: value.numpy() for name, value in module.state_dict().items()}


def test_two_and_three_views_against_loops():
    for views, layers in ((("cc", "mlo"), 3), (("cc", "mlo"), 1), (("a", "b", "c"), 2)):
        fusion, maps = make(views, layers)
        found = fusion(maps)
        for target in views:
            others = [maps[view][0].flatten(1).T.numpy() for view in views if view != target]
            tokens = slow_tokens(arrays(fusion.tokenizers[target]), list(np.concatenate(others)), layers)
            expected = slow_target(arrays(fusion.directions[target]), maps[target][0].numpy(), tokens)
            np.testing.assert_allclose(found[target][0].detach().numpy(), expected, atol=1e-10)


def test_the_order_of_the_other_views_pixels_does_not_matter():
    fusion, maps = make(("cc", "mlo"))
    turned = {"cc": maps["cc"], "mlo": maps["mlo"].flip(2, 3)}
    torch.testing.assert_close(fusion(maps)["cc"], fusion(turned)["cc"])


def test_one_view_passes_unchanged():
    fusion, maps = make(("cc",))
    assert fusion(maps)["cc"] is maps["cc"]
    assert list(fusion.parameters()) == []
