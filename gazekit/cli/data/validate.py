"""``gazekit data validate``: the contents and faults of a raw data set, before it is prepared."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gazekit.cli import console
from gazekit.cli.data.source import AllowOutside, SourceOptions, data_source
from gazekit.cli.gaze.options import reader_lookup, readers_and_settings
from gazekit.cli.options import Json
from gazekit.disk.wording import counted, first_few

if TYPE_CHECKING:
    from gazekit.preparing.validating.validation import PartCounts, Validation

Crop = Annotated[
    str | None,
    typer.Option(
        metavar="REGION",
        help="Cut to a region (gazekit plugins list --kind region), or keep the whole image: none.",
        show_default="the region of the data set",
    ),
]
MaskOutside = Annotated[
    bool | None,
    typer.Option(
        "--mask-outside/--no-mask-outside",
        help="Make everything outside the region background.",
        show_default="where images are cut to it",
    ),
]
Window = Annotated[
    str,
    typer.Option(
        help="Window of DICOM files: first, its number or name, range (of the whole image), or CENTER,WIDTH."
    ),
]

BitDepth = Annotated[
    int | None,
    typer.Option(
        min=8,
        max=16,
        help="Bits used of PNG, TIFF and NPY images of 16 bits.",
        show_default="the least that holds every image",
    ),
]

_NAMED = 3
"""Number of examples of a finding in the table; ``--json`` has all."""


def validate(
    dataset: Annotated[str, typer.Argument(help="Kind of data set (gazekit plugins list --kind dataset).")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of the raw data set.")],
    overrides: SourceOptions = None,
    allow_outside: AllowOutside = None,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="Do not read images, masks and gaze.")
    ] = False,
    colour: Annotated[bool, typer.Option("--colour", help="Images may be in colour.")] = False,
    crop: Crop = None,
    window: Window = "first",
    bit_depth: BitDepth = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one per core")] = None,
    as_json: Json = False,
) -> None:
    """Check a data set without preparing it: counts, and inputs that are missing, disagree or are left out, and why.

    Images are read as gazekit data prepare with the same --crop, --window and --bit-depth would.
    """
    if not tables_only:
        from gazekit.reading.parallel import start_ahead

        start_ahead()
    from dataclasses import asdict

    from gazekit.prepared.settings import PreparationSettings
    from gazekit.preparing.raw.source import RawData
    from gazekit.preparing.regions import crop_of
    from gazekit.preparing.validating.validation import validate as validate_data
    from gazekit.training.signals import ended_by_sigterm

    kind, positive = data_source(dataset, overrides)
    readers, _ = readers_and_settings("auto", None)
    raw = RawData(
        kind,
        source,
        positive,
        allow_outside or (),
        gaze_reader=reader_lookup(readers),
        registry=console.registry(),
    )
    settings = PreparationSettings(crop=crop or "", window=window, bit_depth=bit_depth, colour=colour)
    with ended_by_sigterm(), console.progress("reading images") as report:
        validation = validate_data(raw, settings, read_images=not tables_only, jobs=jobs, progress=report)
    if as_json:
        values = {"dataset": dataset, "source": str(source), **asdict(validation)}
        if validation.faults is not None:
            images = [[each.key, each.view, each.reason] for each in validation.faults.refused]
            values["faults"] |= {"refused": images, "unusable": images}  # the latter for one release
        console.print_json("gazekit.validation/1", values)
        return
    _print(validation, f"{dataset} in {source}", crop_of(kind, crop))


def _print(validation: "Validation", title: str, region: str) -> None:
    from gazekit.records.labels import describe

    columns = {"all": validation.whole, **validation.parts}
    console.print_table(("", *columns), _counts(columns), title=title)
    console.print_table(("", "number"), _files(validation, region))
    found = [*_noticed(validation), *_faults(validation)]
    if found:
        console.print_table(("", "number", "finding, with first examples"), found)
    if validation.whole.classes:
        console.note(describe(tuple(validation.whole.classes)))
    for doubt in validation.doubts:
        console.warn(doubt)
    if validation.two_sided:
        who = first_few(validation.two_sided, 5)
        console.warn(
            f"the given split has {counted(len(validation.two_sided), 'patient')} on two sides ({who}); a model tested "
            "on it has seen them; gazekit data split --anew makes one by patient"
        )
    if validation.refused:
        console.warn(f"cannot be prepared: {validation.refused}")
    if validation.images and len(validation.missing) == validation.images:
        console.warn("no image is there: these are the counts of the tables alone")


def _counts(columns: "dict[str, PartCounts]") -> Iterator[tuple[object, ...]]:
    parts = list(columns.values())
    yield ("exams", *(part.exams for part in parts))
    yield ("patients", *(part.patients for part in parts))
    for views in dict.fromkeys(views for part in parts for views in part.views):
        yield (f"with {views}", *(part.views.get(views, 0) for part in parts))
    for name in parts[0].classes:
        yield (f"class {name}", *(part.classes[name] for part in parts))


def _files(validation: "Validation", region: str) -> Iterator[tuple[object, object]]:
    from gazekit.prepared.settings import WHOLE

    yield from (
        (f"exams from {name or 'no named part'}", number) for name, number in validation.datasets.items()
    )
    yield from ((f"exams with images of side {side}", number) for side, number in validation.sides.items())
    yield "images that the tables name", validation.images
    yield "images that are there", validation.images - len(validation.missing)
    yield from ((f"{view} with a lesion mask", number) for view, number in validation.with_mask.items())
    yield from ((f"{view} with gaze", number) for view, number in validation.with_gaze.items())
    if validation.faults is not None:
        yield "images that are refused", len(validation.faults.refused)
        yield "images whose header does not fit their pixels or the tables", len(validation.faults.odd)
        if region != WHOLE:
            yield f"images without a plausible {region}", len(validation.faults.doubtful)
        if validation.with_gaze:
            yield "views whose gaze looks wrong", len(validation.faults.gaze)
        if validation.with_gaze or validation.faults.refused_gaze:
            yield "recordings and files of gaze that are refused", len(validation.faults.refused_gaze)


def _noticed(validation: "Validation") -> Iterator[tuple[object, ...]]:
    for each in validation.noticed:
        yield each.kind, len(each.about), f"{each.what} ({first_few(each.about, _NAMED)})"


def _faults(validation: "Validation") -> Iterator[tuple[object, ...]]:
    if validation.faults is None:
        return
    refused = tuple((each.key, each.view, each.reason) for each in validation.faults.refused)
    others = {kind: getattr(validation.faults, kind) for kind in ("odd", "doubtful", "gaze")}
    gaze = {"gaze refused": validation.faults.refused_gaze}
    for kind, found in ({"refused": refused} | gaze | others).items():
        for exam, view, what in found[:10]:
            yield kind, 1, f"exam {exam} view {view}: {what}" if view else f"{exam}: {what}"
        rest = len(found) - 10
        if rest > 0:
            yield kind, rest, "more; --json lists them all"
    alike: dict[str, list[str]] = {}
    for exam, view, what in validation.faults.notes:
        alike.setdefault(what, []).append(f"{exam} {view}")
    for what, about in alike.items():
        yield "note", len(about), f"{what} ({first_few(about, _NAMED)})"
    for same in validation.faults.identical:
        yield "identical", len(same), f"the same image in {first_few(same, 5)}"
