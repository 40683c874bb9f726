"""What the commands that use a finished run have in common: open it, its data, and predict."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gazekit.errors import DataError

if TYPE_CHECKING:
    import torch

    from gazekit.data.prepared import PreparedDataset
    from gazekit.evaluation.prediction import Predictions
    from gazekit.interfaces import AttentionMap
    from gazekit.model import MultiViewClassifier
    from gazekit.preset import Preset
    from gazekit.registry import Registry
    from gazekit.training.run_directory import RunDirectory, RunFacts


@dataclass(frozen=True, slots=True)
class Trained:
    """A run opened for use."""

    run: "RunDirectory"
    facts: "RunFacts"
    preset: "Preset"
    model: "MultiViewClassifier"
    attention_map: "AttentionMap | None"
    device: "torch.device"

    def predict(self, dataset: "PreparedDataset", part: str) -> "Predictions":
        """Predict and explain one part of a data set (``train``, ``val``, ``test`` or ``all``)."""
        import numpy as np

        from gazekit.data.feed import resident_exams
        from gazekit.data.splits import indices_of, read_split
        from gazekit.evaluation.prediction import predict
        from gazekit.training.run import check_same_data

        if part == "all":
            indices = np.arange(len(dataset))
        else:
            check_same_data(self.run, self.facts, dataset)
            indices = indices_of(dataset, read_split(self.run.split), part)
        if len(indices) == 0:
            raise DataError(
                f"{self.run.path}: the split has no exam in its part '{part}'; choose another with --split"
            )
        exams = resident_exams(
            dataset, indices, self.preset, self.device, with_gaze=False, needs_gaze=self.model.needs_gaze
        )
        return predict(
            self.model, exams, batch_size=self.preset.training.batch_size, attention_map=self.attention_map
        )


def open_trained(path: Path, registry: "Registry", device: str) -> Trained:
    """Open a run with its selected weights. Raises DataError: no run, or no weights yet."""
    from gazekit.build import build_attention_map
    from gazekit.cli.device import choose_device
    from gazekit.training.run import load_model, stored_preset
    from gazekit.training.run_directory import RunDirectory

    run = RunDirectory.open(path)
    chosen = choose_device(device)
    preset = stored_preset(run, registry)
    model = load_model(run, registry, chosen)
    return Trained(run, run.facts(), preset, model, build_attention_map(preset, registry), chosen)


def open_data(trained: Trained, data: Path | None) -> "PreparedDataset":
    """The data set given, or the one that the run was trained on. Raises DataError: other classes."""
    from gazekit.data.prepared import PreparedDataset

    dataset = PreparedDataset.open(data or Path(trained.facts.data))
    if tuple(dataset.classes) != trained.facts.classes:
        raise DataError(
            f"{dataset.root}: classes {', '.join(dataset.classes)}; the model of {trained.run.path} "
            f"was trained on {', '.join(trained.facts.classes)}"
        )
    if data is not None:
        _check_preparation(trained, dataset)
    return dataset


def _check_preparation(trained: Trained, dataset: "PreparedDataset") -> None:
    """Raise DataError if other data were prepared in another way than what the model was trained on."""
    here, there = dataset.settings.to_json(), trained.facts.preparation
    for key in ("size", "crop", "laterality"):
        if here[key] != there[key]:
            raise DataError(
                f"{dataset.root}: prepared with {key} {here[key]}, the data of {trained.run.path} with {there[key]}; "
                "prepare them alike"
            )
