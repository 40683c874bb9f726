"""``gazekit predict``: probabilities for new exams, from raw images and without gaze."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gazekit.cli import console
from gazekit.cli.device import Device, choose_device

if TYPE_CHECKING:
    from gazekit.evaluation.raw import RawPrediction


_OVERLAY_SIDE = 512  # px


def predict(
    run: Annotated[Path, typer.Argument(help="Run directory of gazekit train.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="DICOM, PNG, TIFF or NPY files, or folders of them; names say the view: 0012_cc.dcm."
        ),
    ],
    overlays: Annotated[
        Path | None,
        typer.Option(
            help="Folder for PNG overlays of the attention for the positive class (of several: the predicted)."
        ),
    ] = None,
    device: Device = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with a schema version instead of a table.")
    ] = False,
) -> None:
    """Print the probability of every class per exam; images are prepared as the training data were, no gaze needed."""
    from gazekit.data.grouping import group_images
    from gazekit.data.preparation_settings import PreparationSettings
    from gazekit.errors import ConfigurationError, DataError
    from gazekit.evaluation.raw import RawPrediction, predict_raw
    from gazekit.training.trained import open_trained

    trained = open_trained(run, console.registry(), choose_device(device))
    exams = group_images([path.absolute() for path in images], trained.preset.views)
    if overlays is not None and trained.attention_map is None:
        raise ConfigurationError(
            f"preset '{trained.facts.preset}' has no attention map to draw; leave out --overlays"
        )
    found: list[RawPrediction] = []
    rejected: list[str] = []
    with console.progress("predicting") as report:
        preparation = PreparationSettings.from_json(trained.facts.preparation)
        attention_map = trained.attention_map if overlays else None
        predictions = predict_raw(
            trained.model, trained.preset, preparation, exams, trained.device, attention_map=attention_map
        )
        for done, prediction in enumerate(predictions, start=1):
            if isinstance(prediction, RawPrediction):
                found.append(prediction)
                _draw(prediction, overlays)
            else:
                rejected.append(f"exam {prediction.exam_id}: {prediction.reason}")
            report(done, len(exams))
    _print(found, trained.facts.classes, as_json)
    if rejected:
        for line in rejected:
            console.warn(line)
        raise DataError(f"{len(rejected)} of {len(exams)} exams could not be read; see above")


def _print(found: list["RawPrediction"], classes: tuple[str, ...], as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "exam": prediction.exam_id,
            "probabilities": {
                name: round(float(p), 6) for name, p in zip(classes, prediction.probabilities, strict=True)
            },
            "predicted": classes[int(prediction.probabilities.argmax())],
        }
        for prediction in found
    ]
    if as_json:
        console.print_json("gazekit.predictions/1", {"exams": rows})
    elif rows:
        console.print_table(
            ("exam", *(f"p({name})" for name in classes), "predicted"),
            [
                (row["exam"], *(f"{p:.3f}" for p in row["probabilities"].values()), row["predicted"])
                for row in rows
            ],
        )
        console.note("not a medical device")


def _draw(prediction: "RawPrediction", folder: Path | None) -> None:
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
                folder / f"{prediction.exam_id}_{view}.png"
            )
