"""Name exams so that a user recognises them and the name does not identify the patient."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gazekit.reading.identifying.identity import is_placeholder
from gazekit.reading.identifying.name_words import NamedFile, stem

_SHORTEST = 4
"""Fewest letters and digits of a value that is also sought inside words; shorter values match whole words only."""
_LONGEST = 80
_SIDES = ("l", "r", "left", "right")


@dataclass(frozen=True, slots=True)
class Nameable:
    """Facts that an exam may be named after.

    Args:
        files: of its images.
        naming: header values that say, or could reveal, who the patient is.
        pseudonym: a public name for the patient; empty if there is none.
        side: of all images; empty if unknown.
        has_headers: the files are DICOM. Archives often name their folders after the patient even
            when the headers are anonymised, so folder names are not shown.
    """

    files: Sequence[NamedFile]
    naming: Sequence[str]
    pseudonym: str
    side: str
    has_headers: bool


def recognisable(path: Path, naming: Iterable[str]) -> str:
    """Return a file's name without its suffix and without the patient information in its header."""
    return _without(stem(path), naming) or "a file named by its patient"


def name_exams(exams: Sequence[Nameable]) -> list[str]:
    """Give every exam a unique name that is also a valid file name.

    This is the patient's public name with the side; else the part that the file names share, or the file names joined
    by ``+``, without the patient information in the headers. Where exams share a name, the folders of files without
    headers are added if they differ, then the sides of those that still share one. A file whose name says no more
    than view and side is named after its folder.
    If nothing is left, or several exams would still share a name, it is the exam's number, with its side if sides
    differ: ``exam-0001_L``.
    """
    names = [_fit_for_a_file(_name(exam)) for exam in exams]
    folders = _telling(names, [_folders(exam) for exam in exams])
    names = [
        _fit_for_a_file(_joined(folder, name)) if name else ""
        for folder, name in zip(folders, names, strict=True)
    ]
    sides = _telling(names, [exam.side for exam in exams])
    names = [_joined(name, side) if name else "" for name, side in zip(names, sides, strict=True)]
    often, so_far = Counter(names), Counter[str]()
    unique = []
    for number, (name, side, exam) in enumerate(zip(names, sides, exams, strict=True), start=1):
        so_far[name] += 1
        if name and often[name] == 1:
            unique.append(name)
        elif exam.pseudonym:  # another visit of the patient
            unique.append(f"{name}_{so_far[name]}")
        else:
            unique.append(_joined(f"exam-{number:04d}", side))
    return unique


def _telling(names: Sequence[str], facts: Sequence[str]) -> list[str]:
    """Return the fact about each exam where it differs among those of one name; empty elsewhere."""
    of_name = defaultdict(set)
    for name, fact in zip(names, facts, strict=True):
        of_name[name].add(fact)
    return [fact if len(of_name[name]) > 1 else "" for name, fact in zip(names, facts, strict=True)]


def _joined(*parts: str) -> str:
    return "_".join(filter(None, parts))


def _name(exam: Nameable) -> str:
    if exam.pseudonym:
        return _joined(exam.pseudonym, exam.side)
    common = {file.exam for file in exam.files}
    if len(common) == 1 and all(file.view for file in exam.files):
        rest, folder = _without(exam.files[0].rest, exam.naming), exam.files[0].path.parent.name
        if exam.has_headers:
            return rest
        return folder if rest.casefold() in ("", *_SIDES) else rest
    rests = [_without(stem(file.path), exam.naming) for file in exam.files]
    return "+".join(sorted({rest for rest in rests if rest}))


def _folders(exam: Nameable) -> str:
    """Return the folders that an exam's files share, if they may be shown."""
    if exam.pseudonym or exam.has_headers:
        return ""
    return "_".join(
        name for name in exam.files[0].folders if all(name in file.folders for file in exam.files)
    )


def _without(name: str, naming: Iterable[str]) -> str:
    """Remove these values from a name, however their words are joined in it."""
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
