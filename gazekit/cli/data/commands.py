"""``gazekit data``: make, validate, prepare and split data sets."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gazekit.cli import console
from gazekit.cli.data.source import AllowOutside, SourceOptions, data_source
from gazekit.cli.data.split import split
from gazekit.cli.data.validate import BitDepth, Crop, MaskOutside, Window, validate
from gazekit.cli.gaze.options import (
    GazeFormat,
    NamesTable,
    ReaderNames,
    only_readers,
    own_gaze_options,
    read_recordings,
    reader_lookup,
    readers_and_settings,
)
from gazekit.cli.options import Json
from gazekit.disk.wording import first_few

if TYPE_CHECKING:
    from gazekit.gaze.collecting import SkippedFile
    from gazekit.preparing.summary import Summary
    from gazekit.records.recording import Recording

app = typer.Typer(help="Make, validate, prepare, merge, verify and split data sets.", no_args_is_help=True)
app.command()(validate)
app.command()(split)


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="Kind of data set (gazekit plugins list --kind dataset).")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of the raw data set.")],
    out: Annotated[Path, typer.Argument(help="Folder for the prepared data set.")],
    size: Annotated[str, typer.Option(help="Side, or HEIGHTxWIDTH, of the prepared images, px.")] = "224",
    views: Annotated[
        str | None,
        typer.Option(help="Views of an exam, separated by commas.", show_default="all of the source"),
    ] = None,
    missing_views: Annotated[
        Literal["refuse", "keep"],
        typer.Option(
            help="An exam that lacks a view: refuse leaves it out, keep keeps it with the views it has."
        ),
    ] = "refuse",
    colour: Annotated[
        bool, typer.Option("--colour", help="Keep red, green and blue; otherwise colour images are refused.")
    ] = False,
    crop: Crop = None,
    scale: Annotated[
        Literal["fill", "same"],
        typer.Option(
            help="fill scales each view to fill its image; same brings all views of an exam to one scale, by pixel "
            "spacing where every view has it, else by pixels."
        ),
    ] = "fill",
    mask_outside: MaskOutside = None,
    laterality: Annotated[
        Literal["auto", "off"], typer.Option(help="auto flips images of the right side; off never flips.")
    ] = "auto",
    window: Window = "first",
    bit_depth: BitDepth = None,
    dtype: Annotated[Literal["uint8", "uint16"], typer.Option(help="Type of the stored pixels.")] = "uint8",
    gaze: Annotated[
        Path | None, typer.Option(help="Gaze file or folder, joined by exam and view or by image name.")
    ] = None,
    names: NamesTable = None,
    reader: ReaderNames = None,
    gaze_format: GazeFormat = "auto",
    gaze_settings: Annotated[
        list[str] | None,
        typer.Option(
            "--gaze-set",
            metavar="OPTION=VALUE",
            help="Option of the gaze format, or fixations.NAME of the fixation detection; may be repeated.",
        ),
    ] = None,
    overrides: SourceOptions = None,
    allow_outside: AllowOutside = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one per core")] = None,
    on_bad_exam: Annotated[
        Literal["skip", "error"],
        typer.Option(help="skip lists it in refused.csv (gaze alone: in findings.csv), error stops."),
    ] = "skip",
    image_names: Annotated[
        bool,
        typer.Option(
            "--image-names",
            help="Keep the names of the files in index.csv and refused.csv; they may hold names of patients.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing preparation in OUT.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Prepare the I-th of N parts only, as one of several machines; gazekit data merge joins them.",
            show_default="everything",
        ),
    ] = None,
) -> None:
    """Decode, crop, flip and resize every exam once; fixations and masks go through the same geometry.

    Repeat the command to resume a killed preparation.
    """
    from gazekit.reading.parallel import start_ahead

    start_ahead()
    from gazekit.gaze.image_names import check_named
    from gazekit.prepared.settings import PreparationSettings
    from gazekit.preparing.prepare import Procedure
    from gazekit.preparing.prepare import prepare as prepare_data
    from gazekit.preparing.raw.source import RawData
    from gazekit.preparing.redaction import finding_of
    from gazekit.training.signals import ended_by_sigterm

    check_named(names, gaze)
    kind, positive = data_source(dataset, overrides)
    readers, detection = readers_and_settings(gaze_format, gaze_settings, "--gaze-set")
    strict = on_bad_exam == "error"
    skipped: list[SkippedFile] = []
    recordings = None
    if gaze is not None:
        recordings = read_recordings(gaze, readers, names, reader, strict=strict, skip=skipped.append)
    raw = RawData(
        kind,
        source,
        positive=positive,
        allow_outside=allow_outside or (),
        gaze_reader=reader_lookup(only_readers(readers, reader)),
        gaze_options=own_gaze_options(gaze_format, gaze_settings, reader),
        recordings=recordings,
        skipped=skipped,
        registry=console.registry(),
    )
    settings = PreparationSettings(
        views=tuple(view.strip() for view in (views or "").split(",") if view.strip()),
        size=_size(size),
        crop=crop or "",
        scale=scale,
        laterality=laterality,
        missing_views=missing_views,
        colour=colour,
        window=window,
        dtype=dtype,
        fixations=detection,
        bit_depth=bit_depth,
        mask_outside=mask_outside,
    )
    with ended_by_sigterm(), console.progress("preparing") as report:
        procedure = Procedure(
            *(jobs, on_bad_exam, image_names, overwrite, report, console.note, console.warn),
            shard=_shard(shard),
        )
        summary = prepare_data(raw, out, settings, procedure)
    said = (finding_of(each, named=image_names).what for each in skipped)
    _print(summary, recordings=recordings, said=tuple(said))
    if shard is not None:
        console.note(f"shard {shard} is finished; when all are: gazekit data merge PREPARED SHARD …")


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(help="Folder for the prepared data set.")],
    shards: Annotated[
        list[Path], typer.Argument(metavar="SHARD...", help="Folders of all shards, in any order.")
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing preparation in OUT.")
    ] = False,
) -> None:
    """Merge the shards of gazekit data prepare --shard into one prepared data set.

    It has the files and the fingerprint of a preparation in one go. Repeat the command to resume a killed merge; the
    shards stay.
    """
    from gazekit.preparing.prepare import Procedure
    from gazekit.preparing.sharding.merge import merge as merge_shards
    from gazekit.training.signals import ended_by_sigterm

    with ended_by_sigterm(), console.progress("merging") as report:
        procedure = Procedure(overwrite=overwrite, progress=report, note=console.note)
        summary = merge_shards(shards, out, procedure)
    _print(summary, recordings=None)


@app.command()
def verify(
    data: Annotated[Path, typer.Argument(help="Prepared data set.")],
    as_json: Json = False,
) -> None:
    """Check every file of a prepared data set against the checksums in its manifest, and its content against the
    fingerprint.

    Evaluation and reports also check the fingerprint before they begin. The exit code is 3 if anything is wrong.
    Checksums detect accidental damage, not deliberate changes.
    """
    from gazekit.errors import DataError
    from gazekit.prepared.not_prepared import why_not_prepared
    from gazekit.prepared.verification import faults_of

    if why := why_not_prepared(data):
        raise DataError(f"{data}: {why}")
    found = faults_of(data)
    if as_json:
        value = {
            "data": str(data),
            "whole": not found.faults,
            "faults": found.faults,
            "unchecked": found.unchecked,
        }
        console.print_json("gazekit.data_verification/1", value)
    for fault in found.faults:
        console.warn(fault)
    if found.unchecked:
        console.note(
            f"{data}: prepared by an earlier gazekit, which wrote no checksums: {', '.join(found.unchecked)} cannot be "
            "checked; labels, patients and pixels are, against the fingerprint"
        )
    if found.faults:
        raise DataError(f"{data}: is damaged; copy it again, or prepare it again with --overwrite")
    if not as_json:
        console.stdout().print(f"{data}: whole", markup=False, soft_wrap=True)


def _size(text: str) -> tuple[int, int]:
    from gazekit.errors import ConfigurationError

    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match:
        raise ConfigurationError(
            f"--size {text}: expected a side such as 224, or HEIGHTxWIDTH such as 256x192"
        )
    return int(match[1]), int(match[2] or match[1])


def _shard(text: str | None) -> tuple[int, int] | None:
    from gazekit.errors import ConfigurationError

    if text is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match:
        raise ConfigurationError(f"--shard {text}: expected I/N such as 2/8, the second of eight parts")
    return int(match[1]), int(match[2])


def _print(summary: "Summary", *, recordings: "list[Recording] | None", said: tuple[str, ...] = ()) -> None:
    from gazekit.gaze.lost import doubts_of_reading
    from gazekit.prepared.index import refused_path

    rows = [("exams", summary.exams)]
    rows += [(f"class {name}", count) for name, count in summary.classes.items()]
    rows += [(f"{view} missing", summary.exams - count) for view, count in (summary.with_image or {}).items()]
    rows += [(f"{view} with gaze", count) for view, count in summary.with_gaze.items()]
    rows += [(f"{view} with a lesion mask", count) for view, count in summary.with_mask.items()]
    rows += [(f"{view} with a known side", count) for view, count in (summary.with_side or {}).items()]
    if recordings is not None:
        rows += [
            ("recordings that match an image", len(recordings) - summary.unmatched_recordings),
            ("recordings that match none", summary.unmatched_recordings),
        ]
        rows += [
            (f"{view} without a usable recording", summary.exams - n) for view, n in summary.with_gaze.items()
        ]
    if summary.refused_gaze:
        rows += [("recordings and files of gaze refused", len(summary.refused_gaze))]
    rows += [("refused", len(summary.refused))]
    rows += [("findings of the data set", len(summary.findings))] if summary.findings else []
    console.print_table(("", "number"), rows, title=str(summary.root))
    if summary.work is not None:
        console.note(f"read {summary.work}")
    about: dict[tuple[str, str], list[str]] = {}
    doubtful = summary.doubtful
    for each in summary.findings:
        if each not in doubtful and each.what not in said:
            about.setdefault((each.kind, each.what), []).append(each.about)
    for (sort, what), names in about.items():
        console.note(f"{len(names)} × {sort}: {what} ({first_few(names)})")
    _warn_of_sides(summary)
    _warn_of_doubts(summary, (*doubts_of_reading(recordings or []), *said))
    if summary.unmatched_recordings:
        console.warn(
            "some recordings match no image; gazekit gaze validate --dataset … --source … names them, and says why"
        )
    for name in [name for name, count in summary.classes.items() if count == 0]:
        console.warn(f"no exam of class '{name}' is left")
    refused = [f"exam {each.key} refused: {each.reason}" for each in summary.refused]
    console.warn_each(refused, 10, f"in {refused_path(summary.root)}")
    for exams in summary.duplicates:
        console.warn(f"identical images in exams {', '.join(exams)}; a split keeps them together")


def _warn_of_sides(summary: "Summary") -> None:
    """Say of how many images the side is unknown, so that they could not be turned by it."""
    if summary.with_side is None:
        return
    there = (summary.with_image or dict.fromkeys(summary.with_side, summary.exams)).values()
    images, known = sum(there), sum(summary.with_side.values())
    hint = "a column laterality says it, or L, R in the names (P1_R_VIEW.png)"
    if known == 0:
        console.note(
            f"no image states its side, so none was flipped; {hint}; --laterality off if it does not matter"
        )
    elif known < images:
        console.warn(
            f"{images - known} of {images} images do not say their side, and were not turned; {hint}"
        )


def _warn_of_doubts(summary: "Summary", said: tuple[str, ...]) -> None:
    """Name the exams and views that a user should look at; not again for what was said when recordings were read."""
    from gazekit.prepared.index import FINDINGS
    from gazekit.records.exam import DOUBT

    doubts = list(summary.doubts(said))
    console.warn_each(doubts, 10, f"in {summary.root / FINDINGS}")
    if any(each.kind == DOUBT for each in summary.doubtful):
        console.warn("check these images; where they show no such region, prepare with --crop none")
