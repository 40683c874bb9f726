"""Loose image files grouped into exams, for prediction: by file name, or by what a DICOM file says."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from gazekit.data.exam import Exam
from gazekit.data.image import image_view
from gazekit.errors import DataError

SUFFIXES = (".dcm", ".dicom", ".png", ".tif", ".tiff", ".npy", ".jpg", ".jpeg")


def group_images(paths: Iterable[Path], views: Sequence[str]) -> list[Exam]:
    """Exams from image files (folders are searched), each with every view once.

    A file belongs to the view that its name holds as a word (``0012_cc.dcm``, ``P1-L-MLO.png``); the folder and the
    rest of the name are the exam. Where a name says nothing, the view position of the DICOM file decides, and the files
    given must be the views of one exam.

    Args:
        paths: image files or folders of them.
        views: the views that each exam needs.

    Raises:
        DataError: no image, a view missing or there twice, a file whose view cannot be told.
    """
    files = sorted(_files(paths))
    if not files:
        raise DataError(f"no image among the paths given; expected files ending in {', '.join(SUFFIXES)}")
    named = {file: _by_name(file, views) for file in files}
    found: dict[tuple[Path, str], dict[str, Path]] = {}
    for file in files:
        exam, view = named[file] or (_only_exam(files, views), _by_content(file, views))
        images = found.setdefault((file.parent, exam), {})
        if view in images:
            raise DataError(
                f"exam {exam}: view '{view}' comes twice: {images[view]} and {file}; give the folder of the images "
                "only, or the files themselves"
            )
        images[view] = file
    for (folder, exam), images in found.items():
        missing = [view for view in views if view not in images]
        if missing:
            there = ", ".join(file.name for file in images.values())
            raise DataError(
                f"exam {exam}: no view '{missing[0]}' beside {there} in {folder}; expected {', '.join(views)}"
            )
    names = [exam for _, exam in found]
    return [
        Exam(
            exam_id=exam if names.count(exam) == 1 else f"{folder.name}_{exam}",
            patient_id="",
            label="",
            images=images,
        )
        for (folder, exam), images in found.items()
    ]


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        elif path.is_file():
            yield path
        else:
            raise DataError(f"{path}: no such file or folder; expected an image")


def _by_name(file: Path, views: Sequence[str]) -> tuple[str, str] | None:
    words = re.split(r"[^A-Za-z0-9]+", file.stem.lower())
    held = [view for view in views if view.lower() in words]
    if len(held) != 1:
        return None
    rest = re.sub(rf"(?i)(?<![a-z0-9]){re.escape(held[0])}(?![a-z0-9])", "", file.stem)
    return re.sub(r"[-_ .]{2,}", "_", rest).strip("-_ .") or file.parent.name, held[0]


def _only_exam(files: Sequence[Path], views: Sequence[str]) -> str:
    if len(files) != len(views):
        raise DataError(
            f"{files[0]}: its name holds none of the views {', '.join(views)}; with {len(files)} files that cannot be "
            f"told apart, put the view into each name, as in 0012_{views[0]}{files[0].suffix}"
        )
    return files[0].parent.name or "exam"


def _by_content(file: Path, views: Sequence[str]) -> str:
    if len(views) == 1:
        return views[0]
    position = (image_view(file) or "").lower()
    if position not in views:
        raise DataError(
            f"{file}: neither its name nor its view position ({position or 'none'}) is one of {', '.join(views)}"
        )
    return position
