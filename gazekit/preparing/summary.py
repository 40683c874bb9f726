"""Summarise a finished preparation from the files it wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gazekit.errors import DataError
from gazekit.prepared.index import REJECT_COLUMNS, REJECTS, TABLE, read_findings, read_table
from gazekit.prepared.manifest import read_manifest
from gazekit.preparing.estimate import Work
from gazekit.records.exam import DOUBT, GAZE, ODD, Exam, Finding


@dataclass(frozen=True, slots=True)
class Summary:
    """What a preparation made.

    Args:
        root: the prepared data set.
        exams: exams prepared.
        classes: class → exams prepared.
        rejects: (exam_id, reason) of every exam left out.
        with_gaze, with_mask: view → exams that have one.
        with_side: view → exams whose image is known to be a left or a right one; None where the preparation was not to
            turn images by their sides, or is of an earlier version.
        findings: what the source left out, missed or settled.
        duplicates: exams that hold an identical image, a tuple of exam ids per image.
        unmatched_recordings: external recordings that belong to no exam.
        work: what this call read, and how long it took; None when the data set was prepared already.
    """

    root: Path
    exams: int
    classes: dict[str, int]
    rejects: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    with_gaze: dict[str, int]
    with_mask: dict[str, int]
    with_side: dict[str, int] | None
    duplicates: tuple[tuple[str, ...], ...]
    unmatched_recordings: int
    work: Work | None = None

    @property
    def doubtful(self) -> list[Finding]:
        """What a user should look at: headers that do not fit their pixels, doubtful regions, gaze that looks wrong."""
        return [each for each in self.findings if each.kind in (ODD, DOUBT, GAZE)]


def summarise(out: Path, work: Work | None = None) -> Summary:
    """The summary of a finished preparation."""
    manifest = read_manifest(out)
    counts = manifest.counts
    rejects = read_table(out / REJECTS, REJECT_COLUMNS, TABLE, most=counts.rejected)
    return Summary(
        root=out,
        exams=counts.exams,
        classes=counts.classes,
        rejects=tuple((row["exam_id"], row["reason"]) for row in rejects),
        findings=tuple(read_findings(out)),
        with_gaze=counts.with_gaze,
        with_mask=counts.with_mask,
        with_side=counts.with_side if manifest.preparation["laterality"] == "auto" else None,
        duplicates=tuple(map(tuple, manifest.duplicates)),
        unmatched_recordings=counts.unmatched_recordings,
        work=work,
    )


def findings_of(entries: Sequence[dict[str, Any]]) -> list[Finding]:
    """What the preparation noticed of single images, named by exam, view and, where it is kept, file."""
    found = []
    for entry in entries:
        files = {view["view"]: view["image"] for view in entry.get("views", ())}
        for kind, view, what in entry.get("findings", ()):
            file = f" ({files[view]})" if files[view] else ""
            found.append(Finding(kind, f"{entry['exam_id']} {view}{file}", what))
    return found


def check_result(
    entries: Sequence[dict[str, Any]], exams: Sequence[Exam], out: Path, *, external: bool
) -> None:
    """Raise a DataError when no exam is left, or none has gaze though there are recordings."""
    prepared = [entry for entry in entries if "reject" not in entry]
    if not prepared:
        first = entries[0]
        raise DataError(
            f"{out}: all {len(entries)} exams were rejected; the first, {first['exam_id']}: {first['reject']}"
        )
    asked = external or any(exam.gaze for exam in exams)
    if asked and not any(view["has_gaze"] for entry in prepared for view in entry["views"]):
        raise DataError(
            f"{out}: no prepared exam has gaze, though there are gaze recordings; see rejects.csv, and check "
            "that exams and recordings name each other alike"
        )
