"""``gazekit gaze compare``: do the readers of a prepared data set look at the same places, in the same order?"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gazekit.cli import console
from gazekit.cli.options import Json

if TYPE_CHECKING:
    from gazekit.measures.gaze.reader_comparison import Contrast, ReaderComparison
    from gazekit.measures.statistics.intervals import Interval

_OF_READERS = ("nss", "information_gain", "multimatch_shape", "scanmatch")
"""Measures in the table of readers; ``--json`` has all."""


def compare(
    data: Annotated[Path, typer.Argument(help="Prepared data set with the gaze of several readers.")],
    resamples: Annotated[
        int, typer.Option(min=100, max=10**6, help="Bootstrap resamples over patients.")
    ] = 2000,
    as_json: Json = False,
) -> None:
    """Compare the readers of every image that two or more looked at, with 95 % intervals over patients.

    Places: the mean heat map of the other readers predicts the fixations of each reader, beside the centre bias of the
    other images. This is the ceiling for a model's attention. Order: the scanpaths of two readers, beside those of
    two readers on images of different patients. Then the means of each reader.
    """
    from gazekit.measures.gaze.reader_comparison import compare_readers
    from gazekit.prepared.dataset import PreparedDataset

    dataset = PreparedDataset.open(data)
    with console.progress("comparing") as report:
        found = compare_readers(dataset, resamples=resamples, progress=report)
    if as_json:
        console.print_json("gazekit.reader_comparison/1", _record(data, found))
    else:
        _print(data, found)


def _record(data: Path, found: "ReaderComparison") -> dict[str, Any]:
    """Return plain values; a bound that could not be had is null."""

    def plain(of: "Interval") -> dict[str, float | None]:
        return {"value": of.value, "low": _number(of.low), "high": _number(of.high)}

    def all_of(contrasts: "dict[str, Contrast]") -> dict[str, Any]:
        return {
            name: {**plain(each.found), "control": None if each.control is None else plain(each.control)}
            for name, each in contrasts.items()
        }

    return {
        "data": str(data),
        "interval": "95 %, bootstrap over patients",
        "images": found.images,
        "pairs": found.pairs,
        "prediction": all_of(found.prediction),
        "scanpaths": all_of(found.scanpaths),
        "readers": found.by_reader,
    }


def _print(data: Path, found: "ReaderComparison") -> None:
    from gazekit.measures.catalogue import MEASURES
    from gazekit.measures.numbers import interval, three

    def rows(contrasts: "dict[str, Contrast]") -> list[tuple[str, str, str]]:
        return [
            (MEASURES[name].title, interval(each.found), interval(each.control))
            for name, each in contrasts.items()
        ]

    title = f"{found.images} images, {len(found.by_reader)} readers"
    if found.prediction:
        console.print_table(
            ("", "the other readers", "centre bias"),
            rows(found.prediction),
            title=f"{title}: the fixations of each, predicted by",
        )
    else:
        console.warn(
            f"{data}: {title}, whose heat maps cannot be told apart: the set was prepared by an earlier version, which "
            "kept no width of fixations; prepare it again to see how well readers predict each other"
        )
    if found.scanpaths:
        console.print_table(
            ("", "same image", "different images"),
            rows(found.scanpaths),
            title=f"\nLikeness of two scanpaths, {found.pairs} pairs of readers",
        )
    shown = [name for name in _OF_READERS if any(name in values for values in found.by_reader.values())]
    console.print_table(
        ("reader", *(MEASURES[name].title for name in shown)),
        [
            (reader, *(three(values.get(name)) for name in shown))
            for reader, values in found.by_reader.items()
        ],
        title="\nEach reader against the others",
        fold="reader",
    )
    console.note("[95 %]: bootstrap over patients; a few readers' map predicts worse than that of many would")


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
