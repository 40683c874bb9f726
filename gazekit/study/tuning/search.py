"""Choose values by validation AUC over inner folds, from a grid or trial after trial, never using the test part."""

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from gazekit.disk.own_files import MIB, FileKind, read_versioned
from gazekit.disk.wording import counted
from gazekit.errors import ConfigurationError, GazekitError
from gazekit.presets.layers import plain_options
from gazekit.presets.preset import Preset
from gazekit.presets.tables import Space, ValueRange, has_twice
from gazekit.runs.best_epoch import Select
from gazekit.runs.directory import RunDirectory
from gazekit.study.settings import TuneSettings
from gazekit.study.tuning.sampling import TriedPoint, changes, own_point, size, suggest, values_to_check

SCHEMA = "gazekit.tune/1"
_KIND = FileKind(
    "the result of a tuning", 8 * MIB, "remove its folder and that of the run, and repeat the command"
)
_COMMA = re.compile(r",(?![^\[]*\])")
"""A comma outside brackets."""
Resolve = Callable[[Sequence[str]], object]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One tried point.

    Args:
        changes: its ``key=value`` items.
        runs: number finished with a value; ``planned``: folds × seeds. A run without finite outputs at any validation
            has no selected weights, and so no value.
        mean, sd: validation AUC over these runs, each of its selected weights; None with fewer than one (two) runs.
    """

    changes: tuple[str, ...]
    runs: int
    planned: int
    mean: float | None
    sd: float | None

    @property
    def value(self) -> float | None:
        """The mean, by which points are chosen; None, and never chosen, if a run has none."""
        return self.mean if self.runs == self.planned else None


@dataclass(frozen=True, slots=True)
class Tuning:
    """All candidates and the chosen one.

    Args:
        preset: the tuned preset.
        folds, seeds: their product is the number of runs per candidate.
        fingerprint: of the data.
        candidates: in the order of the grid, or of the trials.
        chosen: the changes with the highest mean validation AUC; in a tie, the first.
        sampler: ``grid``, ``random`` or ``tpe``.
        seed: of the sampler.
    """

    preset: str
    folds: int
    seeds: int
    fingerprint: str
    candidates: tuple[Candidate, ...]
    chosen: tuple[str, ...]
    sampler: str = "grid"
    seed: int = 0

    @classmethod
    def read(cls, path: Path) -> "Tuning":
        """Read ``tune.json``. Raises DataError: it is damaged or has another schema."""
        found: Tuning = read_versioned(path, _KIND, SCHEMA, cls)
        return found

    @property
    def kind(self) -> str:
        """The word for its candidates together."""
        return "grid" if self.sampler == "grid" else "tuning"

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
    axes = grid_axes(items)
    return list(itertools.product(*([f"{key}={value}" for value in values] for key, values in axes.items())))


def grid_axes(items: Sequence[str]) -> dict[str, list[str]]:
    """Read ``key.path=value,value,…`` items: key → values; raises as ``grid_points``."""
    axes: dict[str, list[str]] = {}
    for item in items:
        key, _, text = item.partition("=")
        values = [value.strip() for value in _COMMA.split(text)]
        if not key.strip() or not all(values):
            raise ConfigurationError(
                f"--grid {item}: expected key.path=value,value, e.g. loss.gaze_weight=0.1,0.5,2"
            )
        read = [plain_options([f"{key}={value}"], "--grid")[key.strip()] for value in values]
        if key.strip() in axes or has_twice(read):
            raise ConfigurationError(f"--grid {item}: a key or a value comes twice; expected each once")
        axes[key.strip()] = values
    return axes


def point_name(changes: Sequence[str]) -> str:
    """Name the row and folder of a grid point: the last part of each key, and the value."""
    pairs = [item.partition("=")[::2] for item in changes]
    text = ",".join(f"{key.rsplit('.', 1)[-1]}={value}" for key, value in pairs)
    return re.sub(r"[^\w.=+,-]", "_", text)


def check_trials(space: Space, trials: int, who: str) -> None:
    """Raise ConfigurationError if a space has fewer points than there are to be trials."""
    points = size(space)
    if points is not None and points < trials:
        raise ConfigurationError(
            f"{who}: {trials} trials, but its space has {counted(points, 'point')} ({', '.join(space)}); expected no "
            "more trials than points: ask for fewer, or give the table tune of the preset more values or a range"
        )


def wrong_values(space: Space, resolve: Resolve) -> list[str]:
    """List the values of a space that a preset does not take, each with the reason.

    A value may belong to a component that another key chooses: the preset takes it alone, or with the first values of
    the other keys.

    Args:
        space: key → values, or a range.
        resolve: puts ``key=value`` items on top of the preset; raises ConfigurationError if that does not take them.
    """
    first = {key: values_to_check(axis)[0] for key, axis in space.items()}
    problems = []
    for key, axis in space.items():
        for value in values_to_check(axis):
            alone = changes({key: value})
            error = _refusal(alone, resolve)
            if error and _refusal(changes(first | {key: value}), resolve):
                drawn = isinstance(axis, ValueRange) and value not in (axis.low, axis.high)
                problems.append(
                    f"{alone[0]}: {error}" + ("; a range draws such numbers: list values instead" * drawn)
                )
    return problems


def _refusal(items: Sequence[str], resolve: Resolve) -> str:
    try:
        resolve(items)
    except ConfigurationError as error:
        return str(error)
    return ""


def next_point(preset: Preset, settings: TuneSettings, trials: Sequence[TriedPoint]) -> tuple[str, ...]:
    """Return the changes of the next trial: the first tries the preset's own values, if they are in the space."""
    own = None if trials else own_point(preset, settings.space)
    return changes(own or suggest(settings.space, trials, sampler=settings.sampler, seed=settings.seed))


def choose_of(tuning: Tuning, folder: Path) -> Tuning:
    """Choose the candidate with the highest mean; one with a failed or diverged run is never chosen.

    Raises:
        GazekitError: no candidate has a value from all its runs.
    """
    complete = [each for each in tuning.candidates if each.value is not None]
    if not complete:
        raise GazekitError(
            f"{folder}: no point of the {tuning.kind} has a validation AUC from all its runs, so there is nothing to "
            "choose from; look at log.txt of its runs, and try smaller values of training.learning_rate"
        )
    return replace(tuning, chosen=max(complete, key=lambda each: each.value or 0.0).changes)


def candidate(changes: tuple[str, ...], finished: Sequence[Path], planned: int, select: Select) -> Candidate:
    """Read the validation AUC of a point's finished runs, leaving out those that diverged.

    Args:
        changes: the point.
        finished: the run directories.
        planned: number of runs, finished or not.
        select: ``training.select`` of the runs.
    """
    found = [value for path in finished if (value := _value(RunDirectory(path), select)) is not None]
    return Candidate(
        changes=changes,
        runs=len(found),
        planned=planned,
        mean=fmean(found) if found else None,
        sd=stdev(found) if len(found) > 1 else None,
    )


def _value(run: RunDirectory, select: Select) -> float | None:
    """Return the validation AUC of the weights that are used; None if their outputs were not finite."""
    epochs = run.read_metrics()
    used = epochs[-1]["epoch" if select == "last" else "best_epoch"]
    found = next((line["val_auc"] for line in epochs if line["epoch"] == used), None)
    return None if found is None else float(found)
