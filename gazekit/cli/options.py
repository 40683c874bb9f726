"""The option ``--device``."""

from typing import TYPE_CHECKING, Annotated

import typer

from gazekit.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

Device = Annotated[str, typer.Option(help="cpu, cuda or auto (cuda where there is one).")]


def device_of_runs(name: str, launcher: str) -> "torch.device":
    """Where the runs of a study compute: under Slurm on its nodes, so that CUDA need not be here. Else as below."""
    import torch

    return torch.device(name) if launcher == "slurm" and name == "cuda" else choose_device(name)


def choose_device(name: str) -> "torch.device":
    """``auto`` takes CUDA where there is one. Raises ConfigurationError: unknown or not there."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise ConfigurationError(f"--device {name}: expected cpu, cuda or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("--device cuda: torch sees no CUDA device here; use --device cpu")
    return torch.device(name)


Json = Annotated[bool, typer.Option("--json", help="Print JSON with a schema version.")]
