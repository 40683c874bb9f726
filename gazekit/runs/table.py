"""Compare runs side by side: settings, progress, results."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gazekit.errors import ConfigurationError, DataError
from gazekit.measures.former_names import by_current_name
from gazekit.prepared.splits import fingerprint_of, read_split
from gazekit.presets.layers import read_layer
from gazekit.runs.best_epoch import stopped_early
from gazekit.runs.directory import RunDirectory
from gazekit.runs.files import RunFacts


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in one row.

    Args:
        path: the run directory.
        facts: of the run; None if unreadable, and ``problem`` says why.
        values: of its preset, ``table.key`` → value.
        epochs: completed and planned.
        early: whether ``training.patience`` ended it before the planned ones.
        best: validation AUC of the selected epoch, and that epoch; None before the first.
        evaluation: content of ``evaluation.json``; None if the run was not evaluated.
        problem: why the run cannot be read; empty if it can.
    """

    path: Path
    facts: RunFacts | None
    values: dict[str, Any]
    epochs: tuple[int, int] = (0, 0)
    best: tuple[float, int] | None = None
    evaluation: dict[str, Any] | None = None
    problem: str = ""
    early: bool = False

    @property
    def state(self) -> str:
        """Say ``finished``, or how far the run is."""
        done, planned = self.epochs
        if self.problem:
            return "not readable"
        if done < planned and self.early:
            return f"finished early, epoch {done} of {planned}"
        return "finished" if done >= planned else f"epoch {done} of {planned}"


def find_runs(folders: Iterable[Path]) -> list[Path]:
    """Find all run directories in or below folders, by name. Raises DataError: no such folder, or no run in any."""
    found: set[Path] = set()
    folders = list(folders)
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; expected run directories of gazekit train")
        found |= {file.parent for file in folder.rglob("run.json")}
    if not found:
        raise DataError(
            f"{', '.join(map(str, folders))}: no run directory in it; gazekit train --out makes one"
        )
    return sorted(found)


def summarise(path: Path) -> RunSummary:
    """Summarise a run from its files; a damaged run gets a ``problem``. Raises DataError: not a run directory."""
    run = RunDirectory.open(path)
    try:
        run.check_links()
        facts = run.facts()
        values = {".".join(key): leaf.value for key, leaf in read_layer(run.preset_path).items()}
        lines = run.read_metrics()
        evaluation = run.read_evaluation() if os.path.lexists(run.evaluation) else None
        done = lines[-1]["epoch"] if lines else 0
        epoch = lines[-1]["best_epoch"] if lines else 0
        best = next((line.get("val_auc") for line in lines if line["epoch"] == epoch), None)
        planned = _planned(run, values)
    except (DataError, ConfigurationError) as error:
        return RunSummary(path, None, {}, problem=str(error).splitlines()[0])
    chosen = (best, epoch) if best is not None else None
    patience = values.get("training.patience")
    early = isinstance(patience, int) and stopped_early(done, epoch, patience)
    return RunSummary(path, facts, values, (done, planned), chosen, evaluation, early=early)


def _planned(run: RunDirectory, values: Mapping[str, Any]) -> int:
    """Return the number of epochs in the preset. Raises DataError: there is none."""
    epochs = values.get("training.epochs")
    if not isinstance(epochs, int):
        raise DataError(
            f"{run.preset_path}: training.epochs: expected a whole number; get another copy of the run"
        )
    return epochs


def differences(runs: Sequence[RunSummary]) -> dict[str, list[Any]]:
    """Return what differs between runs (preset values, seed, start, data, split, evaluation) → value per run.

    Raises:
        DataError: a split is damaged.
    """
    rows: dict[str, list[Any]] = {
        "preset": [run.facts and run.facts.preset for run in runs],
        "seed": [run.facts and run.facts.seed for run in runs],
        "initial weights": [run.facts and "; ".join(dict.fromkeys(run.facts.weights_origin)) for run in runs],
        "data": [run.facts and run.facts.fingerprint[:12] for run in runs],
        "split": [fingerprint_of(read_split(RunDirectory(run.path).split_path)) for run in runs],
        "evaluated on": [run.evaluation and _evaluated(run.evaluation) for run in runs],
    }
    keys = dict.fromkeys(
        key for run in runs for key in run.values if not key.startswith(("description", "reported", "tune."))
    )
    rows |= {key: [run.values.get(key) for run in runs] for key in keys}
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values)}


def _evaluated(evaluation: Mapping[str, Any]) -> str:
    """Name the evaluated part, with calibration and threshold where there are some."""
    unusual = {
        f"calibrated by {evaluation['calibration']}": evaluation["calibration"] != "none",
        f"called above {evaluation['called_above']:.3g}": evaluation["called_above"] != 0.5,
    }
    return ", ".join([evaluation["split"], *(words for words, is_so in unusual.items() if is_so)])


def measures(runs: Sequence[RunSummary]) -> dict[str, list[dict[str, float | None] | None]]:
    """Return ``group.measure`` → value and interval per run, None where a run lacks the measure."""
    tables = [
        {group: by_current_name(found) for group, found in run.evaluation["metrics"].items()}
        if run.evaluation
        else {}
        for run in runs
    ]
    names = dict.fromkeys(
        (group, name) for table in tables for group, found in table.items() for name in found
    )
    return {f"{group}.{name}": [table.get(group, {}).get(name) for table in tables] for group, name in names}
