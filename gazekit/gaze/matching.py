"""Match recordings with the views of exams."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gazekit.errors import DataError
from gazekit.gaze.image_names import (
    PathParts,
    are_alike,
    is_name_of,
    last_part,
    parts_of,
    shared_folders,
    told_apart,
    without_suffix,
)
from gazekit.records.exam import Exam
from gazekit.records.recording import Recording

ExamView = tuple[str, str]
"""(exam_id, view)."""
Names = Mapping[str, set[ExamView]]
DOUBTFUL = (
    "not joined, because recordings of several folders call their images alike; if it is of an image of the data set, "
    "say so in a row of the table --names (name,exam_id,view), where a name may have folders: patient1/1.png"
)
"""Note on a recording whose image cannot be told by its name."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Recordings joined to exams, and the leftovers on both sides.

    Args:
        matched: (exam_id, view) → its recordings, in their original order.
        unmatched_recordings: recordings that belong to no exam. Those whose folders leave it open which image they
            are of say so in their notes.
        exams_without: (exam_id, view) of every image without a recording.
    """

    matched: dict[ExamView, list[Recording]]
    unmatched_recordings: list[Recording]
    exams_without: list[ExamView]


def join(recordings: Iterable[Recording], exams: Iterable[Exam]) -> Joined:
    """Join recordings to exams by (exam_id, view), else by the name of the image looked at.

    Case does not matter, unless exams or views differ in nothing else. An exam_id without a view is enough if the exam
    has one image. Where some recording names that image, those that name another one do not count: they are of what
    else was shown.

    An image name is compared whole first (``a_cc.png``), then without its suffix, because gaze is often recorded on an
    export of the training image (``a_cc.dcm``), then with the folders that hold only this image
    (``P_00001_LEFT_CC/…/1-1.dcm``). A suffix has a letter: ``1.2.840.7``, a UID, has none. Of images called alike, the
    one counts that shares most folders with the recording's name. Recordings that call one image alike but in several
    folders are joined only if these are the image's: of ``P1/cc.png`` and ``P2/cc.png``, at most one is ``P1/cc.dcm``.
    A recording that names nothing is matched by its file name: ``a_cc.csv`` or ``a_cc.dcm.csv``.

    Args:
        recordings: any recordings.
        exams: the exams; only views that have an image count.

    Raises:
        DataError: nothing matches, or an image name fits several images.
    """
    exams, recordings = list(exams), list(recordings)
    spelled = Spelled(exam.exam_id for exam in exams)
    by_id = {exam.exam_id: exam for exam in exams}
    of_exams = [by_id.get(spelled.like(each.exam_id) or "") for each in recordings]
    both = list(zip(recordings, of_exams, strict=True))
    seen = {exam.exam_id for recording, exam in both if exam and fitting(recording, exam)}
    keys = [None if exam is None else _by_exam(recording, exam, seen) for recording, exam in both]
    left = [number for number, key in enumerate(keys) if key is None]
    found = _by_image([recordings[number] for number in left], _Images.of(exams))
    for number, (key, is_doubtful) in zip(left, found, strict=True):
        keys[number] = key
        if is_doubtful:
            recordings[number] = replace(recordings[number], notes=(*recordings[number].notes, DOUBTFUL))
    matched: dict[ExamView, list[Recording]] = {}
    for recording, key in zip(recordings, keys, strict=True):
        if key is not None:
            matched.setdefault(key, []).append(recording)
    unmatched = [recording for recording, key in zip(recordings, keys, strict=True) if key is None]
    if not matched:
        raise DataError(_nothing_matches(recordings, exams))
    images = [(exam.exam_id, view) for exam in exams for view in exam.images]
    return Joined(matched, unmatched, [key for key in images if key not in matched])


class Spelled:
    """Look up names as a data set spells them; another case will do where it is that of one name only."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[str, set[str]] = defaultdict(set)
        for name in names:
            self._names[name.casefold()].add(name)

    def like(self, name: str | None) -> str | None:
        """Return the name that is spelled so, else the only one that differs in case."""
        alike = self._names.get((name or "").casefold(), set())
        return name if name in alike or len(alike) != 1 else next(iter(alike))


def fitting(recording: Recording, exam: Exam) -> list[str]:
    """Return the views of an exam whose image a recording names; of several, those that share most folders with it."""
    named = [view for view, image in exam.images.items() if is_name_of(recording.image, image)]
    if len(named) < 2 or recording.image is None:
        return named
    folders = parts_of(recording.image)[:-1]
    shared = {view: shared_folders(folders, _parts(exam.images[view])[:-1]) for view in named}
    return [view for view in named if shared[view] == max(shared.values())]


def _by_exam(recording: Recording, exam: Exam, seen: Collection[str]) -> ExamView | None:
    """Find the view of a recording's exam; ``seen`` are exams of which a recording names an image."""
    there = list(exam.images)
    if recording.view is None and recording.image is not None:
        there = fitting(recording, exam) or ([] if exam.exam_id in seen else there)
    view = there[0] if recording.view is None and len(there) == 1 else Spelled(there).like(recording.view)
    return (exam.exam_id, view) if view is not None and view in there else None


def _parts(image: Path) -> PathParts:
    return parts_of(str(image.absolute()))


@dataclass(frozen=True, slots=True)
class _Images:
    """The images of a data set by what they are called.

    Args:
        parts: parts of each image's whole path.
        names, stems: file name, and file name without suffix → images.
        folders: folder above → its image, of folders that hold one.
    """

    parts: Mapping[ExamView, PathParts]
    names: Names
    stems: Names
    folders: Names

    @classmethod
    def of(cls, exams: Sequence[Exam]) -> "_Images":
        """Index the images of exams."""
        names, stems, folders = (defaultdict[str, set[ExamView]](set) for _ in range(3))
        parts = {(exam.exam_id, view): _parts(image) for exam in exams for view, image in exam.images.items()}
        for exam in exams:
            for view, image in exam.images.items():
                *above, name = parts_of(str(image))
                key = (exam.exam_id, view)
                names[name].add(key)
                stems[without_suffix(name)].add(key)
                for folder in above:
                    folders[folder].add(key)
        return cls(parts, names, stems, {name: keys for name, keys in folders.items() if len(keys) == 1})

    def called(self, path: str) -> dict[ExamView, PathParts]:
        """Find the images that a path names, those that share most folders with it, each with its folders.

        A path may also name a folder that holds one image; then its folders are those above that folder.
        """
        *above, name = parts_of(path) or ("",)
        stem = without_suffix(name)
        files = ((self.names, name), (self.stems, name), (self.stems, stem), (self.names, stem))
        found = [dict.fromkeys(table[each]) for table, each in files if each in table]
        if not found:
            folder = next((each for each in (name, stem) if each in self.folders), None)
            return {} if folder is None else {key: self._above(key, folder) for key in self.folders[folder]}
        folders = {key: self.parts[key][:-1] for keys in found for key in keys}
        shared = {key: shared_folders(tuple(above), folders[key]) for key in folders}
        most = max(shared.values())
        nearest = next(keys for keys in found if any(shared[key] == most for key in keys))
        return {key: folders[key] for key in nearest if shared[key] == most}

    def _above(self, key: ExamView, folder: str) -> PathParts:
        parts = self.parts[key]
        return parts[: -1 - parts[::-1].index(folder)]


def _by_image(recordings: Sequence[Recording], images: _Images) -> list[tuple[ExamView | None, bool]]:
    """Find the image that each recording names, and say whether its folders leave that open. Raises: DataError."""
    named = [
        each.image
        or ("" if each.exam_id or each.view else each.source.name)  # by its file if it names nothing
        for each in recordings
    ]
    alike: dict[str, set[PathParts]] = {}
    for name in filter(None, named):
        alike.setdefault(last_part(name), set()).add(parts_of(name)[:-1])
    found: list[ExamView | None] = []
    claims: dict[ExamView, list[tuple[int, PathParts]]] = {}
    doubtful: set[int] = set()
    for number, (recording, name) in enumerate(zip(recordings, named, strict=True)):
        called = images.called(name)
        found.append(next(iter(called)) if len(called) == 1 else None)
        if len(called) == 1:
            ((key, folders),) = called.items()
            claims.setdefault(key, []).append((number, folders))
        elif called and not are_alike(alike[last_part(name)]) and not _shares(name, called):
            doubtful.add(number)
        elif called:
            raise DataError(_fits_several(recording, sorted(called)))
    for some in claims.values():
        kept = told_apart([parts_of(named[number])[:-1] for number, _ in some], [each for _, each in some])
        doubtful |= {number for (number, _), can_be in zip(some, kept, strict=True) if not can_be}
    return [(None if number in doubtful else key, number in doubtful) for number, key in enumerate(found)]


def _shares(name: str, called: Mapping[ExamView, PathParts]) -> bool:
    """Say whether images called alike share a folder with a recording's name, or it has none."""
    folders = parts_of(name)[:-1]
    return not folders or any(shared_folders(folders, each) for each in called.values())


def _fits_several(recording: Recording, found: Sequence[ExamView]) -> str:
    first, second = found[:2]
    return (
        f"{recording}: the image name fits {len(found)} images, such as exam {first[0]} view {first[1]} "
        f"and exam {second[0]} view {second[1]}; expected one; give the images distinct names, or say which is meant "
        "in the table --names (name,exam_id,view), where a name may have folders"
    )


def _nothing_matches(recordings: Sequence[Recording], exams: Sequence[Exam]) -> str:
    if not recordings:
        return (
            f"there is no gaze recording to join to the {len(exams)} exams; check the path of the gaze files"
        )
    if not exams:
        return f"there is no exam to join the {len(recordings)} gaze recordings to; check the data set"
    doubtful = [each for each in recordings if DOUBTFUL in each.notes]
    if len(doubtful) == len(recordings):
        return f"{doubtful[0]}, and {len(doubtful) - 1} more recordings: {DOUBTFUL}"
    exam = exams[0]
    images = ", ".join(f"{view} = {image.name}" for view, image in exam.images.items()) or "no images"
    return (
        f"none of the {len(recordings)} gaze recordings matches any of the {len(exams)} exams: the first "
        f"recording is {recordings[0]}, the first exam is {exam.exam_id} ({images}); expected the same "
        "exam_id and view, or the same image file name, on both sides; --names takes a table name,exam_id,view"
    )
