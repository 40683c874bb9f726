"""Write a model card: what a run is, what it was measured on, and what limits it, for people who get the model."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gazekit
from gazekit.disk.atomic import write_atomically
from gazekit.disk.own_files import MIB, FileKind, read_bytes
from gazekit.disk.wording import in_command
from gazekit.errors import ConfigurationError, DataError
from gazekit.measures.catalogue import MEASURES
from gazekit.measures.former_names import by_current_name
from gazekit.measures.numbers import measured
from gazekit.measures.offered import offered_metrics
from gazekit.modelling.model import gaze_use
from gazekit.prepared.settings import OF_PIXELS, WHOLE, completed
from gazekit.presets.preset import Preset
from gazekit.records.labels import count_classes
from gazekit.registry.registry import Registry
from gazekit.reporting.page import FEW_PATIENTS, LIMITS, SINGLE_TRAINING
from gazekit.reporting.run.provenance import beside_label_and_images, shown_preset
from gazekit.runs.best_epoch import Select
from gazekit.runs.calibration.calibration_file import StoredCalibration, read_calibration
from gazekit.runs.directory import RunDirectory
from gazekit.runs.files import RunFacts
from gazekit.runs.stored import stored_preset

_ON_THE_HUB = {"auc": "roc_auc", "accuracy": "accuracy", "brier": "brier_score"}
"""Measure → its name on the Hugging Face hub, where that has one; the others keep ours."""
_KIND = FileKind("a model card", MIB, "choose another --out", linked=True)
_WRITTEN = "<!-- Written by gazekit card. SHA-256 of the text above: {} -->\n"
"""Last line of a card: as long as the text has this checksum, nobody has changed it."""


def model_card(run: RunDirectory, registry: Registry, *, licence: str | None = None) -> str:
    """Describe a run in Markdown, with the header of the Hugging Face hub; without ids of patients and paths.

    Args:
        run: an evaluated run.
        registry: provides the preset's components and the titles of metrics.
        licence: identifier of the hub, such as ``apache-2.0``; None leaves it out.

    Raises:
        DataError: the run was not evaluated on its test part, or a file of it is damaged.
    """
    if not run.evaluation.exists():
        raise DataError(
            f"{run.path}: it was not evaluated, and a model card states its measures: gazekit evaluate "
            f"{in_command(run.path)}"
        )
    facts, evaluation, preset = run.facts(), run.read_evaluation(), stored_preset(run, registry)
    titles = {name: measure.title for name, measure in MEASURES.items()}
    titles |= {name: metric.measure.title for name, metric in offered_metrics(registry).items()}
    parts = [
        _header(run, facts, evaluation, titles, licence),
        f"# {_text(run.path.resolve().name)}",
        "**Not a medical device.** Research software: no prediction of this model may guide the care of a patient.",
        *_model(run, facts, preset, registry),
        *_use(facts, preset, _gaze_as_input(preset, registry)),
        *_data(run, facts),
        *_measures(evaluation, titles),
        *_calibration(_calibration_of(run, evaluation)),
        *_limits(facts, evaluation),
        *_versions(run),
        "## Preset, resolved",
        f"```toml\n{shown_preset(run.preset_path).strip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def write_card(path: Path, text: str, *, overwrite: bool = False) -> None:
    """Write a model card with a checksum in its last line, by which a card changed by hand is known.

    Args:
        path: the file.
        text: from ``model_card``.
        overwrite: replace whatever is there; without it, only a card that nobody has changed is replaced.

    Raises:
        ConfigurationError: there is a file that is no unchanged card.
    """
    if os.path.lexists(path) and not overwrite and not _is_unchanged(path):
        raise ConfigurationError(
            f"{path}: was changed by hand, or is no model card of this version; replace it with --overwrite, or choose "
            "another --out"
        )
    write_atomically(path, text + _WRITTEN.format(_checksum(text.encode())))


def _is_unchanged(path: Path) -> bool:
    try:
        *lines, last = read_bytes(path, _KIND).splitlines(keepends=True) or [b""]
    except DataError:
        return False
    return last == _WRITTEN.format(_checksum(b"".join(lines))).encode()


def _checksum(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _calibration_of(run: RunDirectory, evaluation: Mapping[str, Any]) -> StoredCalibration | None:
    """Read the calibration of the weights that were evaluated. Raises DataError: the measures are without it."""
    stored = read_calibration(run)
    if stored is None or stored.epoch != evaluation["epoch"]:
        stored, words, above = None, "none", 0.5
    else:
        words, above = stored.calibration.words(), stored.calibration.threshold
    if (evaluation["calibration"], evaluation["called_above"]) != (words, above):
        raise DataError(
            f"{run.path}: was calibrated after it was evaluated (or the calibration was removed), so its measures are "
            f"those of other probabilities; evaluate it again: gazekit evaluate {in_command(run.path)}"
        )
    return stored


def _header(
    run: RunDirectory,
    facts: RunFacts,
    evaluation: Mapping[str, Any],
    titles: Mapping[str, str],
    licence: str | None,
) -> str:
    """The YAML of the hub; every value is JSON, which is YAML."""
    dataset = Path(facts.data).name
    found = by_current_name(evaluation["metrics"]["classification"])
    metrics = [
        {"type": _ON_THE_HUB.get(name, name), "name": titles.get(name, name), "value": each["value"]}
        for name, each in found.items()
        if each["value"] is not None
    ]
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": dataset, "type": dataset, "split": evaluation["split"]},
        "metrics": metrics,
    }
    values: dict[str, Any] = {
        "library_name": "gazekit",
        "pipeline_tag": "image-classification",
        "tags": ["gazekit", "multi-view", "medical-imaging", "research-only"],
        "model-index": [{"name": run.path.resolve().name, "results": [result]}],
    }
    if licence:
        values = {"license": licence, **values}
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    return "\n".join(["---", *lines, "---"])


def _model(run: RunDirectory, facts: RunFacts, preset: Preset, registry: Registry) -> Iterator[str]:
    epochs = run.read_metrics()
    gaze = {"training": "in training; a prediction needs none", "always": "in training and to predict"}
    yield "## Model"
    yield _list(
        {
            "preset": f"{facts.preset}: {preset.description}" if preset.description else facts.preset,
            "stand-in": preset.stand_in,
            "backbone": preset.backbone.use,
            "views": ", ".join(preset.views),
            "classes": _classes(facts),
            **beside_label_and_images(facts, preset),
            "supervised by gaze": "yes, in training; a prediction needs none" if preset.supervised else "no",
            "gaze as an input": gaze.get(_gaze_as_input(preset, registry), ""),
            "initial weights": facts.initial_weights,
            "epochs": _epochs([line["best_epoch"] for line in epochs], preset.training.select),
            "seed": facts.seed,
        }
    )


def _gaze_as_input(preset: Preset, registry: Registry) -> str:
    """Return when the fusion of images reads gaze: ``"never"``, in ``"training"`` or ``"always"``."""
    if preset.fusion.images is None:
        return "never"
    return gaze_use(registry.component("fusion", preset.fusion.images.use).value)


def _epochs(selected: Sequence[int], select: Select) -> str:
    """Describe the epochs by the one that was selected after each, 0 for none."""
    if not selected:
        return ""
    if select == "last":
        return f"{len(selected)}; the last is used"
    if not selected[-1]:
        return f"{len(selected)}; none is selected yet"
    by = {"auc": "AUC", "loss": "loss"}[select]
    return f"{len(selected)}; epoch {selected[-1]} is selected by the validation {by}"


def _classes(facts: RunFacts) -> str:
    names = ", ".join(facts.classes)
    return f"{names}; {facts.classes[1]} is positive" if len(facts.classes) == 2 else names


def _use(facts: RunFacts, preset: Preset, gaze: str) -> Iterator[str]:
    yield "## Intended use"
    images = f" ({', '.join(facts.modalities)})" if facts.modalities else ""
    yield (
        f"Research on images like those it was trained on{images}: compare methods, study where a model looks. It is "
        "not meant for screening, diagnosis or triage, nor for images of other views, devices or populations without "
        "your own validation."
    )
    given, words = "images/", "probability of each class; no gaze needed"
    if gaze == "always":
        given, words = "PREPARED", "a prepared data set with gaze, which the model reads"
    elif preset.covariates:
        given, words = "exams.csv", f"{words}; covariates from the table"
    yield f"```sh\n{f'gazekit predict RUN {given}':<39}# {words}\n```"


_VERSION = "region"
"""Key of a preparation: the version of the rules that find the region; 0 if none is sought."""


def _data(run: RunDirectory, facts: RunFacts) -> Iterator[str]:
    parts = Counter(run.split().values())
    preparation = completed(facts.preparation)
    yield "## Data"
    yield _list(
        {
            "prepared set": f"{Path(facts.data).name}, fingerprint {facts.fingerprint[:16]}",
            "split": f"{parts['train']} exams to train on, {parts['val']} to validate, {parts['test']} to test",
            "preparation": ", ".join(
                f"{key.replace('_', ' ')} {_plain(preparation[key])}"
                for key in OF_PIXELS
                if key != _VERSION and preparation.get(key) not in ("", None)
            ),
            "region": _region(preparation),
        }
    )


def _region(preparation: Mapping[str, Any]) -> str:
    """Name the region that was sought with the version of its rules; empty if none was."""
    if not preparation[_VERSION]:
        return ""
    cut = preparation["crop"] != WHOLE
    name = preparation["crop"] if cut else preparation["masked_by"]
    return f"{name}, version {preparation[_VERSION]} of its rules"


def _measures(evaluation: Mapping[str, Any], titles: Mapping[str, str]) -> Iterator[str]:
    classes = count_classes(evaluation["classes"])
    yield "## Measures"
    yield (
        f"On {_text(evaluation['split'])} exams: {evaluation['exams']} of {evaluation['patients']} patients "
        f"({_text(classes)}), by the {_text(evaluation['weights'])} weights. "
        f"In brackets the interval: {_text(evaluation['interval'])}."
    )
    rows = [
        f"| {_text(_group(group, evaluation))} | {_text(titles.get(name, name))} | {measured(each)} |"
        for group, found in evaluation["metrics"].items()
        for name, each in by_current_name(found).items()
    ]
    yield "\n".join(["| group | measure | value [interval] |", "|---|---|---:|", *rows])


def _group(name: str, evaluation: Mapping[str, Any]) -> str:
    """Name a group of measures; a subgroup with its numbers, which may be small."""
    counts = evaluation["subgroups"].get(name)
    words = name.replace("_", " ")
    return f"{words} ({counts['exams']} exams of {counts['patients']} patients)" if counts else words


def _calibration(stored: StoredCalibration | None) -> Iterator[str]:
    yield "## Calibration"
    if stored is None:
        yield "The probabilities are as the network states them; the second of two classes is called above 0.5."
        return
    yield (
        f"Fitted on {stored.exams} validation exams of {stored.patients} patients: {stored.calibration.words()}. "
        f"The second of two classes is called above {stored.threshold:.4g}. {stored.threshold_origin}".strip()
    )


def _limits(facts: RunFacts, evaluation: Mapping[str, Any]) -> Iterator[str]:
    found = [SINGLE_TRAINING]
    if evaluation["split"] != "test":
        found.append("The measures are not of a test part: they flatter the model.")
    if facts.leak:
        found.append(
            "The model, or what it started from, has seen patients of the test part: the measures flatter it."
        )
    if evaluation["patients"] < FEW_PATIENTS:
        found.append(f"{evaluation['patients']} patients are too few to show small differences.")
    yield "## Limits"
    yield "\n".join(f"- {each}" for each in (*found, *LIMITS))


def _versions(run: RunDirectory) -> Iterator[str]:
    environment = run.environment()
    plugins = dict.fromkeys(f"{row['package']} {row['version']}" for row in run.plugins())
    yield "## Versions"
    yield _list(
        {
            "trained on": environment.get("gpu") or "CPU",
            "python": environment["python"],
            "packages": ", ".join(f"{name} {version}" for name, version in environment["packages"].items()),
            "plugins": ", ".join(plugins),
            "card": f"gazekit {gazekit.__version__}",
        }
    )


def _list(values: Mapping[str, object]) -> str:
    return "\n".join(
        f"- {name}: {_text(str(value))}" for name, value in values.items() if value not in ("", None)
    )


def _plain(value: object) -> str:
    return " × ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _text(words: str) -> str:
    """Keep words from outside from being markup: no tables, no tags, one line."""
    one_line = " ".join(words.split())
    return one_line.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
