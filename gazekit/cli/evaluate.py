"""``gazekit evaluate``: measure a trained model, with intervals."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gazekit.cli import console
from gazekit.cli.options import Device, FormerPart, Json, Part, Run, WhichWeights, part_of, refuse_options
from gazekit.machine import choose_device


def evaluate(
    context: typer.Context,
    run: Run,
    data: Annotated[
        Path | None, typer.Option(help="Prepared data set.", show_default="the one that was trained on")
    ] = None,
    part: Part = "test",
    weights: WhichWeights = "selected",
    per: Annotated[
        Literal["side", "patient"] | None,
        typer.Option(help="Also measure sides of patients, or patients, whose exams are pooled."),
    ] = None,
    pool: Annotated[
        Literal["max", "mean"],
        typer.Option(help="With --per: the highest probability of the positive class, or the mean."),
    ] = "max",
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:EDGE,…]",
            help="Also measure each group of exams separately: side, dataset, a further target, or a covariate, such "
            "as age:50,65. May be repeated.",
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=100, max=10**6, help="Bootstrap resamples over patients.")
    ] = 2000,
    device: Device = "auto",
    as_json: Json = False,
    split: FormerPart = None,
) -> None:
    """Print AUC, ACC and more with 95 % intervals over patients; gaze agreement and localisation if there is truth.

    Attention maps explain the positive class (of several: the predicted one). Writes evaluation.json and
    predictions.csv into the run directory; other parts, other data and the last weights have separate files
    (evaluation_val.json, evaluation_all_1a2b3c4d.json, evaluation_last.json), which are named at the end.
    """
    from gazekit.runs.evaluation import evaluate_run
    from gazekit.runs.files import EVALUATION_SCHEMA
    from gazekit.runs.trained import open_data, open_trained

    if per is None:
        refuse_options(context, ("pool",), "an evaluation without --per")
    part = part_of(part, split)
    trained = open_trained(run, console.registry(), choose_device(device), which=weights, report=console.warn)
    dataset = open_data(trained, data)
    with console.progress("predicting") as report:
        result = evaluate_run(
            trained, dataset, part, resamples=resamples, per=per, pool=pool, by=by or (), report=report
        )
    if as_json:
        console.print_json(EVALUATION_SCHEMA, result)
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    from gazekit.measures.classification.threshold import with_advice
    from gazekit.measures.evaluate import INTERVALS
    from gazekit.measures.former_names import by_current_name
    from gazekit.measures.numbers import NONE, three
    from gazekit.prediction.calibration import in_effect
    from gazekit.records.labels import count_classes, describe

    rows = [
        (
            group.replace("_", " "),
            name.replace("_", " "),
            three(m["value"]),
            NONE if m["low"] is None else f"{three(m['low'])} – {three(m['high'])}",
        )
        for group, measures in result["metrics"].items()
        if group not in result["subgroups"]
        for name, m in by_current_name(measures).items()
    ]
    classes = count_classes(result["classes"])
    who = f"{result['exams']} exams of {result['patients']} patients ({classes})"
    part = "all parts" if result["split"] == "all" else f"{result['split']} part"
    title = f"{result['preset']}, {part}: {who}"
    console.note(f"weights of epoch {result['epoch']}: {result['chosen']}")
    console.note(describe(tuple(result["classes"])))
    if said := in_effect(result["calibration"], result["called_above"], result["positive"]):
        console.note(f"by gazekit calibrate: {said}")
    console.print_table(("", "measure", "value", "95 % interval"), rows, title=title)
    for name in dict.fromkeys(group["by"] for group in result["subgroups"].values()):
        _print_subgroups(result, name)
    for sentence in result["limits"]:
        console.note(sentence)
    for sentence in result["flattery"]:
        console.warn(sentence)
    if result["threshold"]:
        console.warn(with_advice(result["threshold"], result["run"], result["called_above"]))
    console.note(f"written to {result['run']}: {', '.join(result['files'])}")
    explained = "positive" if len(result["classes"]) == 2 else "predicted"
    console.note(f"intervals: {INTERVALS}; attention explains the {explained} class; not a medical device")


def _print_subgroups(result: dict[str, Any], by: str) -> None:
    """Print a table of the groups by one name; of two classes with the exams of the positive one."""
    from gazekit.measures.catalogue import MEASURES, SUBGROUP
    from gazekit.measures.numbers import NONE, measured

    positive, shown = result["positive"], ("auc", "accuracy")
    columns = ["group", "exams", "patients", *([positive] if positive else [])]
    rows = []
    for group, counts in result["subgroups"].items():
        if counts["by"] == by:
            found = result["metrics"].get(group, {})
            of_class = [counts["classes"][positive]] if positive else []
            values = [measured(found[name]) if name in found else NONE for name in shown]
            rows.append(
                [group.removeprefix(SUBGROUP), counts["exams"], counts["patients"], *of_class, *values]
            )
    titles = [f"{MEASURES[name].title} [95 %]" for name in shown]
    console.print_table([*columns, *titles], rows, title=f"by {by}")
