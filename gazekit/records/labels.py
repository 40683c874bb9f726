"""Class names: unify spellings, find the positive class, point out likely mistakes."""

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Context, Decimal

from gazekit.disk.wording import first_few
from gazekit.errors import ConfigurationError, DataError
from gazekit.records.exam import Exam, Finding

FEWEST = 3
"""Fewest patients of a class: one each to train, validate and test on."""
_GRADE = re.compile(r"\w*\d\w*|\b\w\b")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_NEGATIVE = re.compile(
    r"(normal[es]?|benign[oae]?|n[ée]gati[fv][eoa]?|neg|healthy|controls?|none|absent|clear|unremarkable|no|false|0|-)"
    r"|(bi-?rads ?1|gutartig|gesund|unauffällig|b[ée]nin|b[ée]nigne|saine?|san[oa]|normaux)"
    r"|(no|non|not|without|sans)[ _-]\w.*|(keine?|ohne|sin|senza) \w.*|non(cancer|malign)\w*"
)
"""Words for the absence of a finding, in some languages."""
_LEADING_ZEROS = re.compile(r"(?<![\W\d])0+(?=\d)")
_NAMED = 5
_NEAR = 0.8


def same_class(label: str) -> str:
    """Return a key that is equal for all spellings of one class: it ignores case, blanks and needless zeros."""
    word = " ".join(label.casefold().split())
    if not _NUMBER.fullmatch(word):
        return word
    return f"{Decimal(word).normalize(Context(prec=len(word))):f}"  # exact: no number has more digits than characters


def spell_alike(exams: Sequence[Exam], classes: Sequence[str] | None) -> tuple[list[Exam], list[Finding]]:
    """Give all labels of one class the same spelling, the source's or the most frequent; report each change.

    Classes of further targets take the most frequent spelling.

    Args:
        exams: with the labels as in the tables.
        classes: class names of the source; None takes the labels found.
    """
    if classes is None:
        chosen = _most_frequent(exam.label for exam in exams)
    else:
        known = Counter(map(same_class, classes))
        chosen = {same_class(name): name for name in classes if known[same_class(name)] == 1}
    spelled, findings = [], []
    for exam in exams:
        label = chosen.get(same_class(exam.label), exam.label)
        if label != exam.label and exam.label not in (classes or ()):
            findings.append(
                Finding(
                    "note", exam.exam_id, f"label '{exam.label}' read as '{label}', which is spelled alike"
                )
            )
            spelled.append(replace(exam, label=label))
        else:
            spelled.append(exam)
    for target in dict.fromkeys(name for exam in exams for name in exam.targets):
        frequent = _most_frequent(exam.targets[target] for exam in exams if target in exam.targets)
        for place, exam in enumerate(spelled):
            said = exam.targets.get(target)
            if said is not None and said != (name := frequent[same_class(said)]):
                findings.append(
                    Finding(
                        "note",
                        exam.exam_id,
                        f"target {target} '{said}' read as '{name}', which is spelled alike",
                    )
                )
                spelled[place] = replace(exam, targets={**exam.targets, target: name})
    return spelled, findings


def _most_frequent(names: Iterable[str]) -> dict[str, str]:
    """Map the key of each class to its most frequent spelling."""
    chosen: dict[str, str] = {}
    for name, _ in Counter(names).most_common():
        chosen.setdefault(same_class(name), name)
    return chosen


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort class names by value if they are numbers, else by letters, capitals first; of two, the last is positive."""
    found = set(labels)
    numeric = all(_NUMBER.fullmatch(label) for label in found)
    return tuple(sorted(found, key=lambda label: (Decimal(label), label)) if numeric else sorted(found))


def check_label(label: str, classes: Sequence[str], where: str) -> None:
    """Raise a DataError if a label is none of the classes; suggest the class that was meant."""
    if same_class(label) not in map(same_class, classes):
        raise DataError(
            f"{where}: label {label[:60]!r} is none of the classes {', '.join(classes)}{_did_you_mean(label, classes)}"
        )


def with_positive(classes: Sequence[str], positive: str) -> tuple[str, ...]:
    """Put the chosen positive class last of two. Raises: ConfigurationError."""
    names = [name for name in classes if same_class(name) == same_class(positive)]
    if not names:
        raise ConfigurationError(
            f"positive={positive}: no such class{_did_you_mean(positive, classes)}; there are "
            f"{first_few(classes, 10)}"
        )
    if len(classes) != 2:
        raise ConfigurationError(
            f"positive={positive}: one of two classes can be positive, and there are {len(classes)}: "
            f"{first_few(classes, 10)}; leave it out, or label the exams in two "
            "classes"
        )
    return (*(name for name in classes if name != names[0]), names[0])


def positive_of(classes: Sequence[str]) -> str | None:
    """Return the positive class of two; None if there are more."""
    return classes[1] if len(classes) == 2 else None


def describe(classes: Sequence[str]) -> str:
    """Describe in one line how many classes there are and which is positive."""
    if len(classes) == 2:
        return f"2 classes: '{classes[1]}' is positive, '{classes[0]}' negative"
    names = first_few((f"'{name}'" for name in classes), 10)
    return (
        f"1 class: {names}"
        if len(classes) == 1
        else f"{len(classes)} classes, none of them the positive one: {names}"
    )


def in_sentence(name: str) -> str:
    """Return a class name as a sentence shows it: quoted if it begins with a digit, as counts stand beside it."""
    return f"'{name}'" if name[:1].isdigit() else name


def count_classes(counts: Mapping[str, int]) -> str:
    """List the classes with their numbers of exams."""
    return ", ".join(f"{count} {in_sentence(name)}" for name, count in counts.items())


def doubts(
    classes: Sequence[str], labels: Iterable[str], patients: Iterable[str], *, chosen: bool = False
) -> list[str]:
    """List likely mistakes in the classes, one sentence each.

    Args:
        classes: in order.
        labels, patients: of each exam.
        chosen: whether the user named the positive class.
    """
    exams: Counter[str] = Counter()
    owners: dict[str, set[str]] = defaultdict(set)
    for label, patient in zip(labels, patients, strict=True):
        exams[label] += 1
        owners[label].add(patient)
    said = []
    if len(classes) == 2 and not chosen and sounds_negative(classes[1]):
        said.append(
            f"the positive class is '{classes[1]}', which sounds like the absence of a finding; prepare with "
            f"--set 'positive={classes[0]}' to swap the classes"
        )
    near = near_misses(exams)
    said += [
        f"class '{rare}' ({exams[rare]} exam{'s' * (exams[rare] > 1)}) is spelled much like '{name}' "
        f"({exams[name]} exams): did you mean '{name}'?"
        for rare, name in near.items()
    ]
    few = [name for name in classes if 0 < len(owners[name]) < FEWEST and name not in near]
    if few:
        named = first_few((f"'{name}' ({len(owners[name])})" for name in few), _NAMED)
        hint = "; are the labels measurements rather than classes?" if len(few) > _NAMED else ""
        said.append(
            f"{'classes' if len(few) > 1 else 'class'} of fewer than {FEWEST} patients, too few to train, validate and "
            f"test on: {named}{hint}"
        )
    said += _patients_alike(set().union(*owners.values()))
    return said


def _patients_alike(patients: Iterable[str]) -> Iterator[str]:
    """Say which patients are called alike but for case or leading zeros."""
    called = defaultdict(list)
    for patient in sorted(patients):
        called[_LEADING_ZEROS.sub("", patient.strip().casefold())].append(patient)
    alike = [" = ".join(names) for names in called.values() if len(names) > 1]
    if alike:
        yield (
            f"patients are called alike but for case or leading zeros ({first_few(alike, _NAMED)}): if they are "
            "the same, give them one name, or a split parts them"
        )


def sounds_negative(name: str) -> bool:
    """Whether a class name means the absence of a finding."""
    return _NEGATIVE.fullmatch(same_class(name)) is not None


def near_misses(exams: Mapping[str, int]) -> dict[str, str]:
    """Map rare labels to a label with nearly the same spelling that is at least five times as frequent.

    Args:
        exams: label → exams that have it.
    """
    found = {}
    for rare, count in exams.items():
        others = [name for name, number in exams.items() if number >= 5 * count and _are_near(rare, name)]
        if others:
            found[rare] = max(others, key=lambda name: _similarity(rare, name))
    return found


def nearest(label: str, classes: Iterable[str]) -> str | None:
    """Return the class with the closest spelling, if one is close."""
    near = [name for name in classes if name != label and _are_near(label, name)]
    return max(near, key=lambda name: _similarity(label, name), default=None)


def _did_you_mean(label: str, classes: Sequence[str]) -> str:
    name = nearest(label, classes)
    return f"; did you mean '{name}'?" if name else ""


def _are_near(label: str, name: str) -> bool:
    """Whether two spellings are close; not if one adds a prefix (``abnormal``) or a grade (``BI-RADS 4a``)."""
    a, b = same_class(label), same_class(name)
    grades_differ = _GRADE.findall(a) != _GRADE.findall(b)
    return not grades_differ and not a.endswith(b) and not b.endswith(a) and _similarity(a, b) >= _NEAR


def _similarity(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, same_class(a), same_class(b)).ratio()
