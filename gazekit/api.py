"""Training and use of models from Python, as the command line does it; see ``examples/quickstart.py``."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gazekit.data.prepared import PreparedDataset
from gazekit.data.splits import make_split
from gazekit.discovery import load_registry
from gazekit.errors import ConfigurationError
from gazekit.preset import Preset
from gazekit.registry import Registry
from gazekit.training.evaluation import evaluate_run
from gazekit.training.loop import State
from gazekit.training.run import continue_run, start_run
from gazekit.training.selection import Which
from gazekit.training.trained import Trained, open_data, open_trained

Dataset = PreparedDataset | Path | str


def train(
    preset: Preset | str,
    data: Dataset,
    out: Path | str,
    *,
    registry: Registry | None = None,
    overrides: Sequence[str] = (),
    split: Mapping[str, str] | None = None,
    seed: int = 0,
    device: str | None = None,
    overwrite: bool = False,
    initial: Path | str | None = None,
    note: Callable[[str], None] = print,
) -> Trained:
    """Train a preset on a prepared data set, and open the result.

    What is written is an ordinary run directory: ``gazekit report OUT`` reads it, and if the training is
    interrupted ``gazekit train --out OUT --resume`` goes on with it.

    Args:
        preset: a preset, or the name or TOML file of one.
        data: a prepared data set, or its folder.
        out: the run directory to make.
        registry: where the components come from; None finds all plugins.
        overrides: ``key.path=value`` items on top of a preset given by name.
        split: exam → ``"train"``, ``"val"`` or ``"test"``; None makes one by patient, as the preset says.
        seed: of initial weights, order, augmentation and dropout.
        device: ``"cpu"`` or ``"cuda"``; None takes CUDA where there is one.
        overwrite: replace a run in ``out``.
        initial: run whose selected weights this one starts from.
        note: told of every epoch, and of what may spoil the result, in one line each.

    Raises:
        ConfigurationError: the folder exists, or preset and data do not fit.
        DataError: the split is unusable, or gaze is to supervise and there is none.
    """
    registry = registry or load_registry()
    if not isinstance(preset, Preset):
        preset = registry.preset(preset, overrides=overrides)
    elif overrides:
        raise ConfigurationError(
            "overrides belong to a preset given by name; give them to registry.preset(…, overrides=…)"
        )
    dataset = data if isinstance(data, PreparedDataset) else PreparedDataset.open(Path(data))
    chosen, settings = _device(device), preset.data
    run = start_run(
        Path(out),
        preset,
        registry,
        dataset,
        split or make_split(dataset, seed=settings.split_seed, test=settings.test, val=settings.validation),
        seed=seed,
        device=chosen,
        overwrite=overwrite,
        initial=None if initial is None else Path(initial),
        warn=lambda text: note(f"warning: {text}"),
    )
    continue_run(
        run,
        registry,
        dataset,
        device=chosen,
        report=_each_epoch(note, preset.training.epochs),
        warn=lambda text: note(f"warning: {text}"),
    )
    return open_trained(run.path, registry, chosen)


def load(
    run: Path | str,
    *,
    registry: Registry | None = None,
    device: str | None = None,
    weights: Which = "selected",
) -> Trained:
    """Open a run directory: its model, its preset, and what it predicts.

    Args:
        run: run directory of ``gazekit.train`` or ``gazekit train``.
        registry: where the components come from; None finds all plugins.
        device: ``"cpu"`` or ``"cuda"``; None takes CUDA where there is one.
        weights: ``"selected"``, of the epoch that training selected, or ``"last"``.

    Raises:
        DataError: no run, or no epoch of it validated yet.
    """
    return open_trained(Path(run), registry or load_registry(), _device(device), which=weights)


def evaluate(trained: Trained, data: Dataset | None = None, part: str = "test") -> dict[str, Any]:
    """Compare predictions with the truth, write evaluation.json and predictions.csv; the content of the first.

    Args:
        trained: from ``gazekit.train`` or ``gazekit.load``.
        data: None is what it was trained on; other data need ``part="all"``.
        part: ``"test"``, ``"val"``, ``"train"`` or ``"all"``; all but the first have files of their own.
    """
    if not isinstance(data, PreparedDataset):
        data = open_data(trained, None if data is None else Path(data))
    return evaluate_run(trained, data, part)


def _device(name: str | None) -> torch.device:
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def _each_epoch(note: Callable[[str], None], epochs: int) -> Callable[[State, int], None]:
    def report(state: State, _batches: int) -> None:
        if state.batch == 0:  # validated
            auc = "–" if state.auc is None else f"{state.auc:.3f}"
            note(f"epoch {state.epoch}/{epochs}  val AUC {auc}, best {state.best_auc:.3f}")

    return report
