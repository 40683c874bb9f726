"""NT-Xent is the sum of its equation, and a contrastive pre-training needs neither masks nor labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny

from gazekit.errors import Preempted
from gazekit.prepared.dataset import PreparedDataset
from gazekit.pretraining.contrastive import nt_xent
from gazekit.pretraining.patches import Patches, PatchSettings
from gazekit.pretraining.pretrain import pretrain
from gazekit.pretraining.settings import PretrainSettings
from gazekit.registry.registry import Registry


def _slow_nt_xent(first: np.ndarray, second: np.ndarray, temperature: float) -> float:
    vectors = [*first, *second]
    count, total = len(first), 0.0

    def score(i: int, k: int) -> float:
        cosine = vectors[i] @ vectors[k] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[k])
        return float(np.exp(cosine / temperature))

    for i in range(2 * count):
        partner = (i + count) % (2 * count)
        total -= np.log(score(i, partner) / sum(score(i, k) for k in range(2 * count) if k != i))
    return total / (2 * count)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_nt_xent_is_its_equation(temperature: float) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 5, 7))
    found = nt_xent(torch.from_numpy(first), torch.from_numpy(second), temperature)
    assert float(found) == pytest.approx(_slow_nt_xent(first, second, temperature), rel=1e-12)


def test_both_looks_of_a_pair_are_at_one_place(dataset: PreparedDataset) -> None:
    height, width = dataset.size
    places = 1 + np.arange(height * width).reshape(height, width) % 251
    images = np.broadcast_to(places.astype(np.uint8), dataset.images.shape)
    patches = Patches(
        replace(dataset, images=images), range(len(dataset)), PatchSettings(5, shift=0.0, labelled=False)
    )
    first, second = patches.pairs(20, seed=0, step=0)
    assert first.exams.tolist() == second.exams.tolist()
    np.testing.assert_array_equal(first.images[:, 0, 2, 2], second.images[:, 0, 2, 2])  # the centre stays
    assert (first.images != second.images).any()
    assert len({int(each) for each in first.images[:, 0, 2, 2]}) > 5


def test_it_needs_no_masks_learns_and_resumes_to_the_bit(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    bare = replace(dataset, has_mask=np.zeros_like(dataset.has_mask))
    settings = PretrainSettings(
        pretext="contrastive", patch=8, steps=100, batch_size=16, learning_rate=2e-3, held_out=0.3
    )
    paths = [tmp_path / name for name in ("whole.safetensors", "stopped.safetensors")]

    def run(path: Path, stop_at: int) -> dict[str, float]:
        steps = iter(range(1000))
        preset, cpu = tiny(registry), torch.device("cpu")
        done = pretrain(
            path, preset, registry, bare, settings, device=cpu, should_stop=lambda: next(steps) == stop_at
        )
        return dict(done.origin.held_out)

    found = run(paths[0], -1)
    assert found["partner found"] > 4 * found["by chance"]
    assert found["by chance"] == 1 / (2 * found["patches"] - 1)
    with pytest.raises(Preempted):
        run(paths[1], 7)
    run(paths[1], -1)
    assert paths[0].read_bytes() == paths[1].read_bytes()
