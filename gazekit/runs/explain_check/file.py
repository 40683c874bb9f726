"""Keep the checks of a run's attention maps: ``explain_check.json``, and the journal of checks under way."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import Field

from gazekit.disk.atomic import append_line, write_atomically
from gazekit.disk.own_files import MIB, FileKind, lines_of, parse_json, read_model, validated
from gazekit.errors import DataError
from gazekit.runs.files import EvaluatedPart, Name, Real, StoredMeasure, StoredPart, Text, Whole

SCHEMA: Final = "gazekit.explain_check/1"
_AGAIN = "check the run again with gazekit explain-check"
_KIND = FileKind("the checks of a run's attention maps", 4 * MIB, _AGAIN)
_JOURNAL = FileKind("the checks done so far", 256 * MIB, f"remove it, and {_AGAIN}", line=16 * MIB)

Values = dict[str, list[float | None]]
"""Measure → a value per exam; None where an exam has none."""


class CheckRow(StoredMeasure):
    """A measure of one check.

    Args:
        check: ``noise``, ``shift``, ``other_exams``, ``layer``, ``cascade``, ``gaze``, ``random_labels``, ``deletion``
            or ``insertion``.
        of: the layer (of a cascade: the last one that is random), or whose maps agree with gaze; may be empty.
        measure: its name.
        value, low, high: mean over exams and 95 % interval over patients; null where fewer than two have a value.
        exams, patients: that have a value.
    """

    check: Name
    of: Text = ""
    measure: Name
    exams: Whole
    patients: Whole


class ExplainCheck(StoredPart):
    """``explain_check.json``.

    Args:
        weights: checksum of the weights that were checked.
        attention_map: component that makes the maps.
        supervised: whether gaze supervised the training.
        layers: from the logits down, in the order in which a cascade makes them random.
        settings: of the checks.
        random_labels: path of the run on random labels; null without one.
        rows: every measure.
        summary: measure of a study's table → value.
        statements: the findings in plain words.
        trained: ``RunDirectory.identity`` of the run; empty in the files of earlier versions.
    """

    schema_: Annotated[Literal["gazekit.explain_check/1"], Field(alias="schema")] = SCHEMA
    preset: Name
    run: Text
    epoch: Whole
    weights: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    attention_map: Name
    supervised: bool
    split: EvaluatedPart
    exams: Whole
    patients: Whole
    interval: Text
    layers: list[Name]
    settings: dict[Name, Any]
    random_labels: Text | None = None
    rows: Annotated[list[CheckRow], Field(max_length=10_000)]
    summary: dict[Name, StoredMeasure]
    statements: list[Text]
    trained: Text = ""


def read_explain_check(path: Path) -> ExplainCheck | None:
    """Read the checks of a run; None if there is no such file. Raises DataError: the file is damaged."""
    if not os.path.lexists(path):
        return None
    found: ExplainCheck = read_model(path, _KIND, ExplainCheck)
    return found


class _Entry(pydantic.BaseModel):
    """A line of the journal."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)
    done: Name
    values: dict[Name, list[Real | None]]


class CheckJournal:
    """The checks done so far, a line each, so that stopped ones go on.

    Args:
        path: of the journal.
        header: the settings, and what is checked; a journal with another header is replaced.
        exams: values of each measure.
    """

    def __init__(self, path: Path, header: dict[str, Any], exams: int) -> None:
        self.path = path
        self.done: dict[str, Values] = {}
        first = json.dumps(header, sort_keys=True)
        lines = list(lines_of(path, _JOURNAL)) if os.path.lexists(path) else []
        if lines and lines[0] == f"{first}\n":
            for number, line in enumerate(lines[1:], 2):
                if not line.endswith("\n"):  # torn by a crash
                    break
                self._add(line, number, exams)
        kept = [json.dumps({"done": name, "values": values}) for name, values in self.done.items()]
        write_atomically(path, "".join(f"{line}\n" for line in [first, *kept]))

    def _add(self, line: str, number: int, exams: int) -> None:
        where = f"line {number}: "
        entry: _Entry = validated(
            parse_json(line, self.path, _JOURNAL, where=where), self.path, _JOURNAL, _Entry, where=where
        )
        if any(len(values) != exams for values in entry.values.values()):
            raise DataError(
                f"{self.path}: {where}expected a value for each of {exams} exams; {_JOURNAL.remedy}"
            )
        self.done[entry.done] = entry.values

    def write(self, name: str, values: Values) -> None:
        """Note a check that is done."""
        append_line(self.path, json.dumps({"done": name, "values": values}))
        self.done[name] = values

    def of(self, names: Sequence[str]) -> list[Values]:
        """Return the values of some checks, all done."""
        return [self.done[name] for name in names]

    def remove(self) -> None:
        """Remove the journal: the result has its place."""
        self.path.unlink(missing_ok=True)
