"""Manage the run directory: everything needed to trace, resume and use a trained model."""

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from gazekit.disk.atomic import (
    append_line,
    disk_errors,
    empty_folder,
    forget_partial,
    whole_name,
    write_atomically,
)
from gazekit.disk.locking import LOCK, locked
from gazekit.disk.plain_text import visible
from gazekit.disk.wording import in_command
from gazekit.distributed.membership import rank
from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.splits import fingerprint_of, read_split
from gazekit.runs.files import (
    CHECKSUMS_SCHEMA,
    SCHEMA,
    SELECTED,
    RunFacts,
    read_checksums,
    read_environment,
    read_epochs,
    read_evaluation,
    read_facts,
    read_plugins,
    read_predictions,
)

EVALUATED = ("test", "train", "val", "all")
"""Parts that can be evaluated; files of the first one have the plain names."""
WEIGHTS: tuple[Literal["selected", "last"], ...] = ("selected", "last")
"""Weights that can be evaluated; files of the first ones have the plain names."""
_SUFFIXES = ("", *(f"_{part}" for part in EVALUATED[1:]))
_SEALED = ("preset.toml", "plugins.json", "environment.json", "run.json", "metrics.jsonl")
"""Files that stay as they are once the training has ended; the split has its fingerprint."""
_OURS = {
    *_SEALED,
    *("checksums.json", "split.csv", "log.txt"),
    *("checkpoints", "report.html", "report_cases", "attention.png", "attention.svg"),
    *(f"evaluation{of}{last}.json" for of in _SUFFIXES for last in ("", "_last")),
    *(f"predictions{of}{last}.csv" for of in _SUFFIXES for last in ("", "_last")),
    *(f"explain_check{of}.{kind}" for of in _SUFFIXES for kind in ("json", "jsonl")),
    *(
        "tensorboard",
        "trackers",
        "trackers.json",
        "calibration.json",
        "README.md",
        "model.onnx",
        "model.onnx.data",
        "model.pt2",
        LOCK,
    ),
}
"""Entries that a run directory may hold; a folder with anything else is never removed."""
_OF_OTHER_DATA = re.compile(
    r"(evaluation_all_X(_last)?\.json|predictions_all_X(_last)?\.csv|explain_check_all_X\.jsonl?)".replace(
        "X", "[0-9a-f]{8}"
    )
)
"""Entries of evaluations, and of checks of attention maps, on other data."""
_UNSURE = (
    "cannot tell whether another process is training this run; remove its folder yourself, or choose "
    "another --out"
)


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of a run by name; see ``create`` and ``open``. In a group of processes, process 0 writes."""

    path: Path

    @property
    def preset_path(self) -> Path:
        """The resolved preset."""
        return self.path / "preset.toml"

    @property
    def split_path(self) -> Path:
        """The table that assigns exams to parts."""
        return self.path / "split.csv"

    @property
    def log_path(self) -> Path:
        """What happened, a line each."""
        return self.path / "log.txt"

    @property
    def metrics(self) -> Path:
        """The file with one JSON line per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of step checkpoints: the newest and the one before."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """Folder of the checkpoints with the best validation AUC."""
        return self.checkpoints / SELECTED

    @property
    def predictions(self) -> Path:
        """Probabilities per exam of the test part, written by evaluation."""
        return self.path / "predictions.csv"

    @property
    def evaluation(self) -> Path:
        """Metrics of the test part, written by evaluation."""
        return self.path / "evaluation.json"

    def evaluation_of(
        self, part: str, which: Literal["selected", "last"] = "selected", other: str = ""
    ) -> tuple[Path, Path]:
        """Return the files of measures and predictions.

        Args:
            part: one of ``EVALUATED``.
            which: of the selected or the last weights.
            other: fingerprint of data other than the training data.
        """
        of = _ending(part, other) + ("_last" if which == "last" else "")
        return self.path / f"evaluation{of}.json", self.path / f"predictions{of}.csv"

    def explain_check_of(self, part: str, other: str = "") -> Path:
        """Return the file with the checks of attention maps; see ``evaluation_of``."""
        return self.path / f"explain_check{_ending(part, other)}.json"

    @classmethod
    @contextmanager
    def created(
        cls, path: Path, *, overwrite: bool = False, leftovers: bool = False
    ) -> Iterator["RunDirectory"]:
        """Make an empty run directory, replacing another only on request, and keep it locked within the block.

        Args:
            path: the folder.
            overwrite: remove an existing run.
            leftovers: remove an incomplete run directory, as a crash leaves it.

        Raises:
            ConfigurationError: the folder is not free, or another process is making or training a run in it.
            StorageError: the folder cannot be made or emptied.
        """
        run = cls(path)
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        there = any(file.name != LOCK for file in path.iterdir())
        with run.lock(needed=_UNSURE if there else ""):
            run._check_replaceable(overwrite=overwrite, leftovers=leftovers)
            empty_folder(path, but=LOCK)
            yield run

    @classmethod
    def check_free(cls, path: Path, *, overwrite: bool = False, leftovers: bool = False) -> None:
        """Raise ConfigurationError if the folder holds a run that may not be overwritten, or anything but a run."""
        run = cls(path)
        if path.exists() and not path.is_dir():
            raise ConfigurationError(f"{path}: is a file; choose another --out")
        if path.exists() and not (overwrite or leftovers):
            raise run._taken()
        if path.exists():
            with run.lock(needed=_UNSURE) if (path / LOCK).exists() else nullcontext():
                run._check_replaceable(overwrite=overwrite, leftovers=leftovers)

    def _check_replaceable(self, *, overwrite: bool, leftovers: bool) -> None:
        there = [file.name for file in self.path.iterdir() if file.name != LOCK]
        names = map(whole_name, there)
        strangers = [name for name in names if name not in _OURS and not is_of_other_data(Path(name))]
        if there and not (overwrite or leftovers):
            raise self._taken()
        if strangers:
            raise ConfigurationError(
                f"{self.path}: holds {visible(strangers[0])}, which no run has; choose another --out; nothing was "
                "removed"
            )
        if leftovers and not overwrite and "run.json" in there:
            raise ConfigurationError(
                f"{self.path}: another process has begun this run in the meantime; go on with --resume"
            )

    def _taken(self) -> ConfigurationError:
        found, do = "exists already", "go on"
        there = {file.name for file in self.path.iterdir()} - {LOCK}
        if there & {"preset.toml", "plugins.json"} and "run.json" not in there:
            found, do = "holds what is left of a run that never began", "repeat the command"
        return ConfigurationError(
            f"{self.path}: {found}; {do} with --resume, or begin again with --overwrite"
        )

    @contextmanager
    def lock(self, *, needed: str = "") -> Iterator[None]:
        """Keep other processes from training this run. Raises ConfigurationError: one already does; see ``locked``."""
        if rank() > 0:
            yield
            return
        busy = f"{self.path}: another process is training this run; wait for it or stop it"
        with locked(self.path, busy=busy, needed=needed):
            forget_partial(self.path, now=time.time())
            yield

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """Open an existing run directory. Raises DataError."""
        if not (path / "run.json").is_file():
            raise DataError(f"{path}: not a run directory (it has no run.json); {_meant_for_a_run(path)}")
        return cls(path)

    def check_links(self) -> None:
        """Raise DataError if preset or split is a link; their readers follow links, which users may pass."""
        for file in (self.preset_path, self.split_path):
            if file.is_symlink():
                raise DataError(f"{file}: is a link; expected a file of the run; get another copy of the run")

    def split(self) -> dict[str, str]:
        """Read the split. Raises DataError: it is damaged, or not the one that the run began with."""
        split, facts = read_split(self.split_path), self.facts()
        if facts.split_fingerprint and facts.split_fingerprint != fingerprint_of(split):
            raise DataError(
                f"{self.split_path}: is not the split that the run began with: it was changed, and exams of one part "
                "may have been used as those of another; get another copy of the run, or train it again"
            )
        return split

    @property
    def checksums(self) -> Path:
        """The checksums of the files that stay as they are once the training has ended; not there before."""
        return self.path / "checksums.json"

    def seal(self) -> None:
        """Write the checksums of a run whose training has ended. Raises StorageError."""
        if rank() == 0:
            files = {name: _sha256(self.path / name) for name in _SEALED if (self.path / name).is_file()}
            self.write_json(self.checksums.name, {"schema": CHECKSUMS_SCHEMA, "files": files})

    def unseal(self) -> None:
        """Remove the checksums before the training goes on, and makes others.

        Raises:
            DataError: a file was changed after the training ended, or is missing.
            StorageError: they cannot be removed.
        """
        for name in _SEALED:
            self.check_unchanged(name)
        with disk_errors(self.checksums):
            self.checksums.unlink(missing_ok=True)

    def check_unchanged(self, name: str) -> None:
        """Raise DataError if a file is not as the ended training left it.

        While a training goes on, and in runs of earlier versions, there are no checksums, and nothing is checked.
        """
        path, files = self.path / name, self._sealed()
        # a training that goes on in another process removes them, and only then changes the file
        if name in files and _sha256(path) != files[name] and self._sealed() == files:
            what = (
                f"was changed after the training ended, or is of another run (see {self.checksums.name})"
                if path.is_file()
                else f"is missing, and was there when the training ended (see {self.checksums.name})"
            )
            raise DataError(f"{path}: {what}; get another copy of the run, or train it again")

    def _sealed(self) -> dict[str, str]:
        """Read the checksums; empty if there are none. Raises DataError."""
        try:
            return read_checksums(self.checksums)
        except DataError:
            if os.path.lexists(self.checksums):
                raise
            return {}

    def write_facts(self, facts: RunFacts) -> None:
        """Write ``run.json``; starting a run writes it last, because without it there is no run."""
        write_atomically(self.path / "run.json", json.dumps({"schema": SCHEMA, **asdict(facts)}, indent=2))

    def facts(self) -> RunFacts:
        """Read ``run.json``. Raises DataError: it is damaged, or was changed after the training ended."""
        facts = read_facts(self.path / "run.json")
        self.check_unchanged("run.json")
        return facts

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run."""
        write_atomically(self.path / name, text)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the run."""
        self.write_text(name, json.dumps(value, indent=2, default=str))

    def environment(self) -> dict[str, Any]:
        """Read ``environment.json``. Raises DataError."""
        environment = read_environment(self.path / "environment.json")
        self.check_unchanged("environment.json")
        return environment

    def plugins(self) -> list[dict[str, str]]:
        """Read ``plugins.json``. Raises DataError."""
        plugins = read_plugins(self.path / "plugins.json")
        self.check_unchanged("plugins.json")
        return plugins

    def identity(self) -> str:
        """Return a digest of the first epoch's numbers: resuming keeps it, and only runs that begin alike share it.

        Raises:
            DataError: ``metrics.jsonl`` cannot be read.
        """
        return hashlib.sha256(json.dumps(self.read_metrics()[:1], sort_keys=True).encode()).hexdigest()

    def read_evaluation(self, path: Path | None = None) -> dict[str, Any]:
        """Read ``evaluation.json``, or that of another part. Raises DataError, also if it is of another run."""
        path = path or self.evaluation
        evaluation = read_evaluation(path)
        self.check_is_own(path, evaluation["trained"], "evaluate")
        return evaluation

    def check_is_own(self, path: Path, trained: str, command: str) -> None:
        """Raise DataError if a file of results is of another run.

        Args:
            path: the file.
            trained: the identity of the run that it holds; empty in the files of earlier versions.
            command: of gazekit, that writes the file.
        """
        if trained not in ("", self.identity()):
            raise DataError(
                f"{path}: is of another run; write it again: gazekit {command} {in_command(self.path)}"
            )

    def read_predictions(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        """Read ``predictions.csv``. Raises DataError, also if it is not that of ``evaluation.json``."""
        self.check_table(self.evaluation, self.predictions)
        return read_predictions(self.predictions)

    def check_table(self, measures: Path, table: Path) -> None:
        """Raise DataError if a table of predictions is not the one that the measures are of."""
        if self.read_evaluation(measures)["table"] not in ("", _sha256(table)):
            last = " --weights last" if measures.stem.endswith("_last") else ""
            raise DataError(
                f"{table}: was changed, or is not the table that {measures.name} is of; write both again: gazekit "
                f"evaluate {in_command(self.path)}{last}"
            )

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add one epoch to ``metrics.jsonl``."""
        if rank() == 0:
            append_line(self.metrics, json.dumps(line))

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read all epochs so far, skipping a line torn by a crash.

        Raises:
            DataError: another line is damaged, or the file was changed after the training ended.
        """
        if not os.path.lexists(self.metrics):
            return []
        epochs = read_epochs(self.metrics)
        self.check_unchanged(self.metrics.name)
        return epochs

    def keep_metrics(self, epochs: int) -> None:
        """Drop lines after the first ``epochs``, and the checksums; a resumed run writes them again."""
        if rank() == 0:
            kept = [line for line in self.read_metrics() if line["epoch"] <= epochs]
            self.unseal()
            write_atomically(self.metrics, "".join(json.dumps(line) + "\n" for line in kept))

    def log(self, message: str) -> None:
        """Add a line to ``log.txt``; line breaks in it are written as ``\\n``."""
        if rank() == 0:
            append_line(self.log_path, visible(message))


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_of_other_data(file: Path) -> bool:
    """Whether a file of a run is of other data than those it was trained on."""
    return _OF_OTHER_DATA.fullmatch(file.name) is not None


def _ending(part: str, other: str) -> str:
    return ("" if part == EVALUATED[0] else f"_{part}") + (f"_{other[:8]}" if other else "")


def _meant_for_a_run(path: Path) -> str:
    """Suggest what to give instead of a path that is not a run."""
    if (path / "dataset.json").is_file():
        return "it is a prepared data set; give the run first, the data with --data"
    below = sorted(run.parent for run in path.glob("*/run.json"))
    if below:
        return f"there {'is one' if len(below) == 1 else f'are {len(below)}'} in it, such as {below[-1]}"
    return "expected the --out of gazekit train; gazekit runs list names those in runs/"
