"""``gazekit export``: write a trained model as a file that runs without gazekit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from gazekit.cli import console
from gazekit.cli.options import Run


def export(
    run: Run,
    form: Annotated[
        Literal["onnx", "torch-export"], typer.Option("--format", help="torch-export writes a .pt2 file.")
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="model.onnx or model.pt2 in the run")
    ] = None,
    attention: Annotated[
        bool,
        typer.Option("--attention/--no-attention", help="With attention maps, or the predictions alone."),
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write the model with its attention maps as one graph, and check that it agrees with the original.

    Inputs are the views, [exams, 1, height, width] in [0, 1]; outputs are the logits and, if you keep them, a map per
    view. The file's metadata describe how to prepare images; examples/run_onnx.py prepares raw images and runs it.
    """
    import torch

    from gazekit.exporting import export as write
    from gazekit.runs.trained import open_trained

    trained = open_trained(run, console.registry(), torch.device("cpu"), report=console.warn)
    exported = write(trained, form, out, attention=attention, overwrite=overwrite)
    console.stdout().print(str(exported.path), markup=False, soft_wrap=True)
    read = f"{_images(trained.preset.views)}{_covariates(trained.preset.covariates)}"
    console.note(
        f"reads {read}; outputs {', '.join(exported.outputs)}; differs from the original by "
        f"at most {exported.difference:.1e} on random images; not a medical device"
    )


def _covariates(names: Sequence[str]) -> str:
    return f" and the covariate{'s' * (len(names) > 1)} {', '.join(names)}" if names else ""


def _images(views: Sequence[str]) -> str:
    """Describe the images an exported model takes: ``one image (cc)``."""
    return f"{'one image' if len(views) == 1 else f'{len(views)} images'} ({', '.join(views)})"
