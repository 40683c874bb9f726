"""Names of exams that a user recognises and that say nothing of the patient."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gazekit.reading.identity import is_placeholder
from gazekit.reading.name_words import NamedFile, stem

_SHORTEST = 4
"""Letters and digits of a value that is sought inside of words too; a shorter one must be words of its own."""
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Nameable:
    """What an exam may be named by.

    Args:
        files: of its images.
        naming: values in their headers that say, or lead to, who the patient is.
        pseudonym: a public name of the patient, else empty.
        side: of all images, else empty.
        has_headers: the files are DICOM. Archives write these into folders that are called by the patient's name even
            where the headers were cleaned of it, so their folders are not shown.
    """

    files: Sequence[NamedFile]
    naming: Sequence[str]
    pseudonym: str
    side: str
    has_headers: bool


def recognisable(path: Path, naming: Iterable[str]) -> str:
    """The name of a file without its suffix and without what its header knows of the patient."""
    return _without(stem(path), naming) or "a file named by its patient"


def name_exams(exams: Sequence[Nameable]) -> list[str]:
    """A name per exam, each once and fit for a file.

    It is the patient's public name with the side; else what the names of the files have in common, or these joined by
    ``+``, without what the headers know of the patient; of files without headers with their folders, where that is
    needed to tell exams apart.
    Where nothing is left, or several would have one name, it is ``exam-0001``: the exam's number.
    """
    names = [_fit_for_a_file(_name(exam)) for exam in exams]
    often = Counter(names)
    names = [
        _fit_for_a_file("_".join(filter(None, (_folders(exam), name)))) if name and often[name] > 1 else name
        for name, exam in zip(names, exams, strict=True)
    ]
    often, so_far = Counter(names), Counter[str]()
    unique = []
    for number, (name, exam) in enumerate(zip(names, exams, strict=True), start=1):
        so_far[name] += 1
        if name and often[name] == 1:
            unique.append(name)
        elif exam.pseudonym:  # another visit of the patient
            unique.append(f"{name}_{so_far[name]}")
        else:
            unique.append(f"exam-{number:04d}")
    return unique


def _name(exam: Nameable) -> str:
    if exam.pseudonym:
        return "_".join(filter(None, (exam.pseudonym, exam.side)))
    common = {file.exam for file in exam.files}
    if len(common) == 1 and all(file.view for file in exam.files):
        return _without(exam.files[0].rest, exam.naming) or (
            "" if exam.has_headers else exam.files[0].folders[-1]
        )
    rests = [_without(stem(file.path), exam.naming) for file in exam.files]
    return "+".join(sorted({rest for rest in rests if rest}))


def _folders(exam: Nameable) -> str:
    """The folders that the files of an exam share, where they may be shown."""
    if exam.pseudonym or exam.has_headers:
        return ""
    return "_".join(
        name for name in exam.files[0].folders if all(name in file.folders for file in exam.files)
    )


def _without(name: str, naming: Iterable[str]) -> str:
    """A name without these values, however their words are joined in it."""
    for value in sorted(set(naming), key=len, reverse=True):
        words = re.findall(r"[^\W_]+", value)
        if not words or is_placeholder(value):
            continue
        pattern = r"[\W_]*".join(map(re.escape, words))
        if sum(map(len, words)) < _SHORTEST:
            pattern = rf"(?<![^\W_]){pattern}(?![^\W_])"
        name = re.sub(rf"(?i)[-_ .]*{pattern}[-_ .]*", "_", name)
    return name.strip("-_ .")


def _fit_for_a_file(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name).strip("_.")[:_LONGEST]
