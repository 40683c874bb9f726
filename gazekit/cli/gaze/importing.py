"""``gazekit gaze import``: join recordings of any format to a data set and write one plain table."""

from pathlib import Path
from typing import Annotated

import typer

from gazekit.cli import console
from gazekit.cli.data.source import AllowOutside
from gazekit.cli.gaze.joining import matching_rows, warn_of_unmatched
from gazekit.cli.gaze.options import (
    DatasetSettings,
    GazeFormat,
    GazeOptions,
    NamesTable,
    ReaderNames,
    exams_of,
    read_recordings,
    readers_and_settings,
)
from gazekit.disk.wording import counted, first_few


def import_recordings(
    recordings: Annotated[Path, typer.Argument(help="Gaze file, or folder of them.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.csv", help="Table to write.")],
    dataset: Annotated[
        str, typer.Option(help="Kind of data set with the images (gazekit plugins list --kind dataset).")
    ],
    source: Annotated[Path, typer.Option(metavar="SRC", help="Folder of that raw data set.")],
    names: NamesTable = None,
    reader: ReaderNames = None,
    gaze_format: GazeFormat = "auto",
    settings: GazeOptions = None,
    dataset_settings: DatasetSettings = None,
    allow_outside: AllowOutside = None,
    fixations: Annotated[
        bool, typer.Option("--fixations", help="Write fixations instead of samples.")
    ] = False,
) -> None:
    """Join recordings of any format to the images of a data set and write them as one table in image pixels.

    The table is what gazekit data prepare --gaze takes. Matching nothing is an error.
    """
    from gazekit.disk.atomic import check_place, disk_errors, write_atomically
    from gazekit.errors import ConfigurationError
    from gazekit.gaze.export import export
    from gazekit.gaze.matching import join
    from gazekit.reading.image_size import image_size

    readers, detection = readers_and_settings(gaze_format, settings)
    if recordings.resolve() in (out.resolve(), *out.resolve().parents):
        raise ConfigurationError(
            f"{out}: lies among the recordings and would be read as one; choose another place"
        )
    check_place(out, makes_folder=True)
    exams = exams_of(dataset, source, dataset_settings, allow_outside or ())
    images = {(exam.exam_id, view): path for exam in exams for view, path in exam.images.items()}
    joined = join(read_recordings(recordings, readers, names, reader), exams)
    exported = export(joined, lambda key: image_size(images[key]), detection, as_fixations=fixations)
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, exported.text)
    warn_of_unmatched(joined)
    if exported.left_out:
        console.warn(
            f"left out {counted(len(exported.left_out), 'recording')}: {first_few(exported.left_out, most=2)}"
        )
    what = "fixations" if exported.holds_fixations else "samples"
    console.print_table(
        ("", "number"), [*matching_rows(joined), (f"{what} written", exported.rows)], title=str(out)
    )
