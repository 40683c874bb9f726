"""``gazekit gaze validate``: measure the quality of recordings before they supervise a model."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gazekit.cli import console
from gazekit.cli.data.source import AllowOutside, data_source
from gazekit.cli.data.validate import Crop
from gazekit.cli.gaze.joining import matching_rows, warn_of_unmatched
from gazekit.cli.gaze.options import (
    DatasetSettings,
    GazeFormat,
    GazeOptions,
    NamesTable,
    ReaderNames,
    exams_of,
    find_gaze_files,
    readers_and_settings,
)
from gazekit.cli.options import Json, refuse_options
from gazekit.disk.wording import first_few

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import RegionFinder
    from gazekit.gaze.matching import Joined
    from gazekit.preparing.validating.gaze_validation import Checked

_COLUMNS = {
    "rows": "rows",
    "s": "seconds",
    "Hz": "rate_hz",
    "lost": "lost",
    "border": "border",
    "outside": "outside",
    "fixations": "fixations",
    "ms": "median_duration_ms",
    "region": "region",
    "lesion": "lesion",
}
_LINES = 8
"""Maximum number of warnings of one sort."""
_SHARES = ("lost", "border", "outside", "region", "lesion")


def validate(
    context: typer.Context,
    recordings: Annotated[Path, typer.Argument(help="Gaze file, or folder of them.")],
    dataset: Annotated[
        str | None,
        typer.Option(help="Kind of data set with the images (gazekit plugins list --kind dataset)."),
    ] = None,
    source: Annotated[Path | None, typer.Option(metavar="SRC", help="Folder of that raw data set.")] = None,
    overlays: Annotated[
        Path | None,
        typer.Option(help="Folder for a PNG per matched recording: image, heat map, numbered fixations."),
    ] = None,
    names: NamesTable = None,
    reader: ReaderNames = None,
    gaze_format: GazeFormat = "auto",
    settings: GazeOptions = None,
    dataset_settings: DatasetSettings = None,
    crop: Crop = None,
    allow_outside: AllowOutside = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one per core")] = None,
    as_json: Json = False,
) -> None:
    """Print quality measures of recordings: rate, losses, fixations; with a data set also matches and dwell.

    lost: rows without a place. border, outside: of the others, on the image's edge (or clamped to it) and outside the
    image. ms: median duration of the fixations. The region, printed under its name, and lesion: share of the fixation
    time inside the box of the region that a preparation would cut out, and inside the masks. Warnings describe
    recordings that look wrong.
    """
    from gazekit.disk.atomic import check_place
    from gazekit.gaze.collecting import read_files
    from gazekit.gaze.image_names import named_by_table
    from gazekit.gaze.matching import join
    from gazekit.gaze.readers import of_readers
    from gazekit.machine import available_cores
    from gazekit.preparing.validating.gaze_validation import check_all

    _check_options(dataset, source, overlays)
    if dataset is None:
        refuse_options(
            context, ("dataset_settings", "crop", "allow_outside"), "a check of recordings without --dataset"
        )
    if overlays is not None:
        check_place(overlays / "files", makes_folder=True)
    readers, detection = readers_and_settings(gaze_format, settings)
    files = find_gaze_files(recordings, readers)
    found, unreadable = read_files(recordings, files)
    found = of_readers(named_by_table(found, names), reader or ())
    exams = exams_of(dataset, source, dataset_settings, allow_outside or ()) if dataset and source else []
    region = _region(dataset, dataset_settings, crop) if dataset else None
    joined = join(found, exams) if dataset else None
    results = check_all(
        found,
        {file.path: file.format for file in files},
        exams=exams,
        joined=joined,
        settings=detection,
        draw=overlays is not None,
        jobs=jobs or available_cores(),
        region=region,
    )
    checked = _collect(results, len(found), overlays)
    if as_json:
        console.print_json("gazekit.gaze_validation/1", _record(checked, joined, unreadable))
    else:
        _print(recordings, checked, joined, unreadable)


def _region(dataset: str, items: list[str] | None, crop: str | None) -> "tuple[RegionFinder, str] | None":
    """Find the region that is asked for, else that of the data set: its finder and its name; None for whole images."""
    from gazekit.preparing.regions import crop_of, find_finder

    name = crop_of(data_source(dataset, items, "--dataset-set")[0], crop)
    finder = find_finder(name, console.registry())
    return None if finder is None else (finder, name)


def _check_options(dataset: str | None, source: Path | None, overlays: Path | None) -> None:
    from gazekit.errors import ConfigurationError

    if (dataset is None) != (source is None):
        raise ConfigurationError("--dataset and --source go together: the kind of data set, and its folder")
    if overlays is not None and dataset is None:
        raise ConfigurationError("--overlays needs the images: add --dataset and --source")


def _collect(results: "Iterable[list[Checked]]", total: int, overlays: Path | None) -> "list[Checked]":
    """Collect all checks without their drawings, which are large and drawn one by one."""
    from gazekit.training.signals import ended_by_sigterm

    checked: list[Checked] = []
    with ended_by_sigterm(), console.progress("checking") as report:
        for on_one_image in results:
            _draw(on_one_image, overlays)
            checked += [replace(each, drawing=None) for each in on_one_image]
            report(len(checked), total)
    return checked


def _record(checked: "list[Checked]", joined: "Joined | None", unreadable: list[str]) -> dict[str, Any]:
    from gazekit.preparing.validating.gaze_validation import medians

    without = (
        [] if joined is None else [{"exam_id": exam, "view": view} for exam, view in joined.exams_without]
    )
    return {
        "recordings": [each.record() for each in checked],
        "median": medians(checked),
        "images_without_recording": without,
        "unreadable": unreadable,
    }


def _print(title: object, checked: "list[Checked]", joined: "Joined | None", unreadable: list[str]) -> None:
    from gazekit.preparing.validating.gaze_validation import medians

    middle = medians(checked)
    shown = {head: name for head, name in _COLUMNS.items() if middle[name] is not None}
    rows = [
        (each.name, *(_cell(name, getattr(each.check, name)) for name in shown.values())) for each in checked
    ]
    if len(rows) > 1:
        rows.append(("median", *(_cell(name, middle[name]) for name in shown.values())))
    region = next((each.check.region_name for each in checked if each.check.region_name), "")
    heads = [region if head == "region" else head for head in shown]
    console.print_table(("recording", *heads), rows, fold="recording")
    formats = Counter(each.format for each in checked)
    totals: list[tuple[str, object]] = [(f"recordings of {name}", count) for name, count in formats.items()]
    if joined is not None:
        totals += matching_rows(joined)
    totals += [("files that cannot be read", len(unreadable))] if unreadable else []
    console.print_table(("", "number"), totals, title=f"\n{title}")
    _warn(checked, joined, unreadable)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in _SHARES:
        return f"{100 * value:.0f} %"
    return f"{value:.1f}" if name == "seconds" else f"{value:.0f}"


def _warn(checked: "list[Checked]", joined: "Joined | None", unreadable: list[str]) -> None:
    from gazekit.preparing.validating.gaze_validation import doubts

    if joined is not None:
        warn_of_unmatched(joined)
    images = dict.fromkeys(each.image_refused for each in checked if each.image_refused)
    about = [
        f"{what} ({len(names)} of {len(checked)}: {first_few(names)})"
        for what, names in doubts(checked).items()
    ]
    for lines in (unreadable, [*images], about):
        console.warn_each(lines, _LINES, "like these; --json lists all")


def _draw(checked: "list[Checked]", folder: Path | None) -> None:
    """Draw a PNG per recording with fixations on an image: ``EXAM_VIEW.png``, if need be with reader or number."""
    if folder is None:
        return
    from gazekit.disk.atomic import disk_errors, write_atomically
    from gazekit.disk.file_names import file_name
    from gazekit.errors import DataError
    from gazekit.reporting.drawing.rendering import as_png
    from gazekit.reporting.drawing.scanpath import gaze_overlay

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        drawn: set[tuple[str, ...]] = set()
        for number, each in enumerate(checked, start=1):
            if each.drawing is None or each.key is None:
                continue
            words = [*each.key]
            if len(checked) > 1 and each.recording.reader is not None:
                words.append(each.recording.reader)
            if tuple(words) in drawn:
                words.append(str(number))
            drawn.add(tuple(words))
            try:
                picture = as_png(gaze_overlay(each.drawing))
            except DataError as error:
                console.warn(f"{each.name}: not drawn: {error}")
                continue
            write_atomically(folder / f"{file_name(*words)}.png", picture)
