"""``gazekit report``: one page that shows a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gazekit.cli import console
from gazekit.cli.device import Device, choose_device

if TYPE_CHECKING:
    from gazekit.data.prepared import PreparedDataset
    from gazekit.evaluation.evaluate import Metrics
    from gazekit.evaluation.prediction import Predictions
    from gazekit.report.page import Section
    from gazekit.training.trained import Trained

WITH, WITHOUT = "attention", "attention without gaze supervision"


def report(
    run: Annotated[Path, typer.Argument(help="Run directory of gazekit train.")],
    without: Annotated[
        Path | None,
        typer.Option(
            help="A run without gaze supervision on the same data, for the picture beside this one."
        ),
    ] = None,
    split: Annotated[Literal["test", "val", "train"], typer.Option(help="Part of the run's split.")] = "test",
    device: Device = "auto",
) -> None:
    """Write report.html into the run directory: metrics, attention beside gaze, ROC, training curves, provenance.

    The exams of the picture are the first two of each class, not a choice. Also writes attention.png.
    """
    from gazekit.evaluation.evaluate import evaluate
    from gazekit.report.page import write_page
    from gazekit.training.trained import open_data, open_trained

    registry, chosen = console.registry(), choose_device(device)
    trained = open_trained(run, registry, chosen)
    dataset = open_data(trained, None)
    own = trained.predict(dataset, split)
    columns: dict[str, Predictions] = {}
    if without is not None:
        other = open_trained(without, registry, chosen)
        columns[WITHOUT] = other.predict(dataset, split)
        _check_same(trained, other, own, columns[WITHOUT])
    columns["attention with gaze supervision" if trained.preset.gaze else WITH] = own
    metrics = evaluate(dataset, own)
    labels = dataset.labels[own.indices]
    classes = ", ".join(f"{int((labels == k).sum())} {name}" for k, name in enumerate(dataset.classes))
    path = trained.run.path / "report.html"
    write_page(
        path,
        title=f"{trained.facts.preset}: {trained.run.path.name}",
        summary=f"{split} part: {len(labels)} exams ({classes})." + _leak(trained),
        metrics=metrics,
        sections=[
            *_attention(trained, dataset, columns),
            *_roc(dataset, own, metrics, split),
            _training(trained),
        ],
        facts=_facts(trained, dataset),
    )
    console.stdout().print(str(path), markup=False)


def _leak(trained: "Trained") -> str:
    if not trained.facts.leak:
        return ""
    return f" The split leaks, these numbers flatter the model: {trained.facts.leak}."


def _check_same(trained: "Trained", other: "Trained", own: "Predictions", theirs: "Predictions") -> None:
    """Raise ConfigurationError if two runs cannot be shown side by side."""
    from gazekit.errors import ConfigurationError

    if trained.preset.views != other.preset.views or own.indices.tolist() != theirs.indices.tolist():
        raise ConfigurationError(
            f"{other.run.path}: has other views or another split than {trained.run.path}; a picture of both needs the "
            "same (train with the same --split FILE)"
        )


def _attention(
    trained: "Trained", dataset: "PreparedDataset", columns: "dict[str, Predictions]"
) -> "list[Section]":
    from gazekit.atomic import disk_errors
    from gazekit.report.attention import attention_panels, choose_exams
    from gazekit.report.figures import attention_figure
    from gazekit.report.page import Section

    drawn = {title: predictions for title, predictions in columns.items() if predictions.attention}
    if not drawn:
        return []
    exams = choose_exams(dataset, list(drawn.values())[-1].indices)
    figure = attention_figure(attention_panels(dataset, exams, drawn, trained.preset.views), list(drawn))
    picture = trained.run.path / "attention.png"
    with disk_errors(picture):
        figure.savefig(picture)
    return [
        Section(
            "Where the model looked",
            figure,
            "For each exam a row per view: the image, the gaze heat map over it, and attention maps over it.",
            "The first two exams of each class in this part that have gaze. Attention explains the "
            f"{'positive' if len(dataset.classes) == 2 else 'predicted'} class.",
        )
    ]


def _roc(
    dataset: "PreparedDataset", predictions: "Predictions", metrics: "Metrics", split: str
) -> "list[Section]":
    from gazekit.report.charts import roc_figure
    from gazekit.report.page import Section

    if len(dataset.classes) != 2:
        return []
    labels = dataset.labels[predictions.indices]
    figure = roc_figure(labels, predictions.probabilities[:, 1], metrics["classification"]["auc"])
    return [Section("ROC curve", figure, f"ROC curve of the {split} part.")]


def _training(trained: "Trained") -> "Section":
    from gazekit.report.charts import training_figure
    from gazekit.report.page import Section

    figure = training_figure(trained.run.read_metrics())
    text = "Unweighted loss terms of the training part; the epoch is selected by the validation AUC alone."
    return Section("Training", figure, "Loss terms and validation AUC by epoch.", text)


def _facts(trained: "Trained", dataset: "PreparedDataset") -> dict[str, dict[str, Any]]:
    from collections import Counter

    from gazekit.data.splits import read_split

    facts, preset = trained.facts, trained.preset
    environment = trained.run.read_json("environment.json")
    plugins = trained.run.read_json("plugins.json")
    parts = Counter(read_split(trained.run.split).values())
    height, width = dataset.size
    return {
        "Run": {
            "preset": f"{facts.preset}: {preset.description}",
            "seed": facts.seed,
            "device": facts.device,
            "initial weights": ", ".join(dict.fromkeys(facts.weights_origin)),
            "epochs": preset.training.epochs,
        },
        "Data": {
            "exams": f"{parts['train']} to train on, {parts['val']} to validate, {parts['test']} to test",
            "views": ", ".join(preset.views),
            "image size": f"{height} × {width} px",
            "fingerprint": facts.fingerprint[:16],
        },
        "Software": {
            "python": environment["python"],
            **environment["packages"],
            "plugins": ", ".join(dict.fromkeys(f"{row['package']} {row['version']}" for row in plugins)),
        },
    }
