"""Set how a run computes: precision, compilation, memory use and algorithms."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch

from gazekit.contracts.interfaces import Backbone
from gazekit.disk.wording import counted
from gazekit.errors import ConfigurationError, GazekitError
from gazekit.modelling.model import MultiViewClassifier
from gazekit.presets.tables import TrainingSettings

_PRECISION = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def prepare_execution(model: MultiViewClassifier, settings: TrainingSettings) -> None:
    """Make a model, already on its device, compute as the settings say; weights and their names stay."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # faster convolutions
    model.amp = _PRECISION[settings.amp]
    model.checkpoint_activations = settings.checkpoint_activations
    if settings.compile:
        for backbone in model.backbones:
            for stage in cast(Backbone, backbone).stages:
                stage.compile()


def slow_precision(settings: TrainingSettings, device: torch.device) -> Iterator[str]:
    """Say in one line if the processor has no instructions for the precision (``bf16`` then took 14 times as long)."""
    if device.type != "cpu" or settings.amp == "off" or not torch.backends.mkldnn.is_available():
        return
    if not getattr(torch.ops.mkldnn, f"_is_mkldnn_{settings.amp}_supported")():
        yield (
            f"this processor has no instructions for {settings.amp}: a step may take ten times as long; train without "
            "--amp"
        )


@contextmanager
def chosen_algorithms(settings: TrainingSettings) -> Iterator[None]:
    """Use deterministic algorithms on request, else the fastest, within the block."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS needs it to be deterministic
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = not torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def seed_draws(seed: int, device: torch.device) -> None:
    """Seed what modules draw in a step, such as dropout, on the host and the device.

    ``torch.manual_seed`` seeds all devices, and where CUDA was never used it takes 0.4 ms (measured): it formats the
    call stack twice.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@contextmanager
def explained_faults(settings: TrainingSettings, device: torch.device) -> Iterator[None]:
    """Turn out-of-memory and compilation errors into a GazekitError that says what to do."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        out = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if out or "can't allocate memory" in str(error):
            raise GazekitError(
                f"out of memory on {device.type}, with batches of {settings.batch_size} in "
                f"{counted(settings.accumulate, 'part')}; start again with --overwrite and, in this order: "
                f"{ways_to_save(settings, device)}"
            ) from error
        if settings.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            first = str(error).strip().splitlines()[0]
            raise ConfigurationError(
                f"training.compile: the stages of this backbone cannot be compiled here ({first}); train without "
                "--compile"
            ) from error
        raise


def ways_to_save(settings: TrainingSettings, device: torch.device) -> str:
    """Ways to save memory, most effective first."""
    parts = settings.accumulate
    advice = []
    if parts < settings.batch_size:
        more = min(2 * parts, settings.batch_size)
        advice.append(f"--accumulate {more} (the same batch, in {more} parts)")
    if not settings.checkpoint_activations:
        advice.append("--checkpoint-activations (one more forward pass)")
    held = settings.exams_on_device
    if held is True or (held == "auto" and device.type != "cpu"):
        advice.append("--set training.exams_on_device=false")
    advice.append("a smaller training.batch_size or data.size")
    return "; ".join(advice)
