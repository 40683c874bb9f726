"""Match recordings with the views of exams."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gazekit.errors import DataError
from gazekit.gaze.image_names import is_name_of, last_part, without_suffix
from gazekit.records.exam import Exam
from gazekit.records.recording import Recording

ExamView = tuple[str, str]
"""(exam_id, view)."""
Names = Mapping[str, set[ExamView]]


@dataclass(frozen=True, slots=True)
class Joined:
    """Recordings joined to exams, and the leftovers on both sides.

    Args:
        matched: (exam_id, view) → its recordings, in their original order.
        unmatched_recordings: recordings that belong to no exam.
        exams_without: (exam_id, view) of every image without a recording.
    """

    matched: dict[ExamView, list[Recording]]
    unmatched_recordings: list[Recording]
    exams_without: list[ExamView]


def join(recordings: Iterable[Recording], exams: Iterable[Exam]) -> Joined:
    """Join recordings to exams by (exam_id, view), else by the name of the image looked at.

    An exam_id without a view is enough if the exam has one image. Where some recording names that image, those that
    name another one do not count: they are of what else was shown. An image name is compared whole first
    (``a_cc.png``), then without its suffix, because gaze is often recorded on an export of the training image
    (``a_cc.dcm``), then with the folders that hold only this image (``P_00001_LEFT_CC/…/1-1.dcm``); case is
    ignored. A suffix has a letter: ``1.2.840.7``, a UID, has none. A recording that names nothing is matched by its
    file name: ``a_cc.csv`` or ``a_cc.dcm.csv``.

    Args:
        recordings: any recordings.
        exams: the exams; only views that have an image count.

    Raises:
        DataError: nothing matches, or an image name fits several images.
    """
    exams, recordings = list(exams), list(recordings)
    by_id = {exam.exam_id: exam for exam in exams}
    tables = _by_name(exams)
    seen = {
        each.exam_id for each in recordings if each.exam_id in by_id and fitting(each, by_id[each.exam_id])
    }
    matched: dict[ExamView, list[Recording]] = {}
    unmatched = []
    for recording in recordings:
        exam = by_id.get(recording.exam_id or "")
        key = (exam and _by_exam(recording, exam, seen)) or _by_image(recording, *tables)
        if key is None:
            unmatched.append(recording)
        else:
            matched.setdefault(key, []).append(recording)
    if not matched:
        raise DataError(_nothing_matches(recordings, exams))
    keys = [(exam.exam_id, view) for exam in exams for view in exam.images]
    return Joined(matched, unmatched, [key for key in keys if key not in matched])


def fitting(recording: Recording, exam: Exam) -> list[str]:
    """Return the views of an exam whose image a recording names."""
    return [view for view, image in exam.images.items() if is_name_of(recording.image, image)]


def _by_exam(recording: Recording, exam: Exam, seen: Collection[str]) -> ExamView | None:
    """Find the view of a recording's exam; ``seen`` are exams of which a recording names an image."""
    there = list(exam.images)
    if recording.view is None and recording.image is not None:
        there = fitting(recording, exam) or ([] if exam.exam_id in seen else there)
    view = there[0] if recording.view is None and len(there) == 1 else recording.view
    return (exam.exam_id, view) if view is not None and view in there else None


def _by_name(exams: Sequence[Exam]) -> tuple[Names, Names, Names]:
    """Map image file name, name without suffix, and names of folders above, to the images so named."""
    names, stems, folders = (defaultdict[str, set[ExamView]](set) for _ in range(3))
    for exam in exams:
        for view, image in exam.images.items():
            key = (exam.exam_id, view)
            names[image.name.casefold()].add(key)
            stems[without_suffix(image.name.casefold())].add(key)
            for folder in image.parts[:-1]:
                folders[folder.casefold()].add(key)
    return names, stems, {name: keys for name, keys in folders.items() if len(keys) == 1}


def _by_image(recording: Recording, names: Names, stems: Names, folders: Names) -> ExamView | None:
    names_nothing = not (recording.exam_id or recording.view or recording.image)
    image = recording.source.name if names_nothing else recording.image or ""
    name = last_part(image)
    stem = without_suffix(name)
    places = ((names, name), (stems, name), (stems, stem), (names, stem), (folders, name), (folders, stem))
    found = next((table[called] for table, called in places if called in table), set[ExamView]())
    if len(found) > 1:
        first, second = sorted(found)[:2]
        raise DataError(
            f"{recording}: the image name fits {len(found)} images, such as exam {first[0]} view {first[1]} "
            f"and exam {second[0]} view {second[1]}; expected one; give the images distinct names"
        )
    return next(iter(found), None)


def _nothing_matches(recordings: Sequence[Recording], exams: Sequence[Exam]) -> str:
    if not recordings:
        return (
            f"there is no gaze recording to join to the {len(exams)} exams; check the path of the gaze files"
        )
    if not exams:
        return f"there is no exam to join the {len(recordings)} gaze recordings to; check the data set"
    exam = exams[0]
    images = ", ".join(f"{view} = {image.name}" for view, image in exam.images.items()) or "no images"
    return (
        f"none of the {len(recordings)} gaze recordings matches any of the {len(exams)} exams: the first "
        f"recording is {recordings[0]}, the first exam is {exam.exam_id} ({images}); expected the same "
        "exam_id and view, or the same image file name, on both sides; --names takes a table name,exam_id,view"
    )
