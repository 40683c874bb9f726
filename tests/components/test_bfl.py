"""Bidirectional fusion learning against Eq. 5-7 in slow loops, alone and across processes."""

import math
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import torch.distributed as dist
from gazekit_components.fusions.bfl import BidirectionalFusionLearning
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupted import together
from torch import Tensor

VIEWS = ("cc", "mlo")
Anchor = Literal["fused", "view"]
ANCHORS: tuple[Anchor, Anchor] = ("fused", "view")


def _cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def _slow(fusion: BidirectionalFusionLearning, vectors: dict[str, Tensor], anchor: Anchor) -> float:
    """Eq. 5-7, exam by exam."""
    fused = fusion(vectors)
    total = 0.0
    for view in VIEWS:
        p = vectors[view].tolist()
        n = fusion.reconstruct[view](fused).tolist()
        for i in range(len(p)):
            if anchor == "fused":
                s = [math.exp(_cosine(p_j, n[i])) for p_j in p]
            else:
                s = [math.exp(_cosine(p[i], n_j)) for n_j in n]
            total -= math.log(s[i] / sum(s)) / len(p)
    return total


def _fusion(anchor: Anchor = "fused", seed: int = 0) -> BidirectionalFusionLearning:
    torch.manual_seed(seed)
    return BidirectionalFusionLearning(VIEWS, 5, hidden=(4,), anchor=anchor).double()


def _vectors(exams: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {view: torch.randn(exams, 5, generator=generator, dtype=torch.float64) for view in VIEWS}


def _loss(fusion: BidirectionalFusionLearning, vectors: dict[str, Tensor]) -> Tensor:
    return fusion.auxiliary_losses(vectors, fusion(vectors))["bfl"]


@pytest.mark.parametrize("anchor", ANCHORS)
def test_equals_the_equations(anchor: Anchor) -> None:
    fusion, vectors = _fusion(anchor), _vectors(6)
    np.testing.assert_allclose(_loss(fusion, vectors).item(), _slow(fusion, vectors, anchor), rtol=1e-12)


def test_the_two_anchors_differ() -> None:
    fused, view = (_loss(_fusion(anchor), _vectors(6)).item() for anchor in ("fused", "view"))
    assert abs(fused - view) > 1e-3


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("exams", [2, 7])
def test_equal_vectors_give_log_b_per_view(anchor: Anchor, exams: int) -> None:
    vectors = {view: vector.expand(exams, -1) for view, vector in _vectors(1).items()}
    assert _loss(_fusion(anchor), vectors).item() == pytest.approx(2 * math.log(exams), rel=1e-12)


@pytest.mark.parametrize("anchor", ANCHORS)
def test_one_exam_gives_exactly_zero_and_a_finite_gradient(anchor: Anchor) -> None:
    fusion = _fusion(anchor)
    vectors = {view: vector.requires_grad_() for view, vector in _vectors(1).items()}
    loss = _loss(fusion, vectors)
    loss.backward()
    assert loss.item() == 0.0
    for tensor in (*vectors.values(), *fusion.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


def test_zero_vectors_have_a_finite_and_moderate_gradient() -> None:
    fusion = _fusion()
    vectors = {view: torch.zeros(3, 5, dtype=torch.float64, requires_grad=True) for view in VIEWS}
    loss = _loss(fusion, vectors)
    loss.backward()
    assert loss.item() == pytest.approx(2 * math.log(3))
    for vector in vectors.values():
        assert vector.grad is not None
        assert vector.grad.abs().max() < 10


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(5)), scale=st.floats(1e-4, 100), seed=st.integers(0, 99))
def test_the_order_of_exams_and_the_length_of_vectors_do_not_matter(
    order: list[int], scale: float, seed: int
) -> None:
    fusion, vectors = _fusion(seed=seed), _vectors(5, seed)
    fused, expected = fusion(vectors), _loss(fusion, vectors)
    turned = {view: vector[order] * scale for view, vector in vectors.items()}
    came = fusion.auxiliary_losses(turned, fused[order])["bfl"]
    torch.testing.assert_close(came, expected, rtol=1e-10, atol=0)


def test_minimising_it_lets_the_fused_vector_tell_the_exams_apart() -> None:
    fusion, vectors = _fusion(), _vectors(6)
    before = _loss(fusion, vectors).item()
    for _ in range(60):
        gradients = torch.autograd.grad(_loss(fusion, vectors), list(fusion.parameters()))
        for parameter, gradient in zip(fusion.parameters(), gradients, strict=True):
            parameter.data -= 2 * gradient
    fused = fusion(vectors)
    cosines = torch.nn.functional.cosine_similarity(
        fusion.reconstruct["cc"](fused)[:, None], vectors["cc"][None], dim=2
    )
    assert _loss(fusion, vectors).item() < before
    assert (cosines.argmax(dim=1) == torch.arange(6)).all()


def test_half_precision_vectors_give_a_loss_in_float32() -> None:
    fusion = BidirectionalFusionLearning(VIEWS, 5, hidden=(4,))
    vectors = {view: vector.float() for view, vector in _vectors(4).items()}
    expected = _loss(fusion, vectors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        came = _loss(fusion, {view: vector.bfloat16() for view, vector in vectors.items()})
    assert came.dtype == torch.float32
    assert came.item() == pytest.approx(expected.item(), abs=0.02)


def _one_of_two(rank: int, folder: Path) -> None:
    share = {view: vector[rank * 3 : rank * 3 + 3] for view, vector in _vectors(6).items()}
    for anchor in ANCHORS:
        results = _loss_and_gradients(anchor, share)
        for result in results:  # what distributed training does with gradients
            dist.all_reduce(result)
        if rank == 0:
            torch.save([result / 2 for result in results], folder / f"{anchor}.pt")


def _loss_and_gradients(anchor: Anchor, vectors: dict[str, Tensor]) -> list[Tensor]:
    fusion = _fusion(anchor)
    loss = _loss(fusion, vectors)
    return [loss.detach(), *torch.autograd.grad(loss, list(fusion.parameters()))]


def test_two_processes_average_to_the_loss_and_gradient_of_the_global_batch(tmp_path: Path) -> None:
    assert together(2, tmp_path, lambda rank: _one_of_two(rank, tmp_path)) == [0, 0]
    for anchor in ANCHORS:
        came = torch.load(tmp_path / f"{anchor}.pt", weights_only=True)
        torch.testing.assert_close(came, _loss_and_gradients(anchor, _vectors(6)), rtol=1e-10, atol=1e-14)
