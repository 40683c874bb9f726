"""``gazekit gaze``: check recordings before they supervise a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gazekit.cli import console
from gazekit.cli.gaze import areas as gaze_areas
from gazekit.cli.gaze import compare as gaze_compare
from gazekit.cli.gaze import fixations as gaze_fixations
from gazekit.cli.gaze import importing as gaze_import
from gazekit.cli.gaze import validate as gaze_validate
from gazekit.cli.gaze.options import (
    GazeFormat,
    GazeOptions,
    ImageName,
    ReaderNames,
    of_exam,
    read_recordings,
    readers_and_settings,
    say_unnamed,
)
from gazekit.disk.wording import first_few

if TYPE_CHECKING:
    from gazekit.errors import DataError
    from gazekit.records.arrays import Floats
    from gazekit.records.recording import Recording

app = typer.Typer(help="Check gaze recordings, import them, find their fixations.", no_args_is_help=True)
app.command("validate")(gaze_validate.validate)
app.command("import")(gaze_import.import_recordings)
app.command("fixations")(gaze_fixations.fixations)
app.command("compare")(gaze_compare.compare)
app.command("areas")(gaze_areas.areas)


@app.command()
def heatmap(
    recording: Annotated[Path, typer.Argument(help="Gaze file.")],
    image: Annotated[Path, typer.Argument(help="The image that was looked at.")],
    out: Annotated[Path, typer.Argument(help="PNG file to write.")],
    view: Annotated[
        str | None,
        typer.Option(help="View to draw if the file holds several.", show_default="that of the image"),
    ] = None,
    exam: Annotated[
        str | None,
        typer.Option(help="Exam to draw if the file holds several.", show_default="that of the image"),
    ] = None,
    reader: ReaderNames = None,
    pool: Annotated[
        bool,
        typer.Option("--pool", help="Draw the mean of the readers' heat maps, as a prepared set has it."),
    ] = False,
    image_name: ImageName = None,
    gaze_format: GazeFormat = "auto",
    settings: GazeOptions = None,
) -> None:
    """Draw the gaze heat map of a recording over its image, and print its measures.

    If a file holds several recordings, the one that names the image is drawn, or the one of --exam and --view;
    recordings that name other images are refused. --reader chooses a reader, --pool draws the mean of all remaining
    recordings. The width of a fixation is --set fixations.sigma_degrees; if the recording does not tell the length of
    a degree, it is 30/800 of the image's height.
    """
    import numpy as np
    from PIL import Image

    from gazekit.disk.atomic import check_place, disk_errors, write_atomically
    from gazekit.gaze.fixations import fixations_of
    from gazekit.gaze.heat_map import heat_map, mean_heat_map, sigma_pixels
    from gazekit.gaze.image_names import looking_at
    from gazekit.gaze.readers import reader_names
    from gazekit.reading.image import read_image
    from gazekit.reporting.drawing.overlay import overlay
    from gazekit.reporting.drawing.rendering import as_png

    check_place(out, makes_folder=True)
    readers, detection = readers_and_settings(gaze_format, settings)
    every = of_exam(read_recordings(recording, readers, wanted=reader), recording, exam, view)
    chosen = looking_at(every, image, called=image_name)
    if len(chosen) > 1 and not pool:
        raise _several(chosen, recording)
    say_unnamed(chosen, image, chosen=exam is not None)
    pixels = read_image(image, colour=True).pixels  # [H, W]
    height, width = pixels.shape
    names = reader_names(chosen)
    looks: dict[str, list[tuple[Floats, ...]]] = {}
    rows: list[tuple[str, object]] = []
    for name, each in zip(names, chosen, strict=True):
        found = fixations_of(each, image_height=height, image_width=width, settings=detection)
        sigma = sigma_pixels(each, height, width, detection)
        widths = (np.full(len(found), axis) for axis in sigma)
        looks.setdefault(name, []).append((found.x, found.y, found.duration_ms, *widths))
        duration = f"{np.median(found.duration_ms):.0f}" if each.t_ms is not None else "–"
        rows += [("reader", name)] if each.reader is not None or len(chosen) > 1 else []
        rows += [
            ("rows in the recording", len(each.x)),
            ("lost", int(np.isnan(each.x).sum())),
            ("fixations", len(found)),
            ("median duration, ms", duration),
            ("sigma, px", " x ".join(dict.fromkeys(f"{axis:.1f}" for axis in sigma))),
        ]
    maps = []
    for own in looks.values():  # a reader counts once, however many recordings there are
        x, y, weight, across, down = map(np.concatenate, zip(*own, strict=True))
        maps.append(heat_map(x, y, weight, shape=(height, width), sigma=(across, down)))
    drawn = as_png(Image.fromarray(overlay(pixels, mean_heat_map(maps))))
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, drawn)
    console.print_table(("", "value"), [*rows, ("written", out)])


def _several(found: "list[Recording]", file: Path) -> "DataError":
    from gazekit.errors import DataError

    readers = list(dict.fromkeys(each.reader for each in found if each.reader is not None))
    among = f" of the readers {first_few(readers)}" if len(readers) > 1 else f": {first_few(found, most=2)}"
    how = "--reader" if len(readers) > 1 else "--exam and --view, or --reader,"
    return DataError(
        f"{file}: expected one recording to draw, found {len(found)}{among}; choose with {how} or draw their mean with "
        "--pool"
    )
