"""Write the files of a prediction: PNG overlays of the attention, DICOM objects."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gazekit.cli import console

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gazekit.prediction.file_grouping import LooseExam
    from gazekit.prediction.predict import ExamPrediction
    from gazekit.reporting.drawing.originals.shown import ShownView
    from gazekit.runs.trained import Trained

Style = Literal["labelled", "bare", "map"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The files to write in addition to the probabilities.

    Args:
        overlays: folder of the PNG overlays; None for none.
        style: ``labelled`` with a caption, ``bare`` without, ``map`` the attention alone, grey, on black.
        longest: maximum of an overlay's longer side, px.
        dicom_out: folder of the DICOM objects; None for none.
        copy_patient: copy the patient and study fields of the headers.
        burn_in: add a caption to the captures.
    """

    overlays: Path | None = None
    style: Style = "labelled"
    longest: int = 2048
    dicom_out: Path | None = None
    copy_patient: bool = False
    burn_in: bool = False


def check_folders(wanted: Wanted) -> None:
    """Raise StorageError, before the work, if the files cannot be written."""
    from gazekit.disk.atomic import check_place

    for folder in (wanted.overlays, wanted.dicom_out):
        if folder is not None:
            check_place(folder / "files", makes_folder=True)


def explained_class(prediction: "ExamPrediction", classes: tuple[str, ...]) -> str:
    """Return the class that the attention explains: of two the positive one, of several the predicted one."""
    return classes[-1 if len(classes) == 2 else int(prediction.probabilities.argmax())]


def write_files(
    prediction: "ExamPrediction", exam: "LooseExam | None", wanted: Wanted, trained: "list[Trained]"
) -> tuple[bool, list[str]]:
    """Write the requested files of one exam, and warn of each that fails.

    Args:
        prediction: with attention, if the models have a map.
        exam: the images; None for an exam of a prepared data set.
        wanted: the files to write.
        trained: the models.

    Returns:
        whether all were written, and what the written ones lack, a sentence each.

    Raises:
        ConfigurationError: DICOM objects are wanted and highdicom is not installed.
        StorageError: the disk is full or read-only.
    """
    problems = _draw_overlays(prediction, exam, wanted, trained)
    unwritten, remarks = _write_dicom(prediction, exam, wanted, trained)
    problems += unwritten
    for line in problems:
        console.warn(f"{prediction.key}: {line}")
    return not problems, remarks


def _draw_overlays(
    prediction: "ExamPrediction", exam: "LooseExam | None", wanted: Wanted, trained: "list[Trained]"
) -> list[str]:
    """Write the attention over each view as a PNG, oriented like the original.

    It is drawn on the original or, for a prepared data set, on the prepared image. Without a folder nothing is written.

    Returns:
        a line for each view whose original is no longer readable, without file names.
    """
    if wanted.overlays is None:
        return []
    from PIL import Image

    from gazekit.disk.atomic import disk_errors, write_atomically
    from gazekit.disk.file_names import file_name
    from gazekit.errors import DataError
    from gazekit.reporting.drawing.rendering import as_png

    problems = []
    with disk_errors(wanted.overlays):
        wanted.overlays.mkdir(parents=True, exist_ok=True)
    for view in prediction.attention:
        try:
            shown = _shown(prediction, exam, view, trained[0], wanted.longest)
        except DataError as error:
            path = exam.images[view] if exam else ""
            problems.append(f"no overlay of view {view}: {str(error).removeprefix(f'{path}: ')}")
            continue
        picture = Image.fromarray(_picture(prediction, view, shown, wanted.style, trained[0]))
        write_atomically(wanted.overlays / f"{file_name(prediction.key, view)}.png", as_png(picture))
    return problems


def _shown(
    prediction: "ExamPrediction", exam: "LooseExam | None", view: str, trained: "Trained", longest: int
) -> "ShownView":
    from gazekit.reading.image import read_image
    from gazekit.reading.window import parse_window
    from gazekit.reporting.drawing.originals.shown import show_original, show_prepared

    geometry = prediction.geometry[view]
    if exam is None:
        return show_prepared(prediction.images[view], geometry)
    raw = read_image(
        exam.images[view],
        parse_window(trained.facts.preparation["window"]),
        colour=trained.facts.preparation.get("colour", False),
    )
    return show_original(raw, geometry, side=exam.laterality.get(view, ""), longest=longest)


def _picture(
    prediction: "ExamPrediction", view: str, shown: "ShownView", style: Style, trained: "Trained"
) -> "NDArray[np.uint8]":
    """Return ``[H, W]`` for style ``map``, else RGB ``[H, W, 3]``."""
    import numpy as np

    from gazekit.reporting.drawing.captioned import Caption, captioned
    from gazekit.reporting.drawing.originals.shown import view_words
    from gazekit.reporting.drawing.overlay import overlay, rectified

    attention = shown.placement.map(prediction.attention[view])
    if style == "map":
        return np.asarray(np.round(255 * rectified(attention, shown.shape)), dtype=np.uint8)
    picture = overlay(shown.image, attention)
    if style == "bare":
        return picture
    explained = explained_class(prediction, trained.facts.classes)
    probability = prediction.probabilities[trained.facts.classes.index(explained)]
    size = " × ".join(map(str, prediction.images[view].shape))
    caption = Caption(
        view=view_words(shown.side, view),
        exam=prediction.key,
        prediction=f"P({explained}) = {probability:.2f}",
        explained=explained,
        note="" if shown.original else f"the prepared image, {size} px, turned back and enlarged",
        mm_per_pixel=shown.mm_per_pixel,
        positive=bool((attention > 0).any()),
    )
    return captioned(picture, caption)


def _write_dicom(
    prediction: "ExamPrediction", exam: "LooseExam | None", wanted: Wanted, trained: "list[Trained]"
) -> tuple[list[str], list[str]]:
    """Write the prediction as DICOM objects; without a folder write nothing.

    Returns:
        a line for each object that failed, and for each that lacks fields; none identifies the patient.
    """
    if wanted.dicom_out is None or exam is None:
        return [], []
    from gazekit.exporting.dicom import AttentionSource, Findings, write_exam
    from gazekit.reading.content import is_dicom

    strangers = [view for view, path in exam.images.items() if not is_dicom(path)]
    if strangers:
        return [
            f"no DICOM objects: they refer to DICOM images, and the image of view {strangers[0]} is not one"
        ], []
    facts = trained[0].facts
    views = {
        view: AttentionSource(
            image=exam.images[view],
            window=facts.preparation["window"],
            geometry=prediction.geometry[view],
            side=exam.laterality.get(view, ""),
            attention=prediction.attention.get(view),
        )
        for view in prediction.geometry
    }
    found = Findings(
        probabilities={
            name: float(p) for name, p in zip(facts.classes, prediction.probabilities, strict=True)
        },
        called=facts.classes[prediction.called],
        explained=explained_class(prediction, facts.classes),
        model=" + ".join(dict.fromkeys(each.facts.preset for each in trained)),
        threshold=prediction.threshold,
    )
    written = write_exam(
        wanted.dicom_out,
        prediction.key,
        views,
        found,
        copy_patient=wanted.copy_patient,
        burn_in=wanted.burn_in,
    )
    return written.problems, written.remarks
