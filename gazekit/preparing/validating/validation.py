"""Count the contents of a raw data set and report its faults, without preparing it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from gazekit.disk.regular_file import is_there
from gazekit.errors import DataError
from gazekit.prepared.leaks import find_leak
from gazekit.prepared.settings import PreparationSettings
from gazekit.prepared.splits import PARTS
from gazekit.preparing.raw.outside_files import check_inside
from gazekit.preparing.raw.source import RawData, classes_of, list_exams
from gazekit.preparing.regions import with_region
from gazekit.preparing.validating.survey import Faults, find_faults
from gazekit.records.exam import KINDS, NOT_THERE, Exam, Finding
from gazekit.records.labels import doubts, in_order, positive_of


@dataclass(frozen=True, slots=True)
class Noticed:
    """Findings of one kind.

    Args:
        kind, what: as in :class:`Finding`.
        about: the subject of each, in order.
    """

    kind: str
    what: str
    about: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartCounts:
    """Counts for a part of the source's split, or for the whole.

    Args:
        exams, patients: their numbers.
        views: the views of an exam, joined by ``+`` → exams.
        classes: class → exams.
    """

    exams: int
    patients: int
    views: dict[str, int]
    classes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Validation:
    """Content of a raw data set.

    Args:
        whole: all exams.
        parts: the same for each part; empty if the source gives no split.
        datasets: part of the source → exams, if there are several.
        sides: laterality → exams with images of that side, if the tables give it.
        positive: the positive class of two; None if there are more.
        doubts: possible mistakes in the classes, one sentence each.
        two_sided: patients with exams in several parts of the split.
        refused: why no preparation is possible, or empty.
        images: number of image files that the exams name.
        missing: exam and view of each missing one.
        with_mask, with_gaze: view → exams that have one.
        noticed: data that the source left out, missed or resolved.
        faults: None if the images were not read.
    """

    whole: PartCounts
    parts: dict[str, PartCounts]
    datasets: dict[str, int]
    sides: dict[str, int]
    positive: str | None
    doubts: tuple[str, ...]
    two_sided: tuple[str, ...]
    refused: str
    images: int
    missing: tuple[str, ...]
    with_mask: dict[str, int]
    with_gaze: dict[str, int]
    noticed: tuple[Noticed, ...]
    faults: Faults | None = None


def validate(
    raw: RawData,
    settings: PreparationSettings,
    *,
    read_images: bool = True,
    jobs: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Validation:
    """Read a data set as a preparation does, and keep only counts and findings.

    Args:
        raw: the data set.
        settings: of the planned preparation, on which refusals may depend.
        read_images: also read every image with its masks and gaze, not only the tables.
        jobs: worker processes; None takes one per core.
        progress: called with (images done, images).

    Raises:
        DataError: there is no exam, or a table is faulty.
        ConfigurationError: there is no such positive class or no such region.
    """
    exams, findings = list_exams(raw.source, raw.root)
    all_outside = refused = ""
    some_outside: tuple[str, ...] = ()
    try:
        some_outside = check_inside(exams, raw.root, raw.allow_outside).told
    except DataError as error:
        all_outside = str(error)
    try:
        classes = classes_of(raw.source, exams, raw.positive)
    except DataError as error:
        classes, refused = in_order(exam.label for exam in exams), str(error)
    validation = tally(exams, findings, classes, all_outside or refused, chosen=raw.positive is not None)
    validation = replace(validation, doubts=(*validation.doubts, *some_outside))
    if not read_images or all_outside:
        return validation
    settings = with_region(settings, raw.source, raw.registry)
    faults = find_faults(exams, raw, settings, jobs=jobs, progress=progress)
    return replace(validation, faults=faults)


def tally(
    exams: Sequence[Exam],
    findings: Iterable[Finding],
    classes: Sequence[str],
    refused: str = "",
    *,
    chosen: bool = False,
) -> Validation:
    """Count exams and findings.

    Args:
        exams, findings: from a source.
        classes: in order.
        refused: why no preparation is possible, or empty.
        chosen: whether the positive class was given by name.
    """
    labels, patients = [exam.label for exam in exams], [exam.patient_id for exam in exams]
    images = [(exam.exam_id, view, path) for exam in exams for view, path in exam.images.items()]
    missing = tuple(f"{exam} {view}" for exam, view, path in images if not is_there(path))
    findings = list(findings)
    if not any(each.what == NOT_THERE for each in findings):
        findings += [Finding("missing", name, NOT_THERE) for name in missing]
    parts = {part: [exam for exam in exams if exam.part == part] for part in PARTS}
    leak = find_leak((exam.exam_id, exam.patient_id, exam.part or "") for exam in exams)
    datasets = Counter(exam.dataset for exam in exams)
    return Validation(
        whole=_part(exams, classes),
        parts={name: _part(members, classes) for name, members in parts.items() if members},
        datasets=dict(sorted(datasets.items())) if len(datasets) > 1 else {},
        sides=dict(sorted(Counter(s for exam in exams for s in set(exam.laterality.values())).items())),
        positive=positive_of(classes),
        doubts=tuple(doubts(classes, labels, patients, chosen=chosen)),
        two_sided=leak.patients if leak else (),
        refused=refused,
        images=len(images),
        missing=missing,
        with_mask=_per_view(exams, "masks"),
        with_gaze=_per_view(exams, "gaze"),
        noticed=_noticed(findings),
    )


def _part(exams: Sequence[Exam], classes: Sequence[str]) -> PartCounts:
    labels = Counter(exam.label for exam in exams)
    return PartCounts(
        exams=len(exams),
        patients=len({exam.patient_id for exam in exams}),
        views=dict(Counter(" + ".join(exam.images) for exam in exams).most_common()),
        classes={name: labels[name] for name in classes},
    )


def _per_view(exams: Iterable[Exam], kind: str) -> dict[str, int]:
    return dict(sorted(Counter(view for exam in exams for view in getattr(exam, kind)).items()))


def _noticed(findings: Iterable[Finding]) -> tuple[Noticed, ...]:
    """Group findings by kind and sentence, the most frequent of a kind first."""
    about: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in findings:
        about[each.kind, each.what].append(each.about)
    order = sorted(about, key=lambda key: (KINDS.index(key[0]), -len(about[key])))
    return tuple(Noticed(kind, what, tuple(about[kind, what])) for kind, what in order)
