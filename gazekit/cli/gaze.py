"""``gazekit gaze``: look at recordings before they supervise anything."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gazekit.cli import console, gaze_fixations, gaze_import, gaze_validate
from gazekit.cli.gaze_options import GazeFormat, GazeSettings, read_recordings, readers_and_settings

if TYPE_CHECKING:
    from gazekit.gaze.recording import Recording

app = typer.Typer(help="Check gaze recordings, import them, find their fixations.", no_args_is_help=True)
app.command("validate")(gaze_validate.validate)
app.command("import")(gaze_import.import_recordings)
app.command("fixations")(gaze_fixations.fixations)


@app.command()
def heatmap(
    recording: Annotated[Path, typer.Argument(help="Gaze file.")],
    image: Annotated[Path, typer.Argument(help="The image that was looked at.")],
    out: Annotated[Path, typer.Argument(help="PNG file to write.")],
    view: Annotated[
        str | None,
        typer.Option(help="View to draw when the file holds several.", show_default="that of the image"),
    ] = None,
    exam: Annotated[
        str | None,
        typer.Option(help="Exam to draw when the file holds several.", show_default="that of the image"),
    ] = None,
    gaze_format: GazeFormat = "auto",
    settings: GazeSettings = None,
) -> None:
    """Draw the gaze heat map of a recording over its image, and print what was found in it.

    Of a file with several recordings it is the one that names the image, or that of --exam and --view.
    The width of a fixation is --set fixations.sigma_degrees; a degree is 30/800 of the image's height where the
    recording does not say how long it is.
    """
    import numpy as np
    from PIL import Image

    from gazekit.atomic import disk_errors
    from gazekit.data.image import read_image
    from gazekit.gaze.fixations import fixations_of
    from gazekit.gaze.heatmap import heat_map, sigma_pixels
    from gazekit.gaze.names import looking_at
    from gazekit.report.overlay import overlay

    readers, detection = readers_and_settings(gaze_format, settings)
    found = _only(looking_at(read_recordings(recording, readers), image), recording, exam, view)
    pixels = read_image(image).pixels  # [H, W]
    height, width = pixels.shape
    fixations = fixations_of(found, image_height=height, image_width=width, settings=detection)
    spread = sigma_pixels(found, height, detection)
    heat = heat_map(fixations.x, fixations.y, fixations.duration_ms, shape=(height, width), sigma=spread)
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(overlay(pixels, heat)).save(out, format="PNG")
    duration = f"{np.median(fixations.duration_ms):.0f}" if found.t_ms is not None else "–"
    rows = [
        ("rows in the recording", len(found.x)),
        ("lost", int(np.isnan(found.x).sum())),
        ("fixations", len(fixations)),
        ("median duration, ms", duration),
        ("sigma, px", f"{spread:.1f}"),
        ("written", out),
    ]
    console.print_table(("", "value"), rows)


def _only(every: "list[Recording]", file: Path, exam: str | None, view: str | None) -> "Recording":
    from gazekit.errors import DataError

    found = [each for each in every if view in (None, each.view) and exam in (None, each.exam_id)]
    if len(found) != 1:
        what = "; ".join(map(str, found[:3])) or "none"
        raise DataError(
            f"{file}: expected one recording to draw, found {len(found)}: {what}; use --exam and --view, or the image "
            "that the recording names"
        )
    return found[0]
