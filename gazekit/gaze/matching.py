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
from gazekit.reading.identifying.view_names import split_words
from gazekit.records.exam import Exam
from gazekit.records.recording import Recording

ExamView = tuple[str, str]
"""(exam_id, view)."""
Names = Mapping[str, set[ExamView]]
_NAME, _STEM = "name", "stem"
_TELLING = 4
"""Characters of a word in an image's name, one of them a digit, from which it hardly names two images (ours)."""
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
    one counts that shares most folders with the recording's name. Recordings that call one image alike, by a name that
    tells no exam, but in several folders of one exam each, are joined only if these are the image's: of ``P1/cc.png``
    and ``P2/cc.png``, at most one is ``P1/cc.dcm``.
    A recording that names nothing is matched by the path of its file: ``a_cc.csv``, ``a_cc.dcm.csv`` or ``P1/cc.csv``.

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
    found = _by_image([recordings[number] for number in left], _Images.of(exams), by_id)
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
class _Called:
    """The images that a name fits.

    Args:
        keys: exam and view of each.
        shared: how many folders, from the lowest upwards, they share with the name.
        folders: those above the image, or above the folder that the name names, where it is one image.
    """

    keys: Collection[ExamView] = ()
    shared: int = 0
    folders: PathParts = ()


@dataclass(frozen=True, slots=True)
class _Images:
    """The images of a data set by what they are called.

    Args:
        parts: parts of each image's whole path.
        tails: file name with and without its suffix, then the folder above, the one above that … → images.
        folders: folder above → its image, of folders that hold one.
    """

    parts: Mapping[ExamView, PathParts]
    tails: Mapping[PathParts, set[ExamView]]
    folders: Names

    @classmethod
    def of(cls, exams: Sequence[Exam]) -> "_Images":
        """Index the images of exams."""
        tails: dict[PathParts, set[ExamView]] = defaultdict(set)
        folders: dict[str, set[ExamView]] = defaultdict(set)
        parts = {(exam.exam_id, view): _parts(image) for exam in exams for view, image in exam.images.items()}
        for exam in exams:
            for view, image in exam.images.items():
                key = (exam.exam_id, view)
                *above, name = parts[key]
                for kind, called in ((_NAME, name), (_STEM, without_suffix(name))):
                    for count in range(len(above) + 1):
                        tails[kind, called, *above[len(above) - count :][::-1]].add(key)
                for folder in parts_of(str(image))[:-1]:
                    folders[folder].add(key)
        return cls(parts, tails, {name: keys for name, keys in folders.items() if len(keys) == 1})

    def called(self, path: str) -> _Called:
        """Find the images that a path names: those that share most folders with it.

        A path may also name a folder that holds one image; then its folders are those above that folder.
        """
        *above, name = parts_of(path) or ("",)
        stem = without_suffix(name)
        ways: list[PathParts] = [(_NAME, name), (_STEM, name), (_STEM, stem), (_NAME, stem)]
        found, shared = self._first(ways), 0
        if not found:
            folder = next((each for each in (name, stem) if each in self.folders), None)
            if folder is None:
                return _Called()
            ((key),) = self.folders[folder]
            return _Called((key,), 0, self._above(key, folder))
        for higher in reversed(above):
            ways = [(*way, higher) for way in ways]
            if not (nearer := self._first(ways)):
                break
            found, shared = nearer, shared + 1
        only = self.parts[next(iter(found))][:-1] if len(found) == 1 else ()
        return _Called(found, shared, only)

    def _first(self, ways: Iterable[PathParts]) -> Collection[ExamView]:
        return next((self.tails[way] for way in ways if way in self.tails), ())

    def _above(self, key: ExamView, folder: str) -> PathParts:
        parts = self.parts[key]
        return parts[: -1 - parts[::-1].index(folder)]


def _by_image(
    recordings: Sequence[Recording], images: _Images, exams: Mapping[str, Exam]
) -> list[tuple[ExamView | None, bool]]:
    """Find the image that each recording names, and say whether its folders leave that open. Raises: DataError."""
    is_file = [not (each.image or each.exam_id or each.view) for each in recordings]  # it names nothing
    named = [
        str(each.file) if by_file else each.image or ""
        for each, by_file in zip(recordings, is_file, strict=True)
    ]
    folders_of: dict[str, set[PathParts]] = {}
    for name in filter(None, named):
        folders_of.setdefault(last_part(name), set()).add(parts_of(name)[:-1])
    one_folder = {name: are_alike(folders) for name, folders in folders_of.items()}
    found: list[ExamView | None] = []
    claims: dict[ExamView, list[tuple[int, PathParts]]] = {}
    exams_in: dict[PathParts, set[str]] = defaultdict(set)
    doubtful: set[int] = set()
    for number, (recording, name) in enumerate(zip(recordings, named, strict=True)):
        called, folders = images.called(name), parts_of(name)[:-1]
        found.append(next(iter(called.keys)) if len(called.keys) == 1 else None)
        if len(called.keys) == 1:
            (key,) = called.keys
            claims.setdefault(key, []).append((number, called.folders))
            exams_in[folders].add(key[0])
        elif called.keys and folders and not called.shared and not one_folder[last_part(name)]:
            doubtful.add(number)
        elif called.keys:
            raise DataError(_fits_several(recording, sorted(called.keys)))
    for (exam_id, _), some in claims.items():
        kept = told_apart([parts_of(named[number])[:-1] for number, _ in some], [each for _, each in some])
        if not any(shared_folders(parts_of(named[number])[:-1], each) for number, each in some):
            # a folder of gaze files alone, such as a reader's, tells nothing
            kept = [can_be or is_file[number] for (number, _), can_be in zip(some, kept, strict=True)]
        doubtful |= {
            number
            for (number, _), can_be in zip(some, kept, strict=True)
            if not can_be
            and len(exams_in[parts_of(named[number])[:-1]])
            == 1  # a folder with several exams is nobody's own
            and not tells_exam(named[number], exams[exam_id])
        }
    return [(None if number in doubtful else key, number in doubtful) for number, key in enumerate(found)]


def tells_exam(name: str, exam: Exam) -> bool:
    """Whether the name of an image tells the exam whatever folder it is in.

    Its words hold those of the exam or the patient, or one that is hardly used twice: four characters, one a digit.
    """
    words = split_words(without_suffix(last_part(name)))
    if any(len(word) >= _TELLING and any(map(str.isdigit, word)) for word in words):
        return True
    ids = (split_words(exam.exam_id), split_words(exam.patient_id))
    return any(
        own and words[at : at + len(own)] == own for own in ids for at in range(len(words) - len(own) + 1)
    )


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
