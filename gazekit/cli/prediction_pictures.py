"""The attention of a prediction as files: PNG overlays, DICOM objects."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gazekit.data.grouping import LooseExam
    from gazekit.evaluation.raw import ExamPrediction
    from gazekit.training.trained import Trained

_OVERLAY_SIDE = 512  # px


def draw_overlays(prediction: "ExamPrediction", folder: Path | None) -> None:
    """Write the attention over each view as a PNG; nothing if no folder was given."""
    if folder is None:
        return
    from PIL import Image

    from gazekit.atomic import disk_errors
    from gazekit.report.overlay import overlay

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for view, attention in prediction.attention.items():
            picture = Image.fromarray(overlay(prediction.images[view], attention))
            zoom = -(-_OVERLAY_SIDE // max(picture.size))  # a small model's image is too small to look at
            picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.BICUBIC).save(
                folder / f"{prediction.key}_{view}.png"
            )


def write_dicom(
    prediction: "ExamPrediction",
    exam: "LooseExam | None",
    folder: Path | None,
    trained: "list[Trained]",
    copy_patient: bool,
) -> None:
    """Write the attention of each view as DICOM objects; nothing if no folder was given."""
    if folder is None or exam is None:
        return
    from gazekit.dicom_out import AttentionSource, write_attention

    facts = trained[0].facts
    explained = facts.classes[-1 if len(facts.classes) == 2 else int(prediction.probabilities.argmax())]
    for view, attention in prediction.attention.items():
        source = AttentionSource(
            image=exam.images[view],
            window=facts.preparation["window"],
            geometry=prediction.geometry[view],
            explained=explained,
            model=" + ".join(dict.fromkeys(each.facts.preset for each in trained)),
        )
        write_attention(folder, f"{prediction.key}_{view}", source, attention, copy_patient=copy_patient)
