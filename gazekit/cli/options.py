"""The options ``--device`` and ``--json``."""

from typing import TYPE_CHECKING, Annotated

import typer

from gazekit.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

Json = Annotated[bool, typer.Option("--json", help="Print JSON with a schema version.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto (cuda where there is one).")]


def device_of_runs(name: str, launcher: str) -> "torch.device":
    """Return the device for runs of a study: Slurm decides on its nodes, so CUDA need not be here. Else as below."""
    import torch

    return torch.device(name) if launcher == "slurm" and name == "cuda" else choose_device(name)


def choose_device(name: str) -> "torch.device":
    """Resolve ``auto`` to CUDA if there is a GPU. Raises ConfigurationError: unknown or missing device."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise ConfigurationError(f"--device {name}: expected cpu, cuda or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("--device cuda: torch sees no CUDA device here; use --device cpu")
    return torch.device(name)
