"""Options of ``gazekit train``; speed and memory options are values of the preset's ``training`` table."""

from typing import Annotated, Any, Literal

import typer

Seed = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2**32 - 1,
        help="Seed of initial weights, order, augmentation and dropout.",
        show_default="0",
    ),
]
AllowLeak = Annotated[
    bool,
    typer.Option(
        "--allow-leak",
        help="Train even if the split puts a patient on both sides, or the initial weights have seen the test part; "
        "every report will say so.",
    ),
]
Amp = Annotated[
    Literal["off", "bf16", "fp16"] | None,
    typer.Option(
        help="Precision of the branches on a GPU; same as --set training.amp=...", show_default="off"
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Compile the branches: minutes at first; whether steps get faster depends on the machine.",
    ),
]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="Give bit-identical results, also on a GPU, at some cost in speed."),
]
Accumulate = Annotated[
    int | None,
    typer.Option(
        min=1, help="Number of parts in which a batch passes the branches, to save memory.", show_default="1"
    ),
]
CheckpointActivations = Annotated[
    bool,
    typer.Option("--checkpoint-activations", help="Recompute activations instead of storing them."),
]


def as_overrides(**values: Any) -> list[str]:
    """Turn the given options into ``--set`` items."""
    return [
        f"training.{name}={str(value).lower()}"
        for name, value in values.items()
        if value not in (None, False)
    ]
