"""Summarise a finished preparation from the files it wrote."""

import warnings
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gazekit.errors import DataError
from gazekit.prepared.exam_record import Entry, ExamRecord
from gazekit.prepared.index import REFUSED, read_findings, read_refused
from gazekit.prepared.manifest import read_manifest
from gazekit.preparing.estimate import Work
from gazekit.preparing.validating.corner import Corner
from gazekit.records.exam import DOUBT, GAZE, ODD, REFUSED_GAZE, Finding
from gazekit.records.refused import Refused


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of a preparation.

    Args:
        root: the prepared data set.
        exams: number of exams prepared.
        classes: class → exams prepared.
        refused: the exams left out, each with its reason.
        with_gaze, with_mask: view → exams that have one.
        with_image: view → exams that have it; None if an exam that lacks a view is refused.
        with_side: view → exams whose image has a known side; None if the preparation did not
            mirror images by side, or comes from an earlier version.
        findings: data that the source left out, missed or resolved.
        duplicates: exams that share an identical image, a tuple of exam ids per image.
        unmatched_recordings: external recordings without an exam.
        work: input and duration of this call; None if the data set was already prepared.
    """

    root: Path
    exams: int
    classes: dict[str, int]
    refused: tuple[Refused, ...]
    findings: tuple[Finding, ...]
    with_gaze: dict[str, int]
    with_mask: dict[str, int]
    with_side: dict[str, int] | None
    with_image: dict[str, int] | None
    duplicates: tuple[tuple[str, ...], ...]
    unmatched_recordings: int
    work: Work | None = None

    @property
    def rejects(self) -> tuple[tuple[str, str], ...]:
        """Return ``refused`` under its former name, for one release: exam and reason."""
        warnings.warn("rejects is now refused; the former name goes in the next release", FutureWarning, 2)
        return tuple((each.key, each.reason) for each in self.refused)

    @property
    def doubtful(self) -> list[Finding]:
        """Findings to look at: refused gaze, headers that do not fit their pixels, doubtful regions, odd gaze."""
        others = [each for each in self.findings if each.kind in (ODD, DOUBT, GAZE)]
        return [*self.refused_gaze, *others]

    @property
    def refused_gaze(self) -> list[Finding]:
        """Recordings, gaze files and finished heat maps that are not used, though their exams are."""
        return [each for each in self.findings if each.kind == REFUSED_GAZE]

    def doubts(self, said: Container[str] = ()) -> Iterator[str]:
        """Put them in words: a line per image, and for gaze a line per doubt, which usually many images share.

        Args:
            said: doubts about gaze, and why it was refused, that the user knows already.
        """
        about: dict[str, list[str]] = {}
        for each in self.doubtful:
            if each.kind == REFUSED_GAZE and each.what not in said:
                yield f"gaze of {each.about} refused: {each.what}"
            elif each.kind == REFUSED_GAZE:
                continue
            elif each.kind != GAZE:
                yield f"exam {each.about} {each.what}"
            elif each.what not in said:
                about.setdefault(each.what, []).append(each.about)
        for what, (first, *others) in about.items():
            yield f"gaze on {first}{f' and {len(others)} more' if others else ''}: {what}"


def summarise(out: Path, work: Work | None = None) -> Summary:
    """Summarise a finished preparation."""
    manifest = read_manifest(out)
    counts = manifest.counts
    return Summary(
        root=out,
        exams=counts.exams,
        classes=counts.classes,
        refused=tuple(read_refused(out, counts.refused)),
        findings=tuple(read_findings(out)),
        with_gaze=counts.with_gaze,
        with_mask=counts.with_mask,
        with_image=counts.with_image,
        with_side=counts.with_side if manifest.preparation["laterality"] == "auto" else None,
        duplicates=tuple(map(tuple, manifest.duplicates)),
        unmatched_recordings=counts.unmatched_recordings,
        work=work,
    )


def findings_of(entries: Sequence[Entry]) -> list[Finding]:
    """List findings on all images, and on single ones, named by exam, view and, if kept, file."""
    found: list[Finding] = []
    corner = Corner()
    for exam in entries:
        if isinstance(exam, Refused):
            continue
        corner.look(exam.views)
        for view in exam.views:
            file = f" ({view.image})" if view.image else ""
            about = f"{exam.exam_id} {view.view}{file}"
            found += [replace(each, about=about) for each in view.findings]
    return corner.findings() + found


def check_result(entries: Sequence[Entry], out: Path, *, expects_gaze: bool) -> None:
    """Raise a DataError if no exam is left, or none has gaze although there are recordings."""
    refused = [entry for entry in entries if isinstance(entry, Refused)]
    prepared = [entry for entry in entries if isinstance(entry, ExamRecord)]
    if not prepared:
        first = refused[0]
        raise DataError(
            f"{out}: all {len(entries)} exams were refused; the first, {first.key}: {first.reason}"
        )
    if expects_gaze and not any(view.has_gaze for entry in prepared for view in entry.views):
        unused = [each for each in findings_of(prepared) if each.kind == REFUSED_GAZE]
        if unused:
            raise DataError(
                f"{out}: no prepared exam has gaze: all was refused, {len(unused)} times; the first, "
                f"{unused[0].about}: {unused[0].what}"
            )
        raise DataError(
            f"{out}: no prepared exam has gaze, though there are gaze recordings; see {REFUSED}, and check "
            "that exams and recordings name each other alike"
        )
