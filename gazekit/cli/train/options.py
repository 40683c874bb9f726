"""Options of ``gazekit train``; those for speed and memory are values of the preset's ``training`` table."""

from typing import Annotated, Any, Literal

import typer

Seed = Annotated[
    int | None,
    typer.Option(
        min=0, max=2**32 - 1, help="Of initial weights, order, augmentation and dropout.", show_default="0"
    ),
]
AllowLeak = Annotated[
    bool,
    typer.Option(
        "--allow-leak",
        help="Train even if a patient is on both sides of the split; every report will say so.",
    ),
]
Amp = Annotated[
    Literal["off", "bf16", "fp16"] | None,
    typer.Option(
        help="Precision of the branches on a GPU; same as --set training.amp=...", show_default="off"
    ),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the branches: minutes at first, then faster steps.")
]
Deterministic = Annotated[
    bool, typer.Option("--deterministic", help="The same bits every time, on a GPU too, for some speed.")
]
Accumulate = Annotated[
    int | None,
    typer.Option(
        min=1, help="Parts in which a batch goes through the branches, to save memory.", show_default="1"
    ),
]
CheckpointActivations = Annotated[
    bool,
    typer.Option("--checkpoint-activations", help="Compute activations twice instead of keeping them."),
]


def as_overrides(**values: Any) -> list[str]:
    """``--set`` items of the options that were given."""
    return [
        f"training.{name}={str(value).lower()}"
        for name, value in values.items()
        if value not in (None, False)
    ]
