"""Resolve the image names used in recordings."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path, PureWindowsPath

from gazekit.disk.wording import first_few
from gazekit.errors import ConfigurationError, DataError
from gazekit.reading.identifying.view_names import split_words
from gazekit.reading.tables.table import open_table
from gazekit.records.recording import Recording

PathParts = tuple[str, ...]
"""Parts of a path, in lower case."""
COLUMNS = ("name", "exam_id", "view")
READER = "reader"
"""Optional column of the table, for files that do not name the reader."""

_SUFFIX = re.compile(r"\.(?=[0-9]{0,3}[a-z])[a-z0-9]{1,8}$", re.IGNORECASE)


def without_suffix(name: str) -> str:
    """Strip the suffix of a file's name; a suffix has a letter, so ``1.2.840.7``, a UID, has none."""
    return _SUFFIX.sub("", name) or name


def last_part(name: str) -> str:
    """Return the last part of a path in lower case, whichever system wrote the path."""
    return PureWindowsPath(name).name.casefold()  # splits at both / and \


def parts_of(path: str) -> PathParts:
    """Return the parts of a path in lower case and without its drive or host, whichever system wrote the path."""
    named = PureWindowsPath(path)
    shared = named.drive.split("\\")[3:] if named.drive.startswith("\\\\") else []  # \\host\share
    return tuple(part.casefold() for part in (*shared, *named.parts[bool(named.anchor) :]))


def shared_folders(one: PathParts, other: PathParts) -> int:
    """Count the folders, from the lowest upwards, that two paths to a file share."""
    alike = (above == above_other for above, above_other in zip(one[::-1], other[::-1], strict=False))
    return sum(takewhile(bool, alike))


def are_alike(folders: Iterable[PathParts]) -> bool:
    """Whether folders above files can be one folder: each is the longest of them, or the end of it."""
    every = list(folders)
    longest = max(every, key=len, default=())
    return all(shared_folders(each, longest) == len(each) for each in every)


def told_apart(named: Sequence[PathParts], there: Sequence[PathParts]) -> list[bool]:
    """Say of each recording that calls its image like a certain one whether it can be of that image.

    A recording that gives no folders, or only those of the image, can. Of the others those can that share most folders
    with the image. If none of them shares a folder, they can unless their folders tell that they are of several images.

    Args:
        named: the folders that each recording gives.
        there: for each recording the folders of the image.
    """
    shared = [shared_folders(one, other) for one, other in zip(named, there, strict=True)]
    strange = [folders for folders, count in zip(named, shared, strict=True) if count < len(folders)]
    enough = max(shared, default=0)
    is_one = enough > 0 or are_alike(strange)
    return [
        count == len(folders) or (is_one and count == enough)
        for folders, count in zip(named, shared, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Meant:
    """The image that a name stands for, and the reader if the table gives one."""

    exam_id: str
    view: str
    reader: str | None = None


def is_name_of(name: str | None, image: Path) -> bool:
    """Whether a recording's name of an image is that of a file, with or without suffix, ignoring case and folders."""
    if name is None:
        return False
    named, there = last_part(name), image.name.casefold()
    return named in (there, without_suffix(there)) or without_suffix(named) == without_suffix(there)


def read_names(path: Path) -> dict[str, Meant]:
    """Read a table ``name,exam_id,view``: the name of a recording's image or file, and the image it stands for.

    A name may have folders (``P1/cc.png``); it then stands for that image of that folder alone. An optional column
    ``reader`` names who looked.

    Returns:
        The name in lower case, its parts joined by ``/`` → the image.

    Raises:
        DataError: not readable, a missing column, an empty cell, or a repeated name (with row).
    """
    names: dict[str, Meant] = {}
    seen: dict[str, str] = {}
    table = open_table(path, COLUMNS)
    for row in table.rows():
        name = "/".join(parts_of(row.word("name")))
        row.check_new("name", name, seen)
        reader = row[READER] or None if READER in table.columns else None
        names[name] = Meant(row.word("exam_id"), row.word("view"), reader)
    if not names:
        raise DataError(f"{path}: no rows below the header; expected one per name")
    return names


def check_named(names: Path | None, gaze: Path | str | None) -> None:
    """Raise ConfigurationError if a table names recordings and none are given."""
    if names is not None and gaze is None:
        raise ConfigurationError(
            f"{names} names recordings, and none are given; add --gaze PATH, or leave out --names"
        )


def named_by_table(recordings: list[Recording], path: Path | None) -> list[Recording]:
    """Name recordings by a table, if there is one; see `named_by`. Raises: DataError."""
    return recordings if path is None else named_by(recordings, read_names(path))


def named_by(recordings: Iterable[Recording], names: dict[str, Meant]) -> list[Recording]:
    """Set exam and view as the table gives them for the image name, else for the file; leave others as they are.

    A name matches whole or without its suffix, ignoring case; the name with most folders counts.
    """
    return [_named(recording, names) for recording in recordings]


def looking_at(recordings: Sequence[Recording], image: Path, *, called: str | None = None) -> list[Recording]:
    """Return the recordings that name an image or have its exam and view, else the nameless ones.

    The whole name is compared first, then the name without its suffix, ignoring case. Folders do not matter unless
    recordings of images of the same name have different ones.

    Args:
        recordings: of any images.
        image: the file.
        called: its name in the recordings, if that differs from the file name.

    Raises:
        DataError: all recordings name other images, or those that name none are of several exams or views.
    """
    wanted = last_part(called or image.name)
    alike = {wanted, without_suffix(wanted)}
    named = [(each, last_part(each.image)) for each in recordings if each.image]
    whole = [each for each, name in named if name == wanted]
    bare = [each for each, name in named if alike & {name, without_suffix(name)}]
    found = in_folder_of(whole or bare, str(image.absolute()) if called is None else called)
    if called is None:
        nameless = [each for each in recordings if not each.image]
        of_exam = [each for each in nameless if is_called_by(image, each)]
        if bare:
            found += [each for each in of_exam if each.view is not None]
        else:
            found = of_exam or nameless
            _check_one_image(found, image)
    if not found and recordings:
        others = list(dict.fromkeys(each.image_name for each in recordings if each.image_name))
        raise DataError(
            f"{recordings[0].source}: no recording of {called or image.name}, but of "
            f"{first_few(others) or 'images without names'}; give the image that was looked at, or say with "
            "--image-name how the recording calls this one"
        )
    return found


def in_folder_of(recordings: Sequence[Recording], path: str) -> list[Recording]:
    """Return those of recordings that call their images alike which can be of the image at a path."""
    named = [parts_of(each.image or "")[:-1] for each in recordings]
    kept = told_apart(named, [parts_of(path)[:-1]] * len(named))
    return [each for each, can_be in zip(recordings, kept, strict=True) if can_be]


def is_called_by(image: Path, recording: Recording) -> bool:
    """Whether a recording's exam, and its view if it has one, are words in the name of an image or its folder."""
    if recording.exam_id is None:
        return False
    words = [*split_words(image.absolute().parent.name), *split_words(without_suffix(image.name))]
    for part in filter(None, (recording.exam_id, recording.view)):
        sought = split_words(part)
        at = next((i for i in range(len(words)) if sought and words[i : i + len(sought)] == sought), None)
        if at is None:
            return False
        del words[at : at + len(sought)]
    return True


def _check_one_image(recordings: Sequence[Recording], image: Path) -> None:
    """Raise DataError unless recordings without an image name can be of one and the same image."""
    about = list(dict.fromkeys((each.exam_id, each.view) for each in recordings))
    if len(about) > 1:
        names = first_few(" ".join(filter(None, pair)) or "no name" for pair in about)
        raise DataError(
            f"{recordings[0].source}: its recordings are of {len(about)} images ({names}), and none says that "
            f"one of them is {image.name}; choose with --exam and --view"
        )


def _named(recording: Recording, names: dict[str, Meant]) -> Recording:
    for used in filter(None, (recording.image, str(recording.source))):
        parts = parts_of(used)
        tails = ["/".join(parts[start:]) for start in range(len(parts))]
        meant = next((names[n] for tail in tails for n in (tail, without_suffix(tail)) if n in names), None)
        if meant is not None:
            reader = meant.reader or recording.reader
            return replace(recording, exam_id=meant.exam_id, view=meant.view, reader=reader)
    return recording
