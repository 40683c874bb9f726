"""Describe the provenance of a run."""

import hashlib
from collections import Counter
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import tomlkit

from gazekit.disk.home_folder import without_folders
from gazekit.disk.own_files import read_bytes, read_text
from gazekit.prediction.calibration import UNCALIBRATED
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import KIND
from gazekit.presets.layers import PRESET
from gazekit.presets.preset import Preset
from gazekit.reporting.run.exam_flow import exam_flow
from gazekit.runs.best_epoch import stopped_early
from gazekit.runs.files import RunFacts
from gazekit.runs.trained import Trained


def run_facts(trained: Trained, dataset: PreparedDataset) -> dict[str, dict[str, Any]]:
    """Return group → name → value for run, data and software; no path and no name of the machine."""
    facts, preset = trained.facts, trained.preset
    environment = trained.run.environment()
    plugins = trained.run.plugins()
    split = trained.run.split()
    parts = Counter(split.values())
    height, width = dataset.size
    return {
        "Run": {
            "preset": f"{facts.preset}: {preset.description}",
            "seed": facts.seed,
            "trained on": environment.get("gpu") or f"{facts.device}, {environment['platform']}",
            "initial weights": facts.initial_weights,
            "epochs": _epochs(trained),
            **({"calibration": trained.calibration.words()} if trained.calibration != UNCALIBRATED else {}),
        },
        "Data": {
            "prepared set": Path(facts.data).name,
            "fingerprint": facts.fingerprint[:16],
            "split": f"{parts['train']} exams to train on, {parts['val']} to validate, {parts['test']} to test",
            "split, SHA-256": hashlib.sha256(read_bytes(trained.run.split_path, KIND)).hexdigest()[:16],
            "views": ", ".join(preset.views),
            **beside_label_and_images(facts, preset),
            "image size": f"{height} × {width} px",
            "gaze": f"{int(dataset.has_gaze.any(axis=1).sum())} of {len(dataset)} exams",
        },
        f"Exams ({dataset.root.resolve().name})": exam_flow(
            dataset, split if dataset.fingerprint == facts.fingerprint else None
        ),
        "Software": {
            "python": environment["python"],
            **environment["packages"],
            "plugins": ", ".join(dict.fromkeys(f"{row['package']} {row['version']}" for row in plugins)),
        },
    }


def beside_label_and_images(facts: RunFacts, preset: Preset) -> dict[str, str]:
    """Name what a model predicts beside the label, and reads beside the images; empty if it is neither."""
    targets = "; ".join(f"{name} ({', '.join(classes)})" for name, classes in facts.targets.items())
    found = {"further targets": targets, "covariates": ", ".join(preset.covariates)}
    return {name: words for name, words in found.items() if words}


def shown_preset(path: Path) -> str:
    """Read the resolved preset of a run; of each value that is a path, only the last part. Raises DataError."""
    document = tomlkit.parse(read_text(path, PRESET))
    _shorten(document)
    return tomlkit.dumps(document)


def _shorten(table: MutableMapping[str, Any]) -> None:
    for key, value in list(table.items()):
        if isinstance(value, MutableMapping):
            _shorten(value)
        elif (short := _without_folders(value)) != value:
            table[key] = short


def _without_folders(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_folders(each) for each in value]
    return without_folders(value) if isinstance(value, str) else value


def _epochs(trained: Trained) -> int | str:
    """Number of epochs; of a training that its patience has ended, with the reason."""
    planned, lines = trained.preset.training.epochs, trained.run.read_metrics()
    if not lines or lines[-1]["epoch"] >= planned:
        return planned
    done, best = lines[-1]["epoch"], lines[-1]["best_epoch"]
    if not stopped_early(done, best, trained.preset.training.patience):
        return planned
    return f"{done} of {planned}: none of the last {done - best} had better weights (training.patience)"
