"""Loose image files grouped into exams, for prediction: by what a DICOM header says, else by file name."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gazekit.data.content import SUFFIXES, has_image_suffix, is_dicom, is_dicom_index
from gazekit.data.dicom import ImageHeader
from gazekit.data.dicom_file import printable
from gazekit.data.image import image_header
from gazekit.errors import DataError


@dataclass(slots=True)
class LooseExam:
    """Images that belong together, under a key that says nothing of the patient.

    Args:
        key: ``exam-0001`` and so on, in the order of the file names.
        images: view → file.
        patient: the patient's id in the DICOM header, else empty; shown only on request.
        fault: why it cannot be predicted, without a file's name; empty if it can.
    """

    key: str
    images: dict[str, Path]
    patient: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Exams, and how many images were left out for which reason."""

    exams: list[LooseExam]
    left_out: Counter[str]


@dataclass(frozen=True, slots=True)
class _Image:
    """A file with what its header and its name say; ``named`` is the exam and the view by its name."""

    path: Path
    view: str
    header: ImageHeader | None
    named: tuple[str, str] | None


@dataclass(slots=True)
class _Sorting:
    views: Sequence[str]
    modalities: Sequence[str]
    left_out: Counter[str] = field(default_factory=Counter)


def group_images(paths: Iterable[Path], views: Sequence[str], modalities: Sequence[str] = ()) -> Grouping:
    """Exams from image files in any order (folders are searched).

    A DICOM image belongs to the view, side, patient and day of study in its header; where one of these views comes
    twice that day, the study decides too. Where a header names no view or patient, and for other formats, the file
    name does: a view is one of its words (``0012_cc.dcm``, ``P1-L-MLO.png``), the folder and the rest are the exam.

    Args:
        paths: image files or folders of them.
        views: the views that each exam needs; ``cc`` and ``mlo`` of a breast, or ``l_cc`` … ``r_mlo`` of a visit.
        modalities: of the DICOM images that may be used; empty = any.

    Returns:
        All exams; one that lacks a view, or has one twice, carries that as its fault.

    Raises:
        DataError: a path that is not there, no image at all, or none that can be used.
    """
    sorting = _Sorting(views, modalities)
    files = sorted(set(_files(paths)))
    if not files:
        raise DataError(
            f"no image among the paths given; expected DICOM files, or files ending in {', '.join(SUFFIXES)}"
        )
    images = [image for file in files if (image := _image(file, sorting))]
    exams = [_exam(group, views) for group in _groups(images, views)]
    if not exams:
        reasons = "; ".join(f"{count} × {reason}" for reason, count in sorting.left_out.items())
        raise DataError(f"none of the {len(files)} images can be used: {reasons}")
    exams.sort(key=lambda exam: min(exam.images.values()))
    for number, exam in enumerate(exams, start=1):
        exam.key = f"exam-{number:04d}"
    return Grouping(exams, sorting.left_out)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for position, path in enumerate(paths, start=1):
        if path.is_dir():
            yield from (file for file in path.rglob("*") if file.is_file() and _is_image(file))
        elif path.is_file():
            yield path
        else:
            raise DataError(f"path {position} of those given: no such file or folder; expected an image")


def _is_image(file: Path) -> bool:
    """By its suffix; archives store DICOM files without one."""
    if has_image_suffix(file.name):
        return True
    try:
        return not is_dicom_index(file) and is_dicom(file)
    except DataError:
        return False


def _image(file: Path, sorting: _Sorting) -> _Image | None:
    """Which view a file is of; None if it was left out."""
    views, reason = sorting.views, ""
    named = _by_name(file, views)
    try:
        header = image_header(file)
    except DataError as error:  # whoever decodes it will say the same again
        header, reason = None, str(error).replace(f"{file}: ", "")
    view = named[1] if named else ""
    if header and header.view:
        sided = f"{header.side}_{header.view}".lower()
        view = next((known for known in views if known.lower() in (header.view.lower(), sided)), "")
        reason = f"view {printable(header.view)}, and the model reads {', '.join(views)}"
    if header and header.modality and sorting.modalities and header.modality not in sorting.modalities:
        view = ""
        reason = f"modality {printable(header.modality)}, and the model was trained on {', '.join(sorting.modalities)}"
    if not view and len(views) == 1 and not reason:
        view = views[0]
    if view:
        return _Image(file, view, header, named)
    sorting.left_out[reason or f"neither header nor name says one of the views {', '.join(views)}"] += 1
    return None


def _by_name(file: Path, views: Sequence[str]) -> tuple[str, str] | None:
    """The rest of the name and the view in it, which may be of several words (``p1_l_cc``)."""
    words = "_".join(re.split(r"[^A-Za-z0-9]+", file.stem.lower()))
    held = [view for view in views if f"_{view.lower()}_" in f"_{words}_"]
    if len(held) != 1:
        return None
    pattern = held[0].replace("_", "[^A-Za-z0-9]+")
    rest = re.sub(rf"(?i)(?<![a-z0-9]){pattern}(?![a-z0-9])", "", file.stem)
    return re.sub(r"[-_ .]{2,}", "_", rest).strip("-_ .") or file.parent.name, held[0]


def _groups(images: Sequence[_Image], views: Sequence[str]) -> Iterator[list[_Image]]:
    """Images by patient, side and day; where that leaves a view twice, by study too, and then by name."""
    for group in _split(images, lambda image: _owner(image, views)):
        if not _repeats(group):
            yield group
            continue
        for study in _split(group, lambda image: image.header and image.header.study):
            if _repeats(study) and all(image.named and image.named[1] == image.view for image in study):
                yield from _split(study, _name)
            else:
                yield study


def _split(images: Sequence[_Image], key: Callable[[_Image], Hashable]) -> list[list[_Image]]:
    found: dict[Hashable, list[_Image]] = {}
    for image in images:
        found.setdefault(key(image), []).append(image)
    return list(found.values())


def _owner(image: _Image, views: Sequence[str]) -> Hashable:
    header = image.header
    if header and header.view and header.patient:
        by_side = header.view.lower() in (view.lower() for view in views)  # else the views name the sides
        return header.patient, header.side if by_side else "", header.date
    if len(views) == 1:
        return image.path
    return _name(image)


def _name(image: _Image) -> Hashable:
    return image.path.parent, image.named[0] if image.named else ""


def _repeats(group: Sequence[_Image]) -> bool:
    return len({image.view for image in group}) < len(group)


def _exam(group: Sequence[_Image], views: Sequence[str]) -> LooseExam:
    counts = Counter(image.view for image in group)
    missing = [view for view in views if view not in counts]
    twice = [view for view in views if counts[view] > 1]
    fault = ""
    if twice:
        fault = f"view '{twice[0]}' comes {counts[twice[0]]} times, and which one is meant cannot be told"
    elif missing:
        there = ", ".join(view for view in views if view in counts)
        fault = (
            f"no view '{missing[0]}', only {there}; the model reads {', '.join(views)} of one exam together"
        )
    patient = next((image.header.patient for image in group if image.header), "")
    return LooseExam("", {image.view: image.path for image in group}, patient, fault)
