"""Choose values from a small explicit grid by validation AUC over inner folds, never using the test part."""

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from gazekit.errors import ConfigurationError, GazekitError
from gazekit.runs.directory import RunDirectory
from gazekit.study.study import Study

SCHEMA = "gazekit.tune/1"
_COMMA = re.compile(r",(?![^\[]*\])")
"""A comma outside brackets."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One point of the grid.

    Args:
        changes: its ``key=value`` items.
        runs: number finished; ``planned``: folds × seeds.
        mean, sd: validation AUC over finished runs, each at its best epoch; None with fewer than one (two) runs.
    """

    changes: tuple[str, ...]
    runs: int
    planned: int
    mean: float | None
    sd: float | None


@dataclass(frozen=True, slots=True)
class Tuning:
    """All candidates and the chosen one.

    Args:
        preset: the tuned preset.
        folds, seeds: their product is the number of runs per candidate.
        fingerprint: of the data.
        candidates: in the order of the grid.
        chosen: the changes with the highest mean validation AUC; in a tie, the first.
    """

    preset: str
    folds: int
    seeds: int
    fingerprint: str
    candidates: tuple[Candidate, ...]
    chosen: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"schema": SCHEMA, **asdict(self)}

    def to_text(self) -> str:
        """Return JSON text."""
        return json.dumps(self.to_json(), indent=2) + "\n"


def grid_points(items: Sequence[str]) -> list[tuple[str, ...]]:
    """Combine ``key.path=value,value,…`` items in every way; a list is one value: ``[4,6],[8,12]``.

    Raises:
        ConfigurationError: an item lacks a key or value, or a key or value comes twice.
    """
    axes: dict[str, list[str]] = {}
    for item in items:
        key, _, text = item.partition("=")
        values = [value.strip() for value in _COMMA.split(text)]
        if not key.strip() or not all(values):
            raise ConfigurationError(
                f"--grid {item}: expected key.path=value,value, e.g. loss.gaze_weight=0.1,0.5,2"
            )
        if key.strip() in axes or len(set(values)) < len(values):
            raise ConfigurationError(f"--grid {item}: a key or a value comes twice; expected each once")
        axes[key.strip()] = values
    return list(itertools.product(*([f"{key}={value}" for value in values] for key, values in axes.items())))


def point_name(changes: Sequence[str]) -> str:
    """Name the row and folder of a grid point: the last part of each key, and the value."""
    pairs = [item.partition("=")[::2] for item in changes]
    text = ",".join(f"{key.rsplit('.', 1)[-1]}={value}" for key, value in pairs)
    return re.sub(r"[^\w.=+,-]", "_", text)


def choose(study: Study, preset: str) -> Tuning:
    """Read the validation AUC of every finished run and choose.

    Raises:
        GazekitError: no candidate has all its runs; a candidate with failed runs is never chosen.
    """
    candidates = tuple(_candidate(study, system.name, system.changes) for system in study.settings.systems)
    complete = [c for c in candidates if c.runs == c.planned and c.mean is not None]
    if not complete:
        raise GazekitError(
            f"{study.folder.path}: no point of the grid has all its runs; nothing to choose from"
        )
    return Tuning(
        preset=preset,
        folds=len(study.splits),
        seeds=study.settings.seeds,
        fingerprint=study.dataset.fingerprint,
        candidates=candidates,
        chosen=max(complete, key=lambda candidate: candidate.mean or 0.0).changes,
    )


def _candidate(study: Study, system: str, changes: tuple[str, ...]) -> Candidate:
    runs = study.finished(system)
    found = [max(line["val_auc"] or 0.0 for line in RunDirectory(task.path).read_metrics()) for task in runs]
    return Candidate(
        changes=changes,
        runs=len(found),
        planned=sum(task.system == system for task in study.tasks),
        mean=fmean(found) if found else None,
        sd=stdev(found) if len(found) > 1 else None,
    )
