"""Cross-view attention against Eq. 3-4 in slow loops, and its symmetries."""

import math

import numpy as np
import pytest
import torch
from gazekit_components.fusions import cross_attention
from gazekit_components.fusions.cross_attention import CrossAttention, Norm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

CHANNELS, HEADS, HEAD_DIM = 6, 2, 4
NORMS: tuple[Norm, ...] = ("map", "layer", "instance")
Array = NDArray[np.float64]


def _fusion(views: tuple[str, ...] = ("cc", "mlo"), norm: Norm = "map") -> CrossAttention:
    torch.manual_seed(0)
    fusion = CrossAttention(views, CHANNELS, heads=HEADS, head_dim=HEAD_DIM, norm=norm).double().eval()
    for name, parameter in fusion.named_parameters():
        if "norm" in name:
            nn.init.normal_(parameter)
    return fusion


def _maps(views: tuple[str, ...], grid: tuple[int, int] = (2, 3), seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {view: torch.randn(2, CHANNELS, *grid, generator=generator, dtype=torch.float64) for view in views}


def _slow_norm(maps: Array, norm: Norm, scale: Array, shift: Array) -> Array:
    """``[C, h, w]`` normalised over the axes that the name stands for."""
    axes = {"map": (0, 1, 2), "layer": (0,), "instance": (1, 2)}[norm]
    centred = maps - maps.mean(axis=axes, keepdims=True)
    unit = centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + 1e-5)
    return np.asarray(unit * scale[:, None, None] + shift[:, None, None])


def _slow(fusion: CrossAttention, maps: dict[str, Array], target: str, norm: Norm) -> Array:
    """Eq. 3-4 for one exam (``[C, h, w]`` per view), pixel by pixel and head by head."""
    weights = {name: value.numpy() for name, value in fusion.directions[target].state_dict().items()}
    own = maps[target]
    sources = [
        maps[view][:, y, x]
        for view in maps
        if view != target
        for y in range(maps[view].shape[1])
        for x in range(maps[view].shape[2])
    ]
    update = np.zeros_like(own)
    for y in range(own.shape[1]):
        for x in range(own.shape[2]):
            gathered = np.zeros((HEADS, CHANNELS))
            for head in range(HEADS):
                rows = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
                query = weights["query.weight"][rows] @ own[:, y, x]
                scores = [query @ (weights["key.weight"][rows] @ source) for source in sources]
                attention = [math.exp(score / math.sqrt(HEAD_DIM)) for score in scores]
                for share, source in zip(attention, sources, strict=True):
                    gathered[head] += share / sum(attention) * source
            update[:, y, x] = weights["output.weight"] @ gathered.ravel()
    return _slow_norm(own + update, norm, weights["norm.weight"], weights["norm.bias"])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("views", "grid"),
    [(("cc", "mlo"), (2, 3)), (("cc", "mlo"), (3, 4)), (("a", "b", "c"), (1, 3))],
    ids=["fewer pixels than channels", "more pixels than channels", "three views"],
)
@pytest.mark.parametrize("few", [1024, 11], ids=["few pixels", "many pixels"])
def test_equals_the_equations(
    views: tuple[str, ...], grid: tuple[int, int], norm: Norm, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_attention, "_FEW", few)
    fusion, maps = _fusion(views, norm), _maps(views, grid)
    fused = fusion(maps)
    for view in views:
        for exam in range(2):
            expected = _slow(fusion, {v: each[exam].numpy() for v, each in maps.items()}, view, norm)
            np.testing.assert_allclose(fused[view][exam].detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_views_of_different_size_can_meet() -> None:
    fusion = _fusion()
    maps = {"cc": _maps(("cc",), (2, 3))["cc"], "mlo": _maps(("mlo",), (4, 2))["mlo"]}
    fused = fusion(maps)
    for view in maps:
        expected = _slow(fusion, {v: each[0].numpy() for v, each in maps.items()}, view, "map")
        np.testing.assert_allclose(fused[view][0].detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_a_direction_of_the_paper_has_983040_parameters_without_its_norm() -> None:
    fusion = CrossAttention(("cc", "mlo"), 256)
    for direction in fusion.directions.values():
        counts = {name: parameter.numel() for name, parameter in direction.named_parameters()}
        assert sum(count for name, count in counts.items() if not name.startswith("norm")) == 983_040
        assert sum(count for name, count in counts.items() if name.startswith("norm")) == 2 * 256


def test_one_view_passes_unchanged() -> None:
    fusion, maps = _fusion(("only",)), _maps(("only",))
    assert torch.equal(fusion(maps)["only"], maps["only"])
    assert not list(fusion.parameters())


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(12)), norm=st.sampled_from(NORMS))
def test_there_is_no_positional_encoding(order: list[int], norm: Norm) -> None:
    """Shuffling the pixels of one view shuffles its own result alike and leaves the other view's alone."""
    fusion, maps = _fusion(norm=norm), _maps(("cc", "mlo"), (3, 4))

    def shuffle(each: Tensor) -> Tensor:
        return each.flatten(2)[..., order].unflatten(2, (3, 4))

    expected, came = fusion(maps), fusion({"cc": maps["cc"], "mlo": shuffle(maps["mlo"])})
    torch.testing.assert_close(came["cc"], expected["cc"], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(came["mlo"], shuffle(expected["mlo"]), rtol=1e-10, atol=1e-12)


def test_instance_norm_erases_what_pooling_reads_and_the_default_does_not() -> None:
    maps = _maps(("cc", "mlo"))
    spread = {}
    for norm in NORMS:
        fusion = CrossAttention(("cc", "mlo"), CHANNELS, heads=2, head_dim=4, norm=norm).double()
        spread[norm] = fusion(maps)["cc"].mean(dim=(2, 3)).std().item()
    assert spread["instance"] < 1e-6
    assert spread["map"] > 0.1
    assert CrossAttention(("cc", "mlo"), CHANNELS).directions["cc"].norm.num_groups == 1


def test_many_pixels_take_the_kernel_without_an_attention_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    fusion, maps = _fusion(), _maps(("cc", "mlo"), (4, 5))
    expected = fusion(maps)
    monkeypatch.setattr(cross_attention, "_FEW", 4 * 5 - 1)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises where that kernel cannot take the call
        came = fusion(maps)
    torch.testing.assert_close(came, expected)


def test_dropout_drops_the_update_and_never_the_own_map() -> None:
    fusion = CrossAttention(("cc", "mlo"), CHANNELS, heads=2, head_dim=4, dropout=0.999_999).train()
    maps = {view: each.float() for view, each in _maps(("cc", "mlo")).items()}
    expected = nn.functional.group_norm(maps["cc"], 1)
    torch.testing.assert_close(fusion(maps)["cc"], expected)
    assert not torch.allclose(fusion.eval()(maps)["cc"], expected)
