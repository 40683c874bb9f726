"""Prepare a part of a data set on one of several machines: its exams, and the file that says that it is finished.

A shard is a folder with the journal and the arrays of a preparation, and ``shard.json``, written last. Its journal has
the header of the whole preparation, with the number of the shard beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from gazekit.disk.atomic import write_atomically
from gazekit.disk.own_files import MIB, FileKind, read_json, validated
from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.exam_record import Entry, ExamRecord
from gazekit.prepared.manifest import FileFacts, count, duplicates_of
from gazekit.prepared.not_prepared import JOURNAL, SHARD
from gazekit.prepared.settings import PreparationSettings
from gazekit.prepared.stored_array import arrays_of, shape_of, stored_array
from gazekit.prepared.verification import facts_of
from gazekit.preparing.estimate import Work
from gazekit.preparing.journal import Journal, check_same, read_journal
from gazekit.preparing.summary import Summary, findings_of
from gazekit.records.arrays import Array
from gazekit.records.exam import Exam, Finding
from gazekit.records.refused import Refused

SHARD_KEY = "shard"
"""Key of the settings: number and count of the shards; absent in a preparation in one go."""
AGAIN = "prepare this shard again, with the same command and --overwrite"
_KIND = FileKind("the facts of a shard", 256 * MIB, AGAIN)


@dataclass(frozen=True, slots=True)
class Rest:
    """What a preparation knows beside its journal.

    Args:
        findings: of the source.
        expects_gaze: whether there are recordings, so that some exam must have gaze.
        unmatched: external recordings that belong to no exam.
    """

    findings: tuple[Finding, ...]
    expects_gaze: bool
    unmatched: int


class _Facts(pydantic.BaseModel):
    """``shard.json``."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True)

    format: Literal["gazekit shard"] = "gazekit shard"
    version: Annotated[Literal[1], Field(alias="schema")] = 1
    findings: list[tuple[str, str, str]] = Field(strict=False)
    expects_gaze: bool
    unmatched: Annotated[int, Field(ge=0)]
    journal: FileFacts

    @property
    def rest(self) -> Rest:
        return Rest(tuple(Finding(*each) for each in self.findings), self.expects_gaze, self.unmatched)


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """A finished shard.

    Args:
        path: its folder.
        header: of the journal, of the whole preparation.
        number, count: which of how many, from 1.
        entries: of its exams, in order.
        rest: of the whole preparation.
    """

    path: Path
    header: dict[str, Any]
    number: int
    count: int
    entries: Sequence[Entry] = field(repr=False)
    rest: Rest

    @classmethod
    def open(cls, path: Path) -> "Shard":
        """Read a shard. Raises DataError: there is none, or it is unfinished or damaged."""
        if not (path / SHARD).exists():
            unfinished = (path / JOURNAL).exists()
            told = (
                "its preparation is incomplete; repeat the command that prepares it"
                if unfinished
                else "is no shard; expected the folder of gazekit data prepare … --shard I/N"
            )
            raise DataError(f"{path}: {told}")
        facts = _read_facts(path)
        header, entries = read_journal(path)
        number, count = header.pop(SHARD_KEY)
        return cls(path, header, number, count, entries, facts.rest)

    def arrays(self) -> dict[str, Array]:
        """Map its arrays, by name. Raises DataError: they have another shape or type."""
        settings = PreparationSettings.from_json(self.header)
        rows = sum(isinstance(entry, ExamRecord) for entry in self.entries)
        return {
            name: stored_array(
                self.path / f"{name}.npy",
                (rows, *shape_of(name, settings)),
                "uint8" if name == "masks" else settings.dtype,
            )
            for name in arrays_of(self.header)
        }


def exams_of_shard(exams: Sequence[Exam], shard: tuple[int, int] | None) -> Sequence[Exam]:
    """Return the exams of a shard, neighbours in the source; all of them without one.

    Raises:
        ConfigurationError: there are more shards than exams.
    """
    if shard is None:
        return exams
    number, count = shard
    if count > len(exams):
        raise ConfigurationError(
            f"preparation: {count} shards of {len(exams)} exams; expected an exam at least in each"
        )
    return exams[len(exams) * (number - 1) // count : len(exams) * number // count]


def finish_shard(out: Path, header: Mapping[str, Any], journal: Journal, rest: Rest, work: Work) -> Summary:
    """Write the facts of a shard whose exams are all in the journal; return its summary."""
    facts = _Facts(
        findings=[astuple(each) for each in rest.findings],
        expects_gaze=rest.expects_gaze,
        unmatched=rest.unmatched,
        journal=facts_of(journal.path),
    )
    write_atomically(out / SHARD, facts.model_dump_json(by_alias=True, indent=2) + "\n")
    return _summary(out, header, journal.entries, rest, work)


def finished_shard(out: Path, header: Mapping[str, Any]) -> Summary | None:
    """Summarise the shard in a folder, if it is finished. Raises DataError: it is another, or damaged."""
    if not (out / SHARD).exists():
        return None
    rest, (there, entries) = _read_facts(out).rest, read_journal(out)
    check_same(out, there, header)
    return _summary(out, header, entries, rest)


def _read_facts(path: Path) -> _Facts:
    facts: _Facts = validated(read_json(path / SHARD, _KIND), path / SHARD, _KIND, _Facts)
    if facts_of(path / JOURNAL) != facts.journal:
        raise DataError(f"{path / JOURNAL}: does not match its checksum in {SHARD}; {AGAIN}")
    return facts


def _summary(
    out: Path, header: Mapping[str, Any], entries: Sequence[Entry], rest: Rest, work: Work | None = None
) -> Summary:
    counts = count(header, entries)
    counts |= {
        "refused": tuple(entry for entry in entries if isinstance(entry, Refused)),
        "with_side": counts["with_side"] if header["laterality"] == "auto" else None,
    }
    return Summary(
        root=out,
        **counts,
        findings=(*rest.findings, *findings_of(entries)),
        duplicates=tuple(map(tuple, duplicates_of([e for e in entries if isinstance(e, ExamRecord)]))),
        unmatched_recordings=rest.unmatched,
        work=work,
    )
