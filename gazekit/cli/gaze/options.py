"""Options shared by the commands that read gaze: format, its options, fixation settings."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gazekit.cli import console
from gazekit.disk.wording import first_few

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import GazeReader
    from gazekit.gaze.collecting import SkippedFile
    from gazekit.gaze.fixations import FixationSettings
    from gazekit.gaze.formats import GazeFile
    from gazekit.records.exam import Exam
    from gazekit.records.recording import Recording

    Readers = Mapping[str, GazeReader]

GazeFormat = Annotated[
    str,
    typer.Option(
        "--format",
        help="Format of the recordings (gazekit plugins list --kind gaze_reader); auto looks at each file.",
    ),
]
GazeOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="OPTION=VALUE",
        help="Option of the format; lost=[X,Y], a place that means a lost sample; or fixations.NAME of the fixation "
        "detection. May be repeated.",
    ),
]
NamesTable = Annotated[
    Path | None,
    typer.Option(
        help="Table of name, exam_id, view: which image a recording's image or file name stands for; a column reader "
        "says who looked."
    ),
]
DatasetSettings = Annotated[
    list[str] | None,
    typer.Option("--dataset-set", metavar="OPTION=VALUE", help="Option of the data set; may be repeated."),
]
ReaderNames = Annotated[
    list[str] | None,
    typer.Option("--reader", metavar="NAME", help="Only recordings of this reader; may be repeated."),
]
ImageName = Annotated[
    str | None,
    typer.Option(help="Name of the image in the recordings, if it is not the file's name."),
]


def options_of(items: Sequence[str] | None, flag: str = "--set") -> dict[str, Any]:
    """Parse the ``OPTION=VALUE`` items of a command's option into a table. Raises: ConfigurationError."""
    from gazekit.presets.layers import plain_options

    return plain_options(items or (), flag)


def readers_and_settings(
    name: str, items: Sequence[str] | None, flag: str = "--set"
) -> "tuple[Readers, FixationSettings]":
    """Return the gaze readers for a ``--format``, with their options; see ``gaze.options``."""
    from gazekit.gaze import options

    return options.readers_and_settings(console.registry(), name, options_of(items, flag))


def own_gaze_options(name: str, items: Sequence[str] | None, wanted: Sequence[str] | None) -> dict[str, Any]:
    """Return the non-default options and readers of a format, fixation settings excluded."""
    from gazekit.gaze import options

    return options.reading_options(name, options_of(items), wanted or ())


def reader_lookup(readers: "Readers") -> "Callable[[str], GazeReader]":
    """Return a look-up from the gaze format of an exam to a reader; see ``gaze.options``."""
    from gazekit.gaze import options

    return options.reader_lookup(console.registry(), readers)


def only_readers(readers: "Readers", wanted: Sequence[str] | None) -> "Readers":
    """Limit formats to the recordings of some readers; no readers means all."""
    from gazekit.gaze import readers as of_gaze

    return of_gaze.only_readers(readers, wanted or ())


def find_gaze_files(source: Path, readers: "Readers") -> "list[GazeFile]":
    """Find the gaze files of a file or folder; report files that fit no format. Raises: DataError."""
    from gazekit.gaze.collecting import find_files

    return find_files(source, readers, console.warn)


def read_recordings(
    source: Path,
    readers: "Readers",
    names: Path | None = None,
    wanted: Sequence[str] | None = None,
    *,
    strict: bool = False,
    skip: "Callable[[SkippedFile], None]" = lambda _: None,
) -> "list[Recording]":
    """Read the recordings of a file or folder; report what is skipped or looks wrong; see ``gaze.collecting``."""
    from gazekit.gaze.collecting import read_all

    return read_all(source, readers, console.warn, names=names, wanted=wanted or (), strict=strict, skip=skip)


def of_exam(
    recordings: "list[Recording]", source: Path, exam: str | None, view: str | None
) -> "list[Recording]":
    """Return the recordings of an exam and a view, where given. Raises: DataError if there is none."""
    from gazekit.errors import DataError

    found = [r for r in recordings if exam in (None, r.exam_id) and view in (None, r.view)]
    if not found:
        there = first_few(
            dict.fromkeys(" ".join(filter(None, (r.exam_id, r.view))) or "no name" for r in recordings)
        )
        raise DataError(
            f"{source}: no recording of exam {exam or 'any'}, view {view or 'any'}; there are those of {there}"
        )
    return found


def say_unnamed(recordings: "list[Recording]", image: Path, *, chosen: bool) -> None:
    """Report recordings that name no image and are drawn or placed on one.

    Args:
        recordings: recordings to be drawn or placed.
        image: the file.
        chosen: whether the user named the exam.

    Raises:
        DataError: their exam or view is not in the image's name, and the user did not name the exam.
    """
    from gazekit.errors import DataError
    from gazekit.gaze.image_names import is_called_by

    unnamed = [each for each in recordings if not each.image and not is_called_by(image, each)]
    if not unnamed:
        return
    named = first_few(unnamed, most=1)
    exam = unnamed[0].exam_id
    if exam is not None and not chosen:
        absent = "view" if is_called_by(image, replace(unnamed[0], view=None)) else "exam"
        raise DataError(
            f"{named}: names no image, and its {absent} is not in the name {image.name}; give the image that was "
            f"looked at, or, if it is this one, add --exam {shlex.quote(exam)}"
        )
    console.note(f"{named}: names no image; assumed to be of {image.name}")


def exams_of(
    dataset: str, source: Path, items: Sequence[str] | None, allow_outside: Sequence[Path]
) -> "list[Exam]":
    """Return the exams of a raw data set, without files outside it. Raises: DataError, ConfigurationError."""
    from gazekit.cli.data.source import data_source
    from gazekit.preparing.raw.outside_files import check_inside, outside
    from gazekit.preparing.raw.source import list_exams

    exams, _ = list_exams(data_source(dataset, items, "--dataset-set")[0], source)
    for told in check_inside(exams, source, allow_outside, own_gaze=False).told:
        console.warn(told)
    return [exam for exam in exams if not outside(exam, source, allow_outside)]
