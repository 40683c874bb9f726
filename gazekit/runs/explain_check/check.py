"""Check the attention maps of a run, and write ``explain_check.json`` into its directory."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial

import numpy as np
import torch

from gazekit.disk.wording import in_command
from gazekit.errors import ConfigurationError
from gazekit.measures.classification.threshold import called_class
from gazekit.measures.gaze.looked_at import LookedAt
from gazekit.measures.statistics.intervals import mean_interval
from gazekit.modelling.model import explained_class
from gazekit.modelling.randomised import Layers, layers_of
from gazekit.prediction.changed_images import ExplainedExams, explain_changed
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.arrays import Floats
from gazekit.runs.calibration.calibration_file import checksum
from gazekit.runs.explain_check.checked_maps import (
    CheckedMaps,
    ExplainCheckSettings,
    exams_of_run,
    fresh_layers,
)
from gazekit.runs.explain_check.file import CheckJournal, CheckRow, ExplainCheck, Values
from gazekit.runs.explain_check.words import statements, summary
from gazekit.runs.stored import check_same_data, preset_conflicts
from gazekit.runs.trained import Trained

Tasks = dict[str, Callable[[], Values]]
_LABELS = "training.labels"


def check_explanations(
    trained: Trained,
    dataset: PreparedDataset,
    part: str,
    settings: ExplainCheckSettings,
    *,
    random_labels: Trained | None = None,
    report: Callable[[int, int], None] = lambda _done, _total: None,
    warn: Callable[[str], None] = lambda _text: None,
) -> ExplainCheck:
    """Check the attention maps of a run on a part of a data set, write the file of that part and return its content.

    Checks that were stopped go on where they were; a ``.jsonl`` file of the same name keeps them until all are done.

    Args:
        trained: the run.
        dataset: the training data, or other data with ``part = "all"``.
        part: ``train``, ``val``, ``test`` or ``all``.
        settings: of the checks.
        random_labels: a run of the same preset and split on random labels, to compare with; None for none.
        report: called with the checks done and their number.
        warn: called with each doubt, one line each.

    Raises:
        ConfigurationError: the run has no attention maps of single views, or the other run cannot be compared.
    """
    checked = _opened(trained, dataset, part, settings)
    other = None if random_labels is None else _of_random_labels(checked, random_labels, warn)
    layers = layers_of(trained.model, checked.attention_map)
    tasks = _tasks(checked, layers, other)
    path = trained.run.explain_check_of(part, trained.other_than_training(dataset))
    journal = CheckJournal(path.with_suffix(".jsonl"), _header(checked, random_labels), len(checked.indices))
    for number, (name, task) in enumerate(tasks.items()):
        report(number, len(tasks))
        if name not in journal.done:
            journal.write(name, task())
    report(len(tasks), len(tasks))
    rows = _rows(checked, journal, list(layers), other is not None)
    supervised = trained.preset.supervised
    assert trained.preset.attention_map is not None
    patients = [dataset.patient_ids[exam] for exam in checked.indices]
    result = ExplainCheck(
        preset=trained.facts.preset,
        run=str(trained.run.path),
        epoch=trained.weights.epoch,
        weights=checksum(trained.weights.tensors),
        attention_map=trained.preset.attention_map.use,
        supervised=supervised,
        split=part,  # type: ignore[arg-type]
        exams=len(patients),
        patients=len(set(patients)),
        interval="95 %, bootstrap over patients; it does not cover the choice of random weights",
        layers=list(layers),
        settings=asdict(settings),
        random_labels=None if random_labels is None else str(random_labels.run.path),
        rows=rows,
        summary=summary(rows, list(layers)),
        statements=[
            *statements(rows, list(layers), supervised=supervised),
            *_on_the_explained(trained, dataset),
        ],
        trained=trained.run.identity(),
    )
    trained.run.write_json(path.name, result.model_dump(by_alias=True))
    journal.remove()
    return result


def _on_the_explained(trained: Trained, dataset: PreparedDataset) -> Iterator[str]:
    if trained.explains_another:
        yield (
            f"Agreement with gaze counts the exams of {dataset.classes[1]} alone, whose maps these are: gaze aligned "
            "the maps of the true class (gaze.target = label)."
        )


def _opened(
    trained: Trained, dataset: PreparedDataset, part: str, settings: ExplainCheckSettings
) -> CheckedMaps:
    """Predict and explain the exams that are checked."""
    if trained.attention_map is None:
        raise ConfigurationError(
            f"{trained.run.path}: preset '{trained.preset.name}' has no attention map, so there is nothing to check; "
            "give it one with attention_map.use and train it, or check another run"
        )
    indices = trained.exams_of(dataset, part)
    if len(indices) > settings.exams:
        drawn = np.random.default_rng(settings.seed).choice(len(indices), settings.exams, replace=False)
        indices = indices[np.sort(drawn)]
    predictions = trained.predict_exams(dataset, indices, explain=False)
    target = explained_class(torch.as_tensor(predictions.logits)).numpy()
    exams = exams_of_run(trained, dataset, indices)
    own = explain_changed(
        trained.model, exams, trained.attention_map, target, batch_size=trained.preset.training.batch_size
    )
    _check_maps(trained, own)
    looked = LookedAt.of(dataset, indices.tolist(), own.attention)
    called = called_class(predictions.probabilities, predictions.threshold)
    return CheckedMaps(
        trained, trained.attention_map, dataset, indices, exams, target, called, own, looked, settings
    )


def _check_maps(trained: Trained, own: ExplainedExams) -> None:
    """Raise ConfigurationError unless there are maps of single views with several cells."""
    if not own.attention:
        raise ConfigurationError(
            f"{trained.run.path}: preset '{trained.preset.name}' combines the images before its branches, so its "
            "attention maps belong to no single view; check a run whose views have branches"
        )
    for view, maps in own.attention.items():
        if maps[0].size < 2:
            raise ConfigurationError(
                f"{trained.run.path}: the attention map of view '{view}' has a single cell, which has no order to "
                "check; train on larger images, or with a backbone of a smaller stride"
            )


def _of_random_labels(checked: CheckedMaps, other: Trained, warn: Callable[[str], None]) -> ExplainedExams:
    """Explain the same exams with the run on random labels. Raises ConfigurationError: it cannot be compared."""
    trained, path = checked.trained, other.run.path
    check_same_data(
        other.run, other.facts, checked.dataset, "give a run on the same data and split to --random-labels"
    )
    if other.preset.training.labels != "permuted":
        raise ConfigurationError(
            f"--random-labels {path}: was trained on the labels as they are; train the preset again with --set "
            f"{_LABELS}=permuted --split {in_command(trained.run.split_path)}"
        )
    if differing := [key for key in preset_conflicts(trained.preset, other.preset) if key != _LABELS]:
        warn(f"--random-labels {path}: differs from {trained.run.path} in {', '.join(differing)}, too")
    if trained.run.split_path.read_bytes() != other.run.split_path.read_bytes():
        warn(f"--random-labels {path}: has another split than {trained.run.path}")
    if other.attention_map is None or other.preset.views != trained.preset.views:
        raise ConfigurationError(
            f"--random-labels {path}: has no attention maps of the views {', '.join(trained.preset.views)}; give a "
            "run of the same preset"
        )
    found = explain_changed(
        other.model,
        exams_of_run(other, checked.dataset, checked.indices),
        other.attention_map,
        checked.target,
        batch_size=other.preset.training.batch_size,
    )
    for view, maps in checked.own.attention.items():
        if view not in found.attention or found.attention[view].shape != maps.shape:
            raise ConfigurationError(
                f"--random-labels {path}: its attention maps have another size; give a run of the same preset"
            )
    return found


def _header(checked: CheckedMaps, other: Trained | None) -> dict[str, object]:
    """Identify the checks, so that those of other weights, exams or settings are not taken for these."""
    return {
        "weights": checksum(checked.trained.weights.tensors),
        "data": checked.dataset.fingerprint,
        "exams": [checked.dataset.exam_ids[exam] for exam in checked.indices],
        "called": checked.rows_called().tolist(),
        "settings": asdict(checked.settings),
        "random_labels": None if other is None else checksum(other.weights.tensors),
    }


def _tasks(checked: CheckedMaps, layers: Layers, other: ExplainedExams | None) -> Tasks:
    """List the checks by name; each gives a value per exam."""
    settings = checked.settings
    tasks: Tasks = {f"noise {draw}": partial(checked.noise, draw) for draw in range(settings.draws)}
    tasks["shift"] = checked.shift

    @lru_cache(maxsize=1)
    def fresh(draw: int) -> Layers:
        return fresh_layers(checked.trained, settings, draw)

    def with_random(names: Sequence[str], draw: int) -> Values:
        return checked.random_weights(layers, fresh(draw), list(names))

    names = list(layers)
    for draw in range(settings.draws):
        for number, name in enumerate(names, 1):
            tasks[f"layer {name} {draw}"] = partial(with_random, [name], draw)
            tasks[f"cascade {name} {draw}"] = partial(with_random, names[:number], draw)
    if other is not None:
        tasks["random labels"] = lambda: checked.likeness(other.attention) | checked.gaze(other.attention)
    called = checked.rows_called()
    size = checked.trained.preset.training.batch_size
    for number, start in enumerate(range(0, len(called), size)):
        tasks[f"removal {number}"] = partial(checked.removal, called[start : start + size])
    return tasks


def _rows(
    checked: CheckedMaps, journal: CheckJournal, layers: Sequence[str], with_random_labels: bool
) -> list[CheckRow]:
    """Average the values of each check over draws, then exams."""
    patients = [checked.dataset.patient_ids[exam] for exam in checked.indices]
    draws = range(checked.settings.draws)
    rows: list[CheckRow] = []

    def add(check: str, of: str, values: Mapping[str, Floats], *names: str, difference: bool = False) -> None:
        rows.extend(
            _row(check, of, name, values[name], patients, difference=difference)
            for name in names
            if name in values and np.isfinite(values[name]).any()
        )

    alike, agreement = ("spearman", "absolute_spearman", "ssim"), ("nss", "correlation")
    trained = _mean_of([checked.gaze(checked.own.attention)])
    add("noise", "", _mean_of(journal.of([f"noise {draw}" for draw in draws])), *alike)
    add("shift", "", _mean_of(journal.of(["shift"])), *alike)
    add("other_exams", "", _mean_of([checked.other_exams()]), *alike)
    add("gaze", "trained", trained, *agreement)
    found: dict[str, Floats] = {}
    for check in ("layer", "cascade"):
        for layer in layers:
            found = _mean_of(journal.of([f"{check} {layer} {draw}" for draw in draws]))
            add(check, layer, found, *alike, *agreement)
    add("gaze", "randomised", found, *agreement)
    add("gaze", "lost when randomised", _less(trained, found), *agreement, difference=True)
    if with_random_labels:
        found = _mean_of(journal.of(["random labels"]))
        add("random_labels", "", found, *alike)
        add("gaze", "random labels", found, *agreement)
        add("gaze", "lost with random labels", _less(trained, found), *agreement, difference=True)
    removal = _mean_of(journal.of([name for name in journal.done if name.startswith("removal ")]))
    for check in ("deletion", "insertion"):
        add(check, "", removal, check, "random")
        add(check, "", removal, f"{check}_gain", difference=True)
    return rows


def _mean_of(found: Sequence[Values]) -> dict[str, Floats]:
    """Average each measure over draws, ``[N]``; NaN where an exam has none."""
    means = {}
    for name in dict.fromkeys(name for values in found for name in values):
        each = np.array([values[name] for values in found if name in values], dtype=np.float64)  # None is NaN
        number = np.isfinite(each).sum(axis=0)
        total = np.where(np.isfinite(each), each, 0).sum(axis=0)
        means[name] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return means


def _less(first: Mapping[str, Floats], second: Mapping[str, Floats]) -> dict[str, Floats]:
    return {name: first[name] - second[name] for name in first if name in second}


def _row(
    check: str, of: str, measure: str, values: Floats, patients: Sequence[str], *, difference: bool
) -> CheckRow:
    """Average over the exams that have a value; a difference is not bounded, so its interval is the percentile one."""
    rows = np.flatnonzero(np.isfinite(values))
    known, owners = values[rows], [patients[row] for row in rows.tolist()]
    low = high = math.nan
    if len(set(owners)) > 1:
        found = mean_interval(known, owners, bounded=not difference)
        low, high = found.low, found.high
        if math.isnan(low):  # equal in every exam: how the maps are made, and no chance of these patients
            low = high = found.value
    return CheckRow(
        check=check,
        of=of,
        measure=measure,
        value=float(known.mean()),
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        exams=len(rows),
        patients=len(set(owners)),
    )
