"""Define the files of a run: one model for writing and reading each."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import Field

from gazekit.disk.home_folder import without_folders_within
from gazekit.disk.own_files import MIB, FileKind, lines_of, parse_json, read_model, read_versioned, validated
from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.index import rows_of
from gazekit.prepared.settings import PreparationSettings

SCHEMA = "gazekit.run/1"
CHECKSUMS_SCHEMA: Final = "gazekit.run_checksums/1"
EVALUATION_SCHEMA: Final = "gazekit.evaluation/1"
SELECTED = "best"
"""Folder of the selected weights, inside the checkpoint folder."""
_AGAIN = "the run is damaged; get another copy, or train it again"
_EVALUATE = "write it again with gazekit evaluate"
FACTS = FileKind("the facts of a run", 4 * MIB, _AGAIN)
METRICS = FileKind("a line of JSON per epoch", 32 * MIB, _AGAIN)
LOG = FileKind("the log of a training, a text file", 1024 * MIB, _AGAIN)
ENVIRONMENT = FileKind("the software that a run was made with", MIB, _AGAIN)
PLUGINS = FileKind("the plugins that a run was made with", 4 * MIB, _AGAIN)
CHECKSUMS = FileKind(
    "the checksums of a finished run",
    MIB,
    "get another copy of the run, or remove this file to do without it",
)
EVALUATION = FileKind("the measures of a run", 4 * MIB, _EVALUATE)
PREDICTIONS = FileKind("the probabilities of a run's exams", 64 * MIB, _EVALUATE)

Text = Annotated[str, Field(max_length=100_000)]
EvaluatedPart = Literal["train", "val", "test", "all"]
"""A part of a split, or every exam."""
Name = Annotated[str, Field(min_length=1, max_length=1000)]
Whole = Annotated[int, Field(ge=0, lt=2**53)]
Real = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Facts that identify a run, besides its preset.

    Args:
        preset: the name given by the user, of a file without its folders; its values are in ``preset.toml``.
        data: folder of the prepared data set.
        fingerprint: of the prepared data set, so that a run is never mixed with other data.
        classes: class names, in order of the labels.
        preparation: settings that turn raw images into model input.
        seed: for initial weights, order, augmentation and dropout.
        device: ``cpu`` or ``cuda``.
        weights_origin: where each branch's initial weights came from.
        modalities: of the DICOM training files; empty if there were none.
        targets: further targets that the model predicts, each with its classes.
        split_fingerprint: of the split that the run began with; empty in the files of earlier versions.
        leak: names the patients on two sides of the split, and those of the test part whom the initial weights had
            seen, in words; every report of the run repeats it.
        seen: hashes of the patients whom the initial weights had seen, in pre-training or in the runs before this one.
        sides: the known sides of the training images; None in the files of versions before 0.2.
    """

    preset: Name
    data: Text
    fingerprint: Annotated[str, Field(min_length=12, max_length=200)]
    classes: Annotated[tuple[Name, ...], Field(min_length=2)]
    preparation: dict[str, Any]
    seed: Whole
    device: Annotated[str, Field(pattern="^(cpu|cuda)$")]
    weights_origin: tuple[Text, ...] = ()
    modalities: tuple[Name, ...] = ()
    leak: str = ""
    seen: tuple[Annotated[str, Field(max_length=64)], ...] = ()
    sides: tuple[Text, ...] | None = None
    targets: dict[Name, Annotated[tuple[Name, ...], Field(min_length=2)]] = field(default_factory=dict)
    split_fingerprint: Annotated[str, Field(max_length=64)] = ""

    @property
    def initial_weights(self) -> str:
        """Where the initial weights came from, in words, each origin once; without folders."""
        return without_folders_within("; ".join(dict.fromkeys(self.weights_origin)))

    def model_arguments(self) -> dict[str, Any]:
        """Return what ``build_model`` must know of the data."""
        preparation = PreparationSettings.from_json(self.preparation)
        return {
            "classes": len(self.classes),
            "targets": self.targets,
            "size": preparation.size,
            "in_channels": preparation.channels,
        }


class StoredPart(pydantic.BaseModel):
    """Base of the models of a run's files: unknown fields are kept."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True, strict=True)


class Epoch(StoredPart):
    """A line of ``metrics.jsonl``; every loss term adds its own key."""

    __pydantic_extra__: dict[str, float | None] = Field(init=False)
    epoch: Whole
    step: Whole
    best_epoch: Whole
    val_auc: float | None = None
    val_loss: float | None = None
    skipped_steps: Whole = 0


class Environment(StoredPart):
    """``environment.json``."""

    python: Text
    platform: Text
    packages: dict[Name, Text]
    cpu_threads: Whole
    cuda: Text | None
    gpu: Text | None
    command: list[Text] = []


class PluginRow(StoredPart):
    """A row of ``plugins.json``."""

    __pydantic_extra__: dict[str, Text] = Field(init=False)
    package: Text
    version: Text


class Checksums(StoredPart):
    """``checksums.json``: the sha256 of the files that a training leaves as they are once it has ended."""

    files: dict[Name, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]


class StoredMeasure(StoredPart):
    """A value with its interval; null if it could not be computed."""

    value: Real | None
    low: Real | None
    high: Real | None


class StoredSubgroup(StoredPart):
    """The exams of a subgroup; its measures are the group of this name, unless it could not be measured."""

    by: Name
    exams: Whole
    patients: Whole
    classes: dict[Name, Whole]


class Evaluation(StoredPart):
    """``evaluation.json``, and the files of other parts, other data and the last weights."""

    schema_: Annotated[Literal["gazekit.evaluation/1"], Field(alias="schema")] = EVALUATION_SCHEMA
    preset: Name
    run: Text
    epoch: Whole | None = None
    weights: Literal["selected", "last"] = "selected"
    chosen: Text = ""
    split: EvaluatedPart
    data: Text = ""
    flattery: list[Text] = []
    limits: list[Text] = []
    files: list[Name] = []
    exams: Whole
    patients: Whole
    classes: dict[Name, Whole]
    positive: Text | None = None
    interval: Text
    leak: Text
    threshold: Text = ""
    called_above: Real = 0.5
    calibration: Text = "none"
    metrics: dict[Name, dict[Name, StoredMeasure]]
    subgroups: dict[Name, StoredSubgroup] = {}
    trained: Text = ""
    """``RunDirectory.identity`` of the run; empty in the files of earlier versions, like the next."""
    table: Text = ""
    """sha256 of the table of predictions."""


_EPOCH = pydantic.TypeAdapter(Epoch)
_PLUGINS = pydantic.TypeAdapter(list[PluginRow])


def read_facts(path: Path) -> RunFacts:
    """Read ``run.json``. Raises DataError."""
    facts: RunFacts = read_versioned(path, FACTS, SCHEMA, RunFacts)
    try:
        PreparationSettings.from_json(facts.preparation)
    except (ConfigurationError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: preparation: expected the settings of one ({error}); {_AGAIN}") from None
    return facts


def check_whole_preset(path: Path, tables: Mapping[str, Any]) -> None:
    """Raise DataError if the preset of a run is cut off, so that defaults would replace what it was trained with.

    Args:
        path: for messages.
        tables: of the file; ``[training.augmentation]`` is the last that every run writes.
    """
    training = tables.get("training")
    if not isinstance(training, Mapping) or "augmentation" not in training:
        raise DataError(f"{path}: has no [training.augmentation], as if its end were cut off; {_AGAIN}")


def read_epochs(path: Path) -> list[dict[str, Any]]:
    """Read all epochs so far from ``metrics.jsonl``; skip a last line torn by a crash. Raises DataError."""
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines_of(path, METRICS), 1):
        where = f"line {number}: "
        try:
            value = parse_json(line, path, METRICS, where=where)
        except DataError:
            if not line.endswith("\n"):
                break
            raise
        validated(value, path, METRICS, _EPOCH, where=where)
        found.append(value)
    return found


def read_environment(path: Path) -> dict[str, Any]:
    """Read ``environment.json``. Raises DataError."""
    return _plain(read_model(path, ENVIRONMENT, Environment))


def read_plugins(path: Path) -> list[dict[str, str]]:
    """Read ``plugins.json``. Raises DataError."""
    rows: list[PluginRow] = read_model(path, PLUGINS, _PLUGINS)
    return [_plain(row) for row in rows]


def read_checksums(path: Path) -> dict[str, str]:
    """Read ``checksums.json``: name of a file → its sha256. Raises DataError."""
    return dict(read_versioned(path, CHECKSUMS, CHECKSUMS_SCHEMA, Checksums).files)


def read_evaluation(path: Path) -> dict[str, Any]:
    """Read ``evaluation.json``. Raises DataError."""
    return _plain(read_model(path, EVALUATION, Evaluation))


def _plain(model: pydantic.BaseModel) -> dict[str, Any]:
    return model.model_dump(by_alias=True)


def read_predictions(path: Path) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Read ``predictions.csv``: each exam with its probability of each class. Raises DataError."""
    columns: list[str] = []
    for number, row in enumerate(rows_of(path, ("exam_id", "patient_id", "label"), PREDICTIONS), 2):
        columns = columns or columns_of_label(list(row))
        try:
            chances = tuple(float(row[name]) for name in columns)
        except ValueError:
            chances = ()
        if len(chances) < 2 or not all(0 <= chance <= 1 for chance in chances) or math.isnan(sum(chances)):
            raise DataError(
                f"{path}: row {number}: expected a probability of each class, at least two; {_EVALUATE}"
            )
        yield row["exam_id"], chances


def columns_of_label(names: Sequence[str]) -> list[str]:
    """Return the columns with the probabilities of the label: those after ``label``, up to a further target.

    A target may be named ``p_stage`` too; its own probabilities follow it, such as ``p_stage:p_II``.
    """
    found: list[str] = []
    after = names[names.index("label") + 1 :]
    for name, following in zip(after, [*after[1:], ""], strict=True):
        if not name.startswith("p_") or following.startswith(f"{name}:p_"):
            break
        found.append(name)
    return found
