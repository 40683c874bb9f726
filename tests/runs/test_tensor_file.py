"""A file of tensors is, byte for byte, what the safetensors library writes."""

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from gazekit.errors import ConfigurationError
from gazekit.runs.checkpoints.checkpoint import Contents
from gazekit.runs.checkpoints.tensor_file import _TYPES, pieces_of

SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
TENSORS = st.dictionaries(st.text(max_size=5), st.tuples(SHAPES, st.sampled_from(list(_TYPES))), max_size=8)


@given(TENSORS)
def test_every_byte_is_the_librarys(described: dict[str, tuple[tuple[int, ...], torch.dtype]]) -> None:
    tensors = {
        name: (torch.arange(torch.Size(shape).numel()) % 2).reshape(shape).to(dtype)
        for name, (shape, dtype) in described.items()
    }
    assert b"".join(pieces_of(tensors)) == safetensors.torch.save(tensors)


def test_no_tensor_is_copied() -> None:
    tensor = torch.zeros(4)
    *_, piece = pieces_of({"weight": tensor})
    tensor[0] = 1
    assert bytes(piece) == bytes(tensor.numpy())


def test_a_type_that_no_checkpoint_holds_is_named() -> None:
    with pytest.raises(
        ConfigurationError, match=r"weights 'phase': a tensor of torch.complex128, .*one of torch.bool,"
    ):
        Contents.of({"phase": torch.zeros(1, dtype=torch.complex128)}, {})
