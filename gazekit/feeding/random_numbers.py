"""Random numbers as a function of seed, purpose, exam and epoch; nothing shares a stream of them."""

import numpy as np

ORDER, PLACE, SAMPLED_READER, DROPPED_VIEW, INTENSITY, MIXING, PERMUTED_LABELS = 0, 1, 2, 3, 4, 5, 8
"""Purposes in a training: order of the exams, affine map, reader of an exam, view to drop, grey values, share of mixup,
order of permuted labels. Results depend on these numbers: a new purpose takes a new one."""
CHECK_NOISE, CHECK_REMOVAL, CHECK_WEIGHTS = 6, 7, 10
"""Purposes in a check of attention maps: noise on images, order of removed pixels, random weights."""
PATCHES, HELD_OUT_PATCHES, PATCH_INTENSITY = 7, 8, 9
"""Purposes in a pre-training, which draws nothing of the others."""


def random_generator(*, seed: int, purpose: int, index: int, epoch: int) -> np.random.Generator:
    """Make a generator that is a function of its arguments (Philox: key = seed and purpose, counter = the rest)."""
    return np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, 0, index, epoch]))
