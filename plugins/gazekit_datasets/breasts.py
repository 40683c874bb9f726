"""From the mammograms of a data set's tables to exams: breasts, or visits of four views."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gazekit.data.exam import Exam, Finding
from gazekit.data.lesions import Lesion

Unit = Literal["breast", "visit"]
Disagreement = Literal["max", "drop"]
Repeated = Literal["first", "last", "drop"]


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


@dataclass(frozen=True, slots=True)
class Grouping:
    """How mammograms become exams.

    Args:
        label: the class of a grade; None when the exam is to be left out.
        unit: ``"breast"`` (views cc, mlo) or ``"visit"`` (views l_cc, l_mlo, r_cc, r_mlo).
        disagreement: of the views' labels: ``"max"`` takes the worse, ``"drop"`` leaves the exam out.
        repeated: a view that comes several times in one visit: take the first, the last, or leave the exam out.
    """

    label: Callable[[int], str | None]
    unit: Unit = "breast"
    disagreement: Disagreement = "max"
    repeated: Repeated = "last"


def group(mammograms: Iterable[Mammogram], grouping: Grouping) -> Iterator[Exam | Finding]:
    """Yield the exams in the order in which they first appear, and a finding for all that is not as expected.

    Images that are not there are findings and the exam has one view less; an exam without any image, without a label
    or with a label that is to be left out is dropped.
    """
    members: dict[tuple[str, ...], list[Mammogram]] = defaultdict(list)
    visits: dict[str, set[str]] = defaultdict(set)
    for each in mammograms:
        breast = (each.side,) if grouping.unit == "breast" else ()
        members[each.patient_id, each.visit, *breast].append(each)
        visits[each.patient_id].add(each.visit)
    for (patient, visit, *side), images in members.items():
        parts = [patient, visit if len(visits[patient]) > 1 else "", *side]
        yield from _exam("_".join(part for part in parts if part), images, grouping)


def _exam(exam_id: str, images: Sequence[Mammogram], grouping: Grouping) -> Iterator[Exam | Finding]:
    there = [each for each in images if each.path.is_file()]
    yield from (
        Finding("missing", each.path.name, "image file not there") for each in images if each not in there
    )
    views: dict[str, Mammogram] = {}
    for each in sorted(there, key=lambda image: image.order, reverse=grouping.repeated == "last"):
        view = each.view if grouping.unit == "breast" else f"{each.side.lower()}_{each.view}"
        if view in views and grouping.repeated == "drop":
            yield Finding("dropped", exam_id, "exam left out: a view comes twice")
            return
        if view in views:
            yield Finding("note", each.path.name, f"view repeated: the {grouping.repeated} one is taken")
        else:
            views[view] = each
    if not views:
        yield Finding("dropped", exam_id, "exam left out: none of its images is there")
        return
    label = None
    for found in _label(exam_id, list(views.values()), grouping):
        if isinstance(found, Finding):
            yield found
        else:
            label = found
    if label is not None:
        yield _record(exam_id, dict(sorted(views.items())), label)


def _label(exam_id: str, images: Sequence[Mammogram], grouping: Grouping) -> Iterator[str | Finding]:
    """The label, if the exam has one, and what is to be said about it."""
    grades = [each.grade for each in images if each.grade is not None]
    if len(grades) < len(images):
        yield Finding("dropped", exam_id, "exam left out: no label of its own")
        return
    # two breasts of a visit may well differ; two views of one breast may not
    by_side: dict[str, set[int]] = defaultdict(set)
    for each, grade in zip(images, grades, strict=True):
        by_side[each.side].add(grade)
    if any(len(found) > 1 for found in by_side.values()):
        if grouping.disagreement == "drop":
            yield Finding("dropped", exam_id, "exam left out: its views disagree in grade")
            return
        yield Finding("disagrees", exam_id, "views of a breast disagree in grade: the worse is taken")
    label = grouping.label(max(grades))
    if label is None:
        yield Finding("dropped", exam_id, f"exam left out: grade {max(grades)} has no class")
    else:
        yield label


def _record(exam_id: str, views: dict[str, Mammogram], label: str) -> Exam:
    first = next(iter(views.values()))
    return Exam(
        exam_id=exam_id,
        patient_id=first.patient_id,
        label=label,
        images={view: each.path for view, each in views.items()},
        masks={view: each.lesions for view, each in views.items() if each.lesions},
        laterality={view: each.side for view, each in views.items()},
        split=first.split,
        dataset="+".join(sorted({each.dataset for each in views.values() if each.dataset})),
    )
