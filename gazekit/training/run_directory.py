"""The run directory: everything needed to trace, resume and use one training."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gazekit.atomic import append_line, disk_errors, write_atomically
from gazekit.errors import ConfigurationError, DataError
from gazekit.locking import locked
from gazekit.processes import rank

SCHEMA = "gazekit.run/1"
_PARTS = ("train", "val", "all", "last", "train_last", "val_last", "all_last")
_OURS = {
    *("preset.toml", "plugins.json", "environment.json", "run.json", "split.csv", "metrics.jsonl", "log.txt"),
    *("checkpoints", "predictions.csv", "evaluation.json", "report.html", "attention.png", "attention.svg"),
    *(f"evaluation_{part}.json" for part in _PARTS),
    *(f"predictions_{part}.csv" for part in _PARTS),
    *("tensorboard", "model.onnx", "model.onnx.data", "model.pt2", ".lock"),
}
"""What a run directory may hold; one that holds anything else is never removed."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What identifies a run beside its preset.

    Args:
        preset: the name it was asked for by; its values are in ``preset.toml``.
        data: folder of the prepared data set.
        fingerprint: of the prepared data set; a run is never mixed with other data.
        classes: class names, in order of the labels.
        preparation: settings that raw images go through before the model sees them.
        seed: of initial weights, order, augmentation and dropout.
        device: ``cpu`` or ``cuda``.
        weights_origin: where each branch's initial weights came from.
        modalities: of the DICOM files that it was trained on; empty where there was none.
        sides: of the images that it was trained on, as far as they were known; None in runs of earlier versions.
        leak: the patients that the split puts on two sides, in words; every report of the run repeats it.
    """

    preset: str
    data: str
    fingerprint: str
    classes: tuple[str, ...]
    preparation: dict[str, Any]
    seed: int
    device: str
    weights_origin: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    leak: str = ""
    sides: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of a run by name; see ``create`` and ``open``. Of processes that train together, process 0 writes."""

    path: Path

    @property
    def preset(self) -> Path:
        """The resolved preset."""
        return self.path / "preset.toml"

    @property
    def split(self) -> Path:
        """Which exam is in which part."""
        return self.path / "split.csv"

    @property
    def metrics(self) -> Path:
        """One JSON line per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Step checkpoints, the newest and the one before."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """Checkpoints of the best validation AUC."""
        return self.path / "checkpoints" / "best"

    @property
    def predictions(self) -> Path:
        """Probabilities per exam of the test part, written by evaluation."""
        return self.path / "predictions.csv"

    @property
    def evaluation(self) -> Path:
        """Metrics of the test part, written by evaluation."""
        return self.path / "evaluation.json"

    @classmethod
    def create(cls, path: Path, *, overwrite: bool = False) -> "RunDirectory":
        """Make an empty run directory, in place of another one only if asked to. Raises as ``check_free`` does."""
        cls.check_free(path, overwrite=overwrite)
        if path.exists():
            shutil.rmtree(path)
        with disk_errors(path):
            path.mkdir(parents=True)
        return cls(path)

    @classmethod
    def check_free(cls, path: Path, *, overwrite: bool) -> None:
        """Raise ConfigurationError if the folder holds a run that is not to be overwritten, or no run at all."""
        if not path.exists():
            return
        if not overwrite:
            raise ConfigurationError(
                f"{path}: exists already; go on with --resume, start anew with --overwrite"
            )
        strangers = (
            [file.name for file in path.iterdir() if _plain(file.name) not in _OURS]
            if path.is_dir()
            else [path.name]
        )
        if strangers:
            raise ConfigurationError(
                f"{path}: holds {strangers[0]}, which no run has; choose another --out, nothing was removed"
            )
        with cls(path).lock(
            needed="whether another process is training this run cannot be told; remove its folder yourself, or choose "
            "another --out"
        ):
            pass

    @contextmanager
    def lock(self, *, needed: str = "") -> Iterator[None]:
        """Keep others from training this run. Raises ConfigurationError as ``locked`` does: someone does already."""
        if rank() > 0:
            yield
            return
        busy = f"{self.path}: another process is training this run; wait for it or stop it"
        with locked(self.path, busy=busy, needed=needed):
            yield

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """A run directory that was made before. Raises DataError."""
        if not (path / "run.json").is_file():
            raise DataError(f"{path}: not a run directory (it has no run.json); {_meant_for_a_run(path)}")
        return cls(path)

    def write_facts(self, facts: RunFacts) -> None:
        """Write ``run.json``, last of what a run is started with: without it there is no run."""
        write_atomically(self.path / "run.json", json.dumps({"schema": SCHEMA, **asdict(facts)}, indent=2))

    def facts(self) -> RunFacts:
        """What ``run.json`` says. Raises DataError."""
        try:
            values = json.loads((self.path / "run.json").read_text())
            schema = values.pop("schema")
            facts = RunFacts(
                **values
                | {key: tuple(values[key]) for key in ("classes", "weights_origin")}
                | {"modalities": tuple(values.get("modalities", ()))}
                | {"sides": None if values.get("sides") is None else tuple(values["sides"])}
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.path / 'run.json'}: not readable: {error}") from None
        if schema != SCHEMA:
            raise DataError(f"{self.path / 'run.json'}: schema {schema}, expected {SCHEMA}")
        return facts

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run."""
        write_atomically(self.path / name, text)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the run."""
        self.write_text(name, json.dumps(value, indent=2, default=str))

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run. Raises DataError."""
        try:
            return json.loads((self.path / name).read_text())
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path / name}: not readable: {error}") from None

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add one epoch to ``metrics.jsonl``."""
        if rank() == 0:
            append_line(self.metrics, json.dumps(line))

    def read_metrics(self) -> list[dict[str, Any]]:
        """All epochs so far; a line torn by a crash is left out."""
        if not self.metrics.exists():
            return []
        lines = []
        for text in self.metrics.read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
        return lines

    def keep_metrics(self, epochs: int) -> None:
        """Forget lines after the first ``epochs``: a resumed run writes them again."""
        if rank() == 0:
            kept = [line for line in self.read_metrics() if line["epoch"] <= epochs]
            write_atomically(self.metrics, "".join(json.dumps(line) + "\n" for line in kept))

    def log(self, message: str) -> None:
        """Add a line to ``log.txt``."""
        if rank() == 0:
            append_line(self.path / "log.txt", message)


def _plain(name: str) -> str:
    """The name of a file without what it has while it is being written."""
    return name.removeprefix(".").removesuffix(".partial") if name.endswith(".partial") else name


def _meant_for_a_run(path: Path) -> str:
    """What to give in place of a path that is no run."""
    if (path / "dataset.json").is_file():
        return "it is a prepared data set; give the run first, the data with --data"
    below = sorted(run.parent for run in path.glob("*/run.json"))
    if below:
        return f"there {'is one' if len(below) == 1 else f'are {len(below)}'} in it, such as {below[-1]}"
    return "expected the --out of gazekit train; gazekit runs list names those in runs/"
