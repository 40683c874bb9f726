"""``gazekit gaze fixations``: write the fixations of recordings as a table, CSV or JSON."""

import math
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gazekit.cli import console
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
from gazekit.cli.options import Json

if TYPE_CHECKING:
    from gazekit.gaze.fixations import Fixations
    from gazekit.records.recording import Recording

COLUMNS = ("recording", "file", "exam_id", "view", "image", "reader", "onset_ms", "duration_ms", "x", "y")
_ABOUT = COLUMNS[1:6]


def fixations(
    recordings: Annotated[Path, typer.Argument(help="Gaze file, or folder of them.")],
    image: Annotated[
        Path | None,
        typer.Option(
            help="The image that was looked at: coordinates become its pixels, and bound the fixations. Of recordings "
            "that name images, those of this one are taken; recordings of others alone are an error."
        ),
    ] = None,
    exam: Annotated[str | None, typer.Option(help="Only recordings of this exam.")] = None,
    view: Annotated[str | None, typer.Option(help="Only recordings of this view.")] = None,
    reader: ReaderNames = None,
    image_name: ImageName = None,
    gaze_format: GazeFormat = "auto",
    settings: GazeOptions = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write instead of the table.")] = None,
    as_json: Json = False,
) -> None:
    """Find the fixations of recordings: onset and duration in ms, position in pixels.

    Thresholds are in degrees of visual angle. If the recording does not tell the length of a degree, it is 30/800 of
    the image's height (--image), or --set fixations.pixels_per_degree; 1 makes all thresholds pixels.
    """
    from gazekit.disk.atomic import check_place
    from gazekit.errors import DataError
    from gazekit.gaze.image_names import looking_at
    from gazekit.gaze.quality import check_recording
    from gazekit.prepared.index import write_table
    from gazekit.reading.image_size import image_size

    if out is not None:
        check_place(out)
    readers, detection = readers_and_settings(gaze_format, settings)
    chosen = of_exam(read_recordings(recordings, readers, wanted=reader), recordings, exam, view)
    if image is not None:
        chosen = looking_at(chosen, image, called=image_name)
        say_unnamed(chosen, image, chosen=exam is not None)
    size = None if image is None else image_size(image)
    found: list[dict[str, Any]] = []
    faults: list[str] = []
    for recording in chosen:
        check, these = check_recording(recording, size=size, settings=detection)
        if these is None:
            faults.append(f"{recording}: {check.refused}")
        else:
            found.append(_record(len(found) + 1, recording, these, of_image=image is not None))
    if not found:
        raise DataError(faults[0])
    for fault in faults:
        console.warn(fault)
    if out is not None:
        write_table(out, COLUMNS, _rows(found))
    if as_json:
        console.print_json("gazekit.fixations/1", {"recordings": found})
    else:
        _print(found, out)


def _record(number: int, recording: "Recording", found: "Fixations", *, of_image: bool) -> dict[str, Any]:
    """Return a recording and its fixations as plain values; unknown values are null."""
    is_known = recording.t_ms is not None or recording.duration_ms is not None
    own = "screen" if recording.on_screen else "displayed image"
    is_placed = of_image or (not recording.on_screen and recording.display_height is None)
    columns = zip(found.onset_ms, found.duration_ms, found.x, found.y, strict=True)
    return {
        "recording": number,
        "file": str(recording.source),
        "exam_id": recording.exam_id,
        "view": recording.view,
        "image": recording.image,
        "reader": recording.reader,
        "pixels_of": "image" if is_placed else own,
        "fixations": [
            {
                "onset_ms": None if math.isnan(onset) else float(onset),
                "duration_ms": float(duration) if is_known else None,
                "x": float(x),
                "y": float(y),
            }
            for onset, duration, x, y in columns
        ],
    }


def _rows(found: list[dict[str, Any]]) -> list[list[Any]]:
    return [
        [each["recording"], *(each[name] for name in _ABOUT), *fixation.values()]
        for each in found
        for fixation in each["fixations"]
    ]


def _print(found: list[dict[str, Any]], out: Path | None) -> None:
    durations = [
        f["duration_ms"] for each in found for f in each["fixations"] if f["duration_ms"] is not None
    ]
    summary = [
        ("recordings", len(found)),
        ("fixations", sum(len(each["fixations"]) for each in found)),
        ("median duration, ms", f"{median(durations):.0f}" if durations else "unknown, no times"),
        ("pixels of the", " and of the ".join(sorted({each["pixels_of"] for each in found}))),
    ]
    if out is not None:
        console.print_table(("", "value"), [*summary, ("written", out)])
        return
    columns = dict(zip(COLUMNS, zip(*_rows(found), strict=True), strict=True))
    if len({each["file"] for each in found}) == 1 or all(each["exam_id"] or each["image"] for each in found):
        columns.pop("file")
    if len(found) == 1:
        columns.pop("recording")
    shown = {name: cells for name, cells in columns.items() if any(cell is not None for cell in cells)}
    longest = next((name for name in ("image", "file", "exam_id") if name in shown), None)
    console.print_table(list(shown), zip(*(map(_text, c) for c in shown.values()), strict=True), fold=longest)
    console.note("; ".join(f"{name} {value}" for name, value in summary))


def _text(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)
