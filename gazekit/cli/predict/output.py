"""Write the predictions: a table at the end, or JSON, JSON lines and CSV exam by exam."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gazekit.cli import console
from gazekit.disk.plain_text import to_cell, visible
from gazekit.errors import GazekitError

if TYPE_CHECKING:
    from gazekit.prediction.file_grouping import LooseExam
    from gazekit.prediction.predict import ExamPrediction
    from gazekit.records.refused import Refused
    from gazekit.runs.files import RunFacts

Format = Literal["table", "json", "jsonl", "csv"]
SCHEMA = "gazekit.predictions/4"


@dataclass(frozen=True, slots=True)
class Header:
    """Facts that hold for all exams.

    Args:
        models: names of the run directories.
        classes: names in the order of the probabilities.
        views: views that the models read.
        answers: number of answers (models × test-time transforms) averaged in each probability.
        total: number of exams.
        root: folder of the relative paths in ``images``, if records hold ``patient`` and ``images``; else empty.
        targets: further targets, each with its classes.
    """

    models: tuple[str, ...]
    classes: tuple[str, ...]
    views: tuple[str, ...]
    answers: int
    total: int
    root: str
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Writer(Protocol):
    """Takes records of exams one by one; see ``record``."""

    def write(self, record: dict[str, Any]) -> None:
        """Write one exam."""

    def close(self, error: str | None) -> None:
        """Finish the output; ``error`` is the error that ended the prediction early."""


@contextmanager
def opened_writer(form: Format, header: Header) -> Iterator[Writer]:
    """Open the writer of a format to stdout; close it, with the error if there is one."""
    makers: dict[str, Callable[[Header], Writer]] = {
        "table": _Table,
        "json": _Document,
        "jsonl": _Lines,
        "csv": _Csv,
    }
    writer = makers[form](header)
    try:
        yield writer
    except BrokenPipeError:
        raise
    except BaseException as error:
        writer.close(_cause(error))
        raise
    writer.close(None)


def _cause(error: BaseException) -> str:
    """Describe an error; for a foreign one give only its kind, as its text may contain a file name."""
    if isinstance(error, GazekitError):
        return str(error)
    known = {KeyboardInterrupt: "interrupted", SystemExit: "terminated"}
    return known.get(type(error), type(error).__name__)


class _Document:
    """Write one JSON document piece by piece: valid when closed, and complete if it says ``complete``."""

    def __init__(self, header: Header) -> None:
        about = {
            "schema": SCHEMA,
            "models": header.models,
            "classes": header.classes,
            **({"targets": header.targets} if header.targets else {}),
            "views": header.views,
            "answers": header.answers,
            "total": header.total,
        } | ({"root": header.root} if header.root else {})
        print(json.dumps(about, indent=2).removesuffix("\n}") + ',\n  "exams": [', end="", flush=True)
        self.separator = "\n"

    def write(self, record: dict[str, Any]) -> None:
        print(self.separator + "    " + _json(record), end="", flush=True)
        self.separator = ",\n"

    def close(self, error: str | None) -> None:
        end = {"complete": error is None, "error": error}
        print("\n  ]," + json.dumps(end, indent=2).removeprefix("{"), flush=True)


class _Lines:
    """Write one JSON object per exam and line, each with the schema and the total number of lines."""

    about: dict[str, Any]

    def __init__(self, header: Header) -> None:
        self.about = {"schema": SCHEMA, "total": header.total}
        self.about |= {"root": header.root} if header.root else {}

    def write(self, record: dict[str, Any]) -> None:
        print(_json(self.about | record), flush=True)

    def close(self, error: str | None) -> None:
        pass


class _Csv:
    """Write a row per exam; the first columns are the schema and the total number of rows."""

    def __init__(self, header: Header) -> None:
        self.header = header
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # a narrower one would write other names of exams
        self.rows = csv.writer(sys.stdout, lineterminator="\n")
        columns = ["schema", "total", "exam", "status", *(f"p_{name}" for name in header.classes)]
        columns += ["predicted", "entropy", "spread", "reason", "findings"]
        columns += [f"{target}:p_{name}" for target, names in header.targets.items() for name in names]
        self.rows.writerow(columns + (["patient", *header.views] if header.root else []))

    def write(self, record: dict[str, Any]) -> None:
        found = record.get("probabilities", {})
        row = [SCHEMA, self.header.total, record["exam"], record["status"]]
        row += [found.get(name) for name in self.header.classes]
        row += [record.get(name) for name in ("predicted", "entropy", "spread", "reason")]
        row.append("; ".join(record.get("findings", ())))
        further = record.get("targets", {})
        row += [
            further.get(target, {}).get(name)
            for target, names in self.header.targets.items()
            for name in names
        ]
        if self.header.root:
            row += [record["patient"], *(record["images"].get(view) for view in self.header.views)]
        self.rows.writerow([to_cell(visible(cell)) if isinstance(cell, str) else cell for cell in row])
        sys.stdout.flush()

    def close(self, error: str | None) -> None:
        pass


class _Table:
    """Print a table at the end; refused exams are warnings."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.rows: list[tuple[object, ...]] = []

    def write(self, record: dict[str, Any]) -> None:
        if record["status"] == "refused":
            return
        cells = [record["exam"], *(f"{p:.3f}" for p in record["probabilities"].values()), record["predicted"]]
        cells += [f"{record['entropy']:.3f}"]
        cells += [_most_probable(chances) for chances in record.get("targets", {}).values()]
        cells += [f"{record['spread']:.3f}"] if self.header.answers > 1 else []
        if self.header.root:
            cells += [record["patient"], ", ".join(record["images"].values())]
        self.rows.append(tuple(cells))

    def close(self, error: str | None) -> None:
        if not self.rows:
            return
        if error is not None:
            console.note(f"ended early: {len(self.rows)} of {self.header.total} exams are predicted")
        columns = ["exam", *(f"p({name})" for name in self.header.classes), "predicted", "entropy"]
        columns += list(self.header.targets)
        columns += ["spread"] if self.header.answers > 1 else []
        columns += ["patient", "images"] if self.header.root else []
        console.print_table(columns, self.rows)
        several = (
            f"; spread: standard deviation over {self.header.answers} answers"
            if self.header.answers > 1
            else ""
        )
        console.note(f"entropy in bits, 0 = certain{several}; not a medical device")


def _most_probable(chances: dict[str, float]) -> str:
    name = max(chances, key=lambda each: chances[each])
    return f"{name} ({chances[name]:.3f})"


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, allow_nan=False)


def record_of(found: "ExamPrediction | Refused", facts: "RunFacts", folder: Path) -> dict[str, Any]:
    """Return the record of an exam; paths in a reason are relative to the folder."""
    from gazekit.records.refused import Refused

    if isinstance(found, Refused):
        return {
            "exam": found.key,
            "status": "refused",
            "reason": found.reason.replace(f"{folder}{os.sep}", ""),
        }
    return {
        "exam": found.key,
        "status": "predicted",
        "probabilities": _named(facts.classes, found.probabilities),
        **(
            {"targets": {name: _named(facts.targets[name], each) for name, each in found.further.items()}}
            if found.further
            else {}
        ),
        "predicted": facts.classes[found.called],
        "entropy": round(found.entropy, 6),
        "spread": None if found.spread is None else round(found.spread, 6),
        "findings": list(found.findings),
    }


def _named(classes: tuple[str, ...], chances: Iterable[float]) -> dict[str, float]:
    return {name: round(float(chance), 6) for name, chance in zip(classes, chances, strict=True)}


def identity_of(exam: "LooseExam", folder: Path) -> dict[str, Any]:
    """Return the patient and the files of an exam, relative to the folder."""
    images = {view: os.path.relpath(path, folder) for view, path in exam.images.items()}
    return {"patient": exam.patient, "images": images}
