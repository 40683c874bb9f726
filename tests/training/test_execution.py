"""Options for speed and memory: what they set, what is said before a training and when memory runs out."""

from pathlib import Path

import pytest
import torch
from command_line import TINY, gazekit
from tiny import tiny

from gazekit.errors import GazekitError
from gazekit.modelling.build import build_model, build_objective
from gazekit.prepared.dataset import PreparedDataset
from gazekit.presets.tables import TrainingSettings
from gazekit.registry.registry import Registry
from gazekit.runs.directory import RunDirectory
from gazekit.training.execution import chosen_algorithms, explained_faults
from gazekit.training.memory import Memory, estimate_memory

CPU = torch.device("cpu")


def estimate(registry: Registry, *overrides: str, size: int = 64) -> Memory:
    preset = tiny(registry, "training.batch_size=8", *overrides)
    model, objective = build_model(preset, registry, classes=2), build_objective(preset, registry)
    found = estimate_memory(model, objective, preset.views, (size, size), preset.training)
    assert found.model == 4 * sum(4 * p.numel() for p in model.parameters())
    return found


def test_the_estimate_grows_as_memory_does(registry: Registry) -> None:
    whole = estimate(registry)
    without = estimate(registry, "fusion.maps=none")
    assert estimate(registry, "fusion.maps=none", size=128).activations == pytest.approx(
        4 * without.activations, rel=0.05
    )
    attention = whole.activations - without.activations
    more = estimate(registry, size=128).activations - 4 * without.activations
    assert 4.5 * attention < more < 16 * attention  # its weights grow with the square of the pixels
    assert estimate(registry, "training.batch_size=16").activations == 2 * whole.activations
    assert estimate(registry, "training.accumulate=4").activations == pytest.approx(
        whole.activations / 4, abs=2
    )
    assert estimate(registry, "training.checkpoint_activations=true").activations < 0.8 * whole.activations


def test_the_estimate_counts_what_is_kept(registry: Registry) -> None:
    """Of one convolution it is the image and its output, of which the rectifier keeps no copy."""
    few, many = (estimate(registry, f"backbone.widths=[{4 * n},6,8,10]").activations for n in (1, 2))
    per_map = 2 * 8 * 4 * 64 * 64 * 4  # views, exams, channels more, pixels, bytes
    assert 3 * per_map < many - few < 16 * per_map


def test_memory_that_runs_out_is_explained() -> None:
    settings = TrainingSettings(batch_size=8, accumulate=2)
    for error in (
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("x: can't allocate memory: you tried"),
    ):
        with (
            pytest.raises(
                GazekitError, match=r"batches of 8 in 2 part\(s\).*--accumulate 4 .*--checkpoint-act"
            ),
            explained_faults(settings, CPU),
        ):
            raise error
    with pytest.raises(RuntimeError, match="another"), explained_faults(settings, CPU):
        raise RuntimeError("another")


def test_deterministic_algorithms_end_with_the_training() -> None:
    with chosen_algorithms(TrainingSettings(deterministic=True)):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_options_are_part_of_the_run(dataset: PreparedDataset, tmp_path: Path) -> None:
    flags = ("--accumulate", 2, "--checkpoint-activations", "--deterministic", "--amp", "bf16", "--epochs", 1)
    out = tmp_path / "run"
    said = gazekit(
        "train", "--preset", "mammonet_small", *TINY, "--data", dataset.root, "--out", out, *flags
    ).stderr
    assert "memory: about " in said and "held on cpu" in said
    written = RunDirectory.open(out).preset.read_text()
    for line in ("accumulate = 2", "checkpoint_activations = true", "deterministic = true", 'amp = "bf16"'):
        assert f"\n{line} # --set" in written
    assert not torch.are_deterministic_algorithms_enabled()
