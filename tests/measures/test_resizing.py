import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.errors import DataError
from gazekit.measures.attention.resizing import resize_bilinear


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), *[st.integers(1, 9)] * 2, *[st.integers(1, 40)] * 2)
def test_it_is_torchs_bilinear_interpolation(seed, h, w, height, width):
    values = np.random.default_rng(seed).normal(size=(h, w))
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], size=(height, width), mode="bilinear", align_corners=False
    )
    assert resize_bilinear(values, (height, width)) == pytest.approx(theirs[0, 0].numpy(), abs=1e-12)


@pytest.mark.parametrize("value", [0.1, 1 / 3, -7.77e5])
def test_a_constant_map_stays_exactly_constant(value):
    assert (resize_bilinear(np.full((7, 5), value), (224, 223)) == value).all()


def test_what_is_no_finite_map_is_refused():
    with pytest.raises(DataError, match=r"shape \(1, 2, 2\): expected \[h, w\]"):
        resize_bilinear(np.zeros((1, 2, 2)), (4, 4))
    with pytest.raises(DataError, match="not finite"):
        resize_bilinear(np.array([[0.0, np.inf]]), (4, 4))


def test_a_map_of_that_size_stays_as_it_is_and_is_resized_but_once():
    values = np.random.default_rng(0).normal(size=(5, 7))
    assert resize_bilinear(values, (5, 7)).tobytes() == values.tobytes()
    larger = resize_bilinear(values, (12, 9))
    assert resize_bilinear(larger, (12, 9)).tobytes() == larger.tobytes()
