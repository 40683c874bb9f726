"""From the mammograms of a data set's tables to exams: breasts, or visits of four views."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gazekit.records.exam import NOT_THERE, Exam, Finding
from gazekit.records.lesions import Lesion

Unit = Literal["breast", "visit"]
OnDisagreement = Literal["max", "drop"]
OnRepeat = Literal["first", "last", "drop"]
Unlabelled = Literal["drop", "ignore"]


@dataclass(frozen=True, slots=True)
class Mammogram:
    """One image as a data set's tables name it.

    Args:
        patient_id: the patient.
        side: ``"L"`` or ``"R"``.
        view: ``"cc"`` or ``"mlo"``.
        path: the image file, whether it is there or not.
        grade: how bad its finding is, comparable within the data set; None when it has no label of its own.
        visit: study or date; breasts of different visits are different exams.
        order: of a repeated view.
        lesions: annotated on it.
        split: ``"train"``, ``"val"``, ``"test"`` or None.
        dataset: part of the data set.
        fault: why its exam cannot be used, where there is such a reason.
        name: of the image in findings; empty for the name of its file.
    """

    patient_id: str
    side: str
    view: str
    path: Path
    grade: int | None
    visit: str = ""
    order: int = 0
    lesions: tuple[Lesion, ...] = ()
    split: str | None = None
    dataset: str = ""
    fault: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class BreastGrouping:
    """How mammograms become exams.

    Args:
        label: the class of a grade; None when the exam is to be left out.
        unit: ``"breast"`` (views cc, mlo) or ``"visit"`` (views l_cc, l_mlo, r_cc, r_mlo).
        disagreement: of the classes of a breast's views: ``"max"`` takes the worse, ``"drop"`` leaves the exam out.
        repeated: a view that comes several times in one visit: take the first, the last, or leave the exam out.
        unlabelled: images without a label beside labelled ones: leave the exam out, or go by the labelled ones.
        grade_name: a grade in words, for findings.
    """

    label: Callable[[int], str | None]
    unit: Unit = "breast"
    disagreement: OnDisagreement = "max"
    repeated: OnRepeat = "last"
    unlabelled: Unlabelled = "drop"
    grade_name: Callable[[int], str] = "grade {}".format


class _LeftOut(Exception):
    """Why mammograms make no exam."""


def group(mammograms: Iterable[Mammogram | Finding], grouping: BreastGrouping) -> Iterator[Exam | Finding]:
    """Yield the exams in the order in which they first appear, and a finding for all that is not as expected.

    The label is that of the worst image which the tables name. An image file that is not there is a finding, and the
    exam names it all the same, so that the tables can be counted without the images. An exam with a fault, without a
    label or with one that is to be left out is dropped. Findings pass through.
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
    missing = [each for each in images if not each.path.is_file()]
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
    if any(each.split != exam.split for each in views.values()):
        yield Finding(
            "disagrees", exam_id, f"images of the exam lie in several splits: it goes to {exam.split}"
        )
    yield exam


def _views(
    images: Sequence[Mammogram], missing: Sequence[Mammogram], grouping: BreastGrouping
) -> dict[str, Mammogram]:
    """One image per view, one that is there if possible; views in alphabetical order. Raises: _LeftOut."""
    fault = next((each.fault for each in images if each.fault), None)
    if fault:
        raise _LeftOut(fault)
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
    """The class, and whether the views of a breast disagree on it. Raises: _LeftOut."""
    graded = [(each.side, each.grade) for each in images if each.grade is not None]
    if not graded or (len(graded) < len(images) and grouping.unlabelled == "drop"):
        raise _LeftOut("no label of its own")
    # two breasts of a visit may well differ; two views of one breast may not
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
    splits = {each.split for each in views.values()}
    return Exam(
        exam_id=exam_id,
        patient_id=first.patient_id,
        label=label,
        images={view: each.path for view, each in views.items()},
        masks={view: each.lesions for view, each in views.items() if each.lesions},
        laterality={view: each.side for view, each in views.items()},
        # what is tested on must not have been trained on: an exam in several parts leaves the training part
        split=next((part for part in ("test", "val", "train") if part in splits), None),
        dataset="+".join(sorted({each.dataset for each in views.values() if each.dataset})),
    )
