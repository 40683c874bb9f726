"""``gazekit gaze areas``: how long, how often and how soon the readers of a prepared set look at areas of interest."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gazekit.cli import console
from gazekit.cli.options import Json
from gazekit.disk.wording import counted, first_few

if TYPE_CHECKING:
    from gazekit.measures.gaze.areas_of_interest import AreaReading, AreaSummary
    from gazekit.prepared.areas import AreaBoxes
    from gazekit.prepared.dataset import PreparedDataset

_ABOUT = ("exam_id", "patient_id", "label", "view", "reader", "area", "area_share")
_MEASURES = (
    *("dwell_ms", "dwell_share", "fixations", "entries"),
    *("time_to_first_ms", "first_fixation_ms", "fixations_before"),
)
COLUMNS = (*_ABOUT, *_MEASURES)
_SHOWN = ("area", "readings", "looked at", "first, ms", "dwell, ms", "share", "chance", "entries")


def areas(
    data: Annotated[Path, typer.Argument(help="Prepared data set with gaze.")],
    table: Annotated[
        Path | None,
        typer.Option(
            "--areas",
            help="Table of boxes, exam_id,view,area,left,top,right,bottom in pixels of the original images; right and "
            "bottom exclusive. Boxes of one name on one image are one area.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write, a row per image, reader and area.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how long, how often and how soon readers look at areas of interest, with 95 % intervals over patients.

    Areas are the lesion masks of the prepared set, called lesion, and the boxes of --areas. A fixation is inside if the
    pixel under it is. The table on the screen has the share of the readings (one reader's look at one image) that
    looked at an area, medians of times and entries, and mean shares; --out and --json have every reading.
    """
    from gazekit.disk.atomic import check_place
    from gazekit.errors import ConfigurationError
    from gazekit.measures.gaze.areas_of_interest import measure_areas, summarise_areas
    from gazekit.measures.statistics.intervals import INTERVAL_METHOD
    from gazekit.prepared.areas import read_areas
    from gazekit.prepared.dataset import PreparedDataset
    from gazekit.prepared.index import write_table

    if table is not None and out is not None and out.resolve() == table.resolve():
        raise ConfigurationError(f"--out {out} would replace the table of --areas; write to another file")
    if out is not None:
        check_place(out)
    dataset = PreparedDataset.open(data)
    boxes = None if table is None else read_areas(table, dataset)
    if boxes is not None:
        _warn(table, data, boxes)
    found = measure_areas(dataset, boxes)
    summaries = summarise_areas(dataset, found)
    rows = [_record(dataset, each) for each in found]
    if out is not None:
        write_table(out, COLUMNS, (row.values() for row in rows))
    if as_json:
        summary = [_plain(dataset, each) for each in summaries]
        value = {
            "data": str(data),
            "interval": f"95 %, {INTERVAL_METHOD}",
            "readings": rows,
            "areas": summary,
        }
        console.print_json("gazekit.areas_of_interest/1", value)
    else:
        _print(dataset, found, summaries)
        if out is not None:
            console.note(f"written: {out}, {counted(len(rows), 'row')}")


def _warn(table: Path | None, data: Path, boxes: "AreaBoxes") -> None:
    if boxes.unknown:
        images = counted(len(boxes.unknown), "image")
        console.warn(
            f"{table}: names {images} that {data} does not have, left out: {first_few(boxes.unknown)}"
        )
    if boxes.beside:
        console.warn(
            f"{table}: {counted(len(boxes.beside), 'row')} with a box wholly beside what the preparation kept of the "
            f"image, left out: {first_few(boxes.beside)}; prepare with --crop none to keep whole images"
        )


def _record(dataset: "PreparedDataset", of: "AreaReading") -> dict[str, Any]:
    """Return the values of ``COLUMNS``."""
    about = (
        *(dataset.exam_ids[of.exam], dataset.patient_ids[of.exam], dataset.classes[dataset.labels[of.exam]]),
        *(of.view, of.reader, of.area, of.area_share),
    )
    return dict(zip(_ABOUT, about, strict=True)) | asdict(of.found)


def _plain(dataset: "PreparedDataset", of: "AreaSummary") -> dict[str, Any]:
    """Return a summary as plain values; a bound that could not be had is null."""
    interval = of.looked_at
    bounds = (interval.low, interval.high) if interval.low <= interval.high else (None, None)
    label = None if of.label is None else dataset.classes[of.label]
    looked = dict(zip(("value", "low", "high"), (interval.value, *bounds), strict=True))
    return {**asdict(of), "label": label, "looked_at": looked}


def _print(dataset: "PreparedDataset", found: "list[AreaReading]", summaries: "list[AreaSummary]") -> None:
    from gazekit.measures.statistics.intervals import INTERVAL_METHOD

    images = {(each.exam, each.view) for each in found}
    readers = len({each.reader for each in found})
    of_readers = [each for each in summaries if each.label is None]
    console.print_table(
        ("reader", *_SHOWN),
        [("all" if each.reader is None else each.reader, *_cells(each)) for each in of_readers],
        title=f"{counted(len(images), 'image')} with gaze and an area, {counted(readers, 'reader')}",
        fold="reader",
    )
    of_classes = [each for each in summaries if each.label is not None]
    if of_classes:
        console.print_table(
            ("class", *_SHOWN),
            [(dataset.classes[each.label], *_cells(each)) for each in of_classes if each.label is not None],
            title="\nAll readers, by class of the exam",
            fold="class",
        )
    console.note(
        f"looked at: share of the readings, [95 %]: {INTERVAL_METHOD}; first: time to the first fixation inside "
        "(where there is one); share: of the fixation time; chance: of the image; medians, but means of the shares"
    )
    gaze = dataset.fixation_table
    looked_at = {(int(exam), dataset.views[view]) for exam, view in zip(gaze.exam, gaze.view, strict=True)}
    if bare := looked_at - images:
        console.note(f"{counted(len(bare), 'image')} with gaze but no area: no rows")


def _cells(of: "AreaSummary") -> tuple[object, ...]:
    from gazekit.measures.numbers import NONE, interval, three

    times = (NONE if value is None else f"{value:.0f}" for value in (of.time_to_first_ms, of.dwell_ms))
    return (
        of.area,
        of.readings,
        interval(of.looked_at),
        *times,
        three(of.dwell_share),
        three(of.area_share),
        f"{of.entries:g}",
    )
