"""A batch knows its fields: whatever is done to each tensor is done to all of them."""

import torch
from tiny import random_batch

from gazekit.contracts.types import Batch


def test_a_slice_of_a_batch_is_the_slice_of_each_tensor() -> None:
    batch = random_batch(("cc", "mlo"))
    part = batch.map(lambda tensor: tensor[1:3])
    assert isinstance(part, Batch) and list(part.images) == ["cc", "mlo"]
    assert len(list(part.tensors())) == len(list(batch.tensors())) == 7
    for whole, some in zip(batch.tensors(), part.tensors(), strict=True):
        assert torch.equal(whole[1:3], some) and some.dtype == whole.dtype
