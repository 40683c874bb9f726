"""Group the mammograms in a data set's tables into exams: breasts, or visits of four views."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gazekit.disk.regular_file import is_there
from gazekit.records.exam import NOT_THERE, Exam, Finding
from gazekit.records.lesions import Lesion

ExamUnit = Literal["breast", "visit"]
OnDisagreement = Literal["max", "drop"]
OnRepeat = Literal["first", "last", "drop"]
Unlabelled = Literal["drop", "ignore"]


@dataclass(frozen=True, slots=True)
class Mammogram:
    """An image as a data set's tables describe it.

    Args:
        patient_id: the patient.
        side: ``"L"`` or ``"R"``.
        view: ``"cc"`` or ``"mlo"``.
        path: the image file, whether it exists or not.
        grade: severity of its finding, comparable within the data set; None if it has no separate label.
        visit: study or date; breasts of different visits are different exams.
        order: among images of a repeated view.
        lesions: annotated on it.
        part: ``"train"``, ``"val"``, ``"test"`` or None.
        dataset: part of the data set.
        refused: why its exam is not used; empty if it is.
        name: of the image in findings; empty uses its file name.
    """

    patient_id: str
    side: str
    view: str
    path: Path
    grade: int | None
    visit: str = ""
    order: int = 0
    lesions: tuple[Lesion, ...] = ()
    part: str | None = None
    dataset: str = ""
    refused: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class BreastGrouping:
    """Rules for grouping mammograms into exams.

    Args:
        label: gives the class of a grade; None leaves the exam out.
        unit: ``"breast"`` (views cc, mlo) or ``"visit"`` (views l_cc, l_mlo, r_cc, r_mlo).
        disagreement: of the classes of a breast's views: ``"max"`` takes the worse, ``"drop"`` leaves the exam out.
        repeated: for a view that comes several times in a visit: take the first, the last, or leave the exam out.
        unlabelled: for exams with labelled and unlabelled images: leave the exam out, or use the labels there are.
        grade_name: words a grade, for findings.
    """

    label: Callable[[int], str | None]
    unit: ExamUnit = "breast"
    disagreement: OnDisagreement = "max"
    repeated: OnRepeat = "last"
    unlabelled: Unlabelled = "drop"
    grade_name: Callable[[int], str] = "grade {}".format


class _LeftOut(Exception):
    """Reason why mammograms form no exam."""


def group(mammograms: Iterable[Mammogram | Finding], grouping: BreastGrouping) -> Iterator[Exam | Finding]:
    """Yield exams in order of first appearance, and a finding for everything unexpected.

    The label is that of the worst image in the tables. A missing image file is a finding, but the
    exam still names it, so that the tables can be counted without the images. An exam that is refused, without a
    label or with an excluded label is dropped. Findings pass through.
    """
    members: dict[tuple[str, ...], list[Mammogram]] = defaultdict(list)
    visits: dict[str, set[str]] = defaultdict(set)
    for each in mammograms:
        if isinstance(each, Finding):
            yield each
            continue
        breast = (each.side,) if grouping.unit == "breast" else ()
        members[each.patient_id, each.visit, *breast].append(each)
        visits[each.patient_id].add(each.visit)
    for (patient, visit, *side), images in members.items():
        parts = [patient, visit if len(visits[patient]) > 1 else "", *side]
        yield from _exam("_".join(part for part in parts if part), images, grouping)


def _exam(exam_id: str, images: Sequence[Mammogram], grouping: BreastGrouping) -> Iterator[Exam | Finding]:
    missing = [each for each in images if not is_there(each.path)]
    yield from (Finding("missing", each.name or each.path.name, NOT_THERE) for each in missing)
    try:
        views = _views(images, missing, grouping)
        label, is_disputed = _label(images, grouping)
    except _LeftOut as reason:
        yield Finding("dropped", exam_id, f"exam left out: {reason}")
        return
    if len(views) < len(images):
        yield Finding("note", exam_id, f"view repeated: the {grouping.repeated} one is taken")
    if is_disputed:
        yield Finding("disagrees", exam_id, "views of a breast disagree: the worse is taken")
    exam = _record(exam_id, views, label)
    if any(each.part != exam.part for each in views.values()):
        yield Finding(
            "disagrees", exam_id, f"images of the exam lie in several parts: it goes to {exam.part}"
        )
    yield exam


def _views(
    images: Sequence[Mammogram], missing: Sequence[Mammogram], grouping: BreastGrouping
) -> dict[str, Mammogram]:
    """Choose one image per view, an existing one if possible; views in alphabetical order. Raises: _LeftOut."""
    refused = next((each.refused for each in images if each.refused), None)
    if refused:
        raise _LeftOut(refused)
    found: dict[str, list[Mammogram]] = defaultdict(list)
    for each in sorted(images, key=lambda image: image.order):
        found[each.view if grouping.unit == "breast" else f"{each.side.lower()}_{each.view}"].append(each)
    if grouping.repeated == "drop" and len(found) < len(images):
        raise _LeftOut("a view comes twice")
    there = {
        view: [each for each in found[view] if each not in missing] or found[view] for view in sorted(found)
    }
    return {view: choice[-1 if grouping.repeated == "last" else 0] for view, choice in there.items()}


def _label(images: Sequence[Mammogram], grouping: BreastGrouping) -> tuple[str, bool]:
    """Return the class, and whether the views of a breast disagree on it. Raises: _LeftOut."""
    graded = [(each.side, each.grade) for each in images if each.grade is not None]
    if not graded or (len(graded) < len(images) and grouping.unlabelled == "drop"):
        raise _LeftOut("an image has no label")
    # two breasts of a visit may differ; two views of one breast may not
    claims = {(side, grouping.label(grade)) for side, grade in graded}
    is_disputed = len(claims) > len({side for side, _ in graded})
    if is_disputed and grouping.disagreement == "drop":
        raise _LeftOut("its views disagree")
    worst = max(grade for _, grade in graded)
    label = grouping.label(worst)
    if label is None:
        raise _LeftOut(f"{grouping.grade_name(worst)} has no class")
    return label, is_disputed


def _record(exam_id: str, views: Mapping[str, Mammogram], label: str) -> Exam:
    first = next(iter(views.values()))
    parts = {each.part for each in views.values()}
    return Exam(
        exam_id=exam_id,
        patient_id=first.patient_id,
        label=label,
        images={view: each.path for view, each in views.items()},
        masks={view: each.lesions for view, each in views.items() if each.lesions},
        laterality={view: each.side for view, each in views.items()},
        # test exams must never be trained on: an exam in several parts leaves the training part
        part=next((part for part in ("test", "val", "train") if part in parts), None),
        dataset="+".join(sorted({each.dataset for each in views.values() if each.dataset})),
    )
