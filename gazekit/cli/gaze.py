"""``gazekit gaze``: look at a recording before it supervises anything."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gazekit.cli import console

app = typer.Typer(help="Look at gaze recordings.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at gaze recordings."""


@app.command()
def heatmap(
    recording: Annotated[Path, typer.Argument(help="Gaze file.")],
    image: Annotated[Path, typer.Argument(help="The image that was looked at.")],
    out: Annotated[Path, typer.Argument(help="PNG file to write.")],
    reader: Annotated[str, typer.Option(help="Format (gazekit plugins list --kind gaze_reader).")],
    view: Annotated[
        str | None,
        typer.Option(help="View to draw when the file holds several.", show_default="the only one"),
    ] = None,
    exam: Annotated[
        str | None,
        typer.Option(help="Exam to draw when the file holds several.", show_default="the only one"),
    ] = None,
    method: Annotated[
        Literal["ivt", "idt"], typer.Option(help="Fixations by velocity or by dispersion.")
    ] = "ivt",
    sigma: Annotated[
        float, typer.Option(help="Width of a fixation, degrees (30/800 of the height if unknown).")
    ] = 1.0,
) -> None:
    """Draw the gaze heat map of a recording over its image, and print what was found in it."""
    import numpy as np
    from PIL import Image

    from gazekit.atomic import disk_errors
    from gazekit.data.image import read_image
    from gazekit.errors import DataError
    from gazekit.gaze.fixations import FixationSettings, fixations_of
    from gazekit.gaze.heatmap import heat_map, sigma_pixels
    from gazekit.report.overlay import overlay

    read = console.registry().create("gaze_reader", reader).read
    found = [r for r in read(recording) if view in (None, r.view) and exam in (None, r.exam_id)]
    if len(found) != 1:
        what = ", ".join(f"exam {r.exam_id} view {r.view}" for r in found[:5]) or "none"
        raise DataError(
            f"{recording}: expected one recording to draw, found {len(found)} ({what}); use --exam and --view"
        )
    pixels = read_image(image).pixels  # [H, W]
    height, width = pixels.shape
    settings = FixationSettings(method=method, sigma_degrees=sigma)
    fixations = fixations_of(found[0], image_height=height, image_width=width, settings=settings)
    spread = sigma_pixels(found[0], height, settings)
    heat = heat_map(fixations.x, fixations.y, fixations.duration_ms, shape=(height, width), sigma=spread)
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(overlay(pixels, heat)).save(out, format="PNG")
    console.print_table(
        ("", "value"),
        [
            ("rows in the recording", len(found[0].x)),
            ("lost", int(np.isnan(found[0].x).sum())),
            ("fixations", len(fixations)),
            (
                "median duration, ms",
                f"{np.median(fixations.duration_ms):.0f}" if found[0].t_ms is not None else "–",
            ),
            ("sigma, px", f"{spread:.1f}"),
            ("written", out),
        ],
    )
