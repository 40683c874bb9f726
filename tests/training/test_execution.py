"""Options for speed and memory take effect, and a training without enough memory ends with advice."""

import re
from pathlib import Path

import pytest
import torch
from command_line import TINY, gazekit

from gazekit.errors import GazekitError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.presets.tables import TrainingSettings
from gazekit.runs.directory import RunDirectory
from gazekit.training.computing.execution import chosen_algorithms, explained_faults, slow_precision
from gazekit.training.computing.memory import peak_memory

CPU = torch.device("cpu")


def test_the_peak_is_what_was_taken() -> None:
    before = peak_memory(CPU)
    held = torch.ones(2**25)  # 128 MB
    after = peak_memory(CPU)
    assert before is not None and after is not None
    assert after >= before and after >= held.nbytes


def test_memory_that_runs_out_is_explained() -> None:
    settings = TrainingSettings(batch_size=8, accumulate=2)
    for error in (
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("x: can't allocate memory: you tried"),
    ):
        with (
            pytest.raises(
                GazekitError, match=r"batches of 8 in 2 parts; .*--accumulate 4 .*--checkpoint-act"
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


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="nothing tells what the processor has")
@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_a_precision_without_instructions_is_warned_of(amp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainingSettings(amp=amp)
    for has, said in ((False, [f"this processor has no instructions for {amp}"]), (True, [])):
        monkeypatch.setattr(torch.ops.mkldnn, f"_is_mkldnn_{amp}_supported", lambda has=has: has)
        assert [each.partition(":")[0] for each in slow_precision(settings, CPU)] == said
        assert not [*slow_precision(settings, torch.device("cuda")), *slow_precision(TrainingSettings(), CPU)]


def test_options_are_part_of_the_run(
    dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    flags = ("--accumulate", 2, "--checkpoint-activations", "--deterministic", "--amp", "bf16", "--epochs", 1)
    out = tmp_path / "run"
    said = gazekit(
        "train", "--preset", "mammonet_small", *TINY, "--data", dataset.root, "--out", out, *flags
    ).stderr
    assert re.search(
        r"memory: (\d+ MB|\d+\.\d GB) at the most in the first step, of this process; exams of 1 MB, read batch by "
        "batch",
        said,
    )
    assert "warning: this processor has no instructions for bf16" in said
    written = RunDirectory.open(out).preset_path.read_text()
    for line in ("accumulate = 2", "checkpoint_activations = true", "deterministic = true", 'amp = "bf16"'):
        assert f"\n{line} # --set" in written
    assert not torch.are_deterministic_algorithms_enabled()
