"""Redact file names: they may contain patient names."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gazekit.gaze.collecting import SkippedFile
from gazekit.prepared.exam_record import ExamRecord
from gazekit.preparing.one_exam import Task
from gazekit.records.exam import NOTE, REFUSED_GAZE, Exam, Finding
from gazekit.records.refused import Refused

_SHORTEST = 4
"""Names without suffix that are shorter are kept: they could be any number."""
_OUR_WORDS = frozenset(
    """
    image images mask masks view views exam exams file files data gaze bytes bits pixels rows columns cells
    values pages header table recording recordings lesion lesions breast breasts left right series study
    patient patients label labels split part train test window range first format array tags class classes
    report reader readers fixation fixations sample samples time times name names path folder size height
    width number none missing damaged expected truncated found holds larger copy more most than that this
    with from
    """.split()  # noqa: SIM905
)
"""Words used in messages: a file with such a name, like ``bytes.dcm``, is not named after a person."""


def without_names(text: str, files: Mapping[Path, str], root: Path | None = None) -> str:
    """Replace file names in a text by neutral words.

    Args:
        text: such as the reason for an error.
        files: path → its replacement, for the path, in full or relative to ``root``, the file name, and names
            that differ only in the suffix.
        root: a folder above the files.
    """
    whole: dict[str, str] = {}
    stems: dict[str, str] = {}
    for path, instead in files.items():
        below = [] if root is None else [Path(os.path.relpath(path, root)).as_posix()]
        for name in filter(None, (str(path), str(path).removeprefix(path.anchor), *below, path.name)):
            whole.setdefault(re.escape(name), instead)
        if len(path.stem) >= _SHORTEST:
            suffix = r"\.\w+" if path.stem.lower() in _OUR_WORDS else r"(?:\.\w+)?"
            stems.setdefault(re.escape(path.stem) + suffix, instead)
    # longest first, and a file's own name before one that differs in the suffix
    ordered = [(name, each[name]) for each in (whole, stems) for name in sorted(each, key=len, reverse=True)]
    if not ordered:
        return text
    found = re.compile(rf"(?<![\w-])(?:{'|'.join(f'({name})' for name, _ in ordered)})(?![\w-])")
    return found.sub(lambda match: ordered[(match.lastindex or 1) - 1][1], text)


def files_of(exam: Exam) -> dict[Path, str]:
    """Return the files of an exam, with words for each."""
    images = {path: f"the image of view {view}" for view, path in exam.images.items()}
    gaze = {path: f"the gaze file of view {view}" for view, path in exam.gaze.items()}
    masks = {path: f"the mask of view {view}" for view, path in exam.mask_files()}
    maps = {path: f"the heat map of view {view}" for view, path in exam.heat_maps.items()}
    return images | gaze | masks | maps


def finding_of(skipped: SkippedFile, *, named: bool) -> Finding:
    """Make the finding of a file that gives no gaze, with or without its name."""
    names = {skipped.path: skipped.path.name} | {path: path.name for path in skipped.beside}
    if not named:
        names = {skipped.path: "the file"} | dict.fromkeys(skipped.beside, "a file beside it")
    kind, about = (REFUSED_GAZE, "a gaze file") if skipped.is_gaze else (NOTE, "a file among the recordings")
    about = "a folder of recordings" if skipped.path.is_dir() else about
    what = without_names(skipped.reason, names)
    return Finding(kind, skipped.path.name if named else about, what)


def nameless(task: Task | Refused) -> Task | Refused:
    """Call the files of a task's recordings by their views, and forget the names of their images."""
    if isinstance(task, Refused):
        return task
    recordings = {
        view: tuple(replace(each, source=Path(f"the gaze file of view {view}"), image=None) for each in every)
        for view, every in task.recordings.items()
    }
    return replace(task, recordings=recordings)


def nameless_record(record: ExamRecord, exam: Exam, root: Path) -> ExamRecord:
    """Forget the names of an exam's images, and replace those of its files in the reasons for which gaze is refused."""
    views = []
    for view in record.without_image_names().views:
        findings = (
            replace(each, what=without_names(each.what, files_of(exam), root))
            if each.kind == REFUSED_GAZE
            else each
            for each in view.findings
        )
        views.append(replace(view, findings=tuple(findings)))
    return replace(record, views=tuple(views))
