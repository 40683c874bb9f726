"""``gazekit evaluate``: how good a trained model is, with intervals."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gazekit.cli import console
from gazekit.cli.device import Device

if TYPE_CHECKING:
    from gazekit.cli.trained import Trained
    from gazekit.data.prepared import PreparedDataset
    from gazekit.evaluation.evaluate import Metrics
    from gazekit.evaluation.prediction import Predictions


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run directory of gazekit train.")],
    data: Annotated[
        Path | None, typer.Option(help="Prepared data set.", show_default="the one that was trained on")
    ] = None,
    split: Annotated[
        Literal["test", "val", "train", "all"],
        typer.Option(help="Part of the run's split; all = every exam, e.g. of another data set."),
    ] = "test",
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples over patients.")] = 2000,
    device: Device = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with a schema version instead of a table.")
    ] = False,
) -> None:
    """Print AUC, ACC and more with 95 % intervals over patients; gaze agreement and localisation where there is truth.

    Attention maps explain the positive class (of several: the predicted one). Writes evaluation.json and
    predictions.csv into the run directory.
    """
    from gazekit.cli.trained import open_data, open_trained
    from gazekit.evaluation.evaluate import evaluate as evaluate_predictions

    trained = open_trained(run, console.registry(), device)
    dataset = open_data(trained, data)
    predictions = trained.predict(dataset, split)
    metrics = evaluate_predictions(dataset, predictions, resamples=resamples)
    result = evaluation_record(trained, dataset, predictions, metrics, split)
    trained.run.write_json("evaluation.json", {"schema": "gazekit.evaluation/1", **result})
    trained.run.write_text("predictions.csv", _predictions_csv(dataset, predictions))
    if as_json:
        console.print_json("gazekit.evaluation/1", result)
    else:
        _print(result)


def evaluation_record(
    trained: "Trained", dataset: "PreparedDataset", predictions: "Predictions", metrics: "Metrics", split: str
) -> dict[str, Any]:
    """The evaluation as plain values; a bound that could not be had is null."""
    labels = dataset.labels[predictions.indices]
    return {
        "preset": trained.facts.preset,
        "run": str(trained.run.path),
        "split": split,
        "exams": len(predictions.indices),
        "patients": len({dataset.patient_ids[i] for i in predictions.indices}),
        "classes": {name: int((labels == k).sum()) for k, name in enumerate(dataset.classes)},
        "interval": "95 %, bootstrap over patients",
        "leak": trained.facts.leak,
        "metrics": {
            group: {
                name: {"value": _number(i.value), "low": _number(i.low), "high": _number(i.high)}
                for name, i in measures.items()
            }
            for group, measures in metrics.items()
        },
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _predictions_csv(dataset: "PreparedDataset", predictions: "Predictions") -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["exam_id", "patient_id", "label", *(f"p_{name}" for name in dataset.classes)])
    for exam, row in zip(predictions.indices, predictions.probabilities, strict=True):
        label = dataset.classes[dataset.labels[exam]]
        writer.writerow(
            [dataset.exam_ids[exam], dataset.patient_ids[exam], label, *(f"{p:.6f}" for p in row)]
        )
    return text.getvalue()


def _print(result: dict[str, Any]) -> None:
    rows = [
        (
            group.replace("_", " "),
            "correlation" if name == "cc" else name.replace("_", " "),
            _three(m["value"]),
            f"{_three(m['low'])} – {_three(m['high'])}",
        )
        for group, measures in result["metrics"].items()
        for name, m in measures.items()
    ]
    classes = ", ".join(f"{count} {name}" for name, count in result["classes"].items())
    who = f"{result['exams']} exams of {result['patients']} patients ({classes})"
    title = f"{result['preset']}, {result['split']} part: {who}"
    console.print_table(("", "measure", "value", "95 % interval"), rows, title=title)
    if result["leak"]:
        console.warn(f"the split leaks, these numbers flatter the model: {result['leak']}")
    explained = "positive" if len(result["classes"]) == 2 else "predicted"
    console.note(
        f"intervals: bootstrap over patients; attention explains the {explained} class; not a medical device"
    )


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
