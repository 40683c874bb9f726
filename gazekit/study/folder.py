"""Manage the study directory: systems, splits and runs.

``study.json`` describes the study, ``splits/`` assigns exams to parts, ``systems/`` holds the resolved preset of each
row, ``runs/SYSTEM/fold-1-seed-0`` are ordinary run directories (of several data sets, ``DATA-fold-1-seed-0``).
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import Field

from gazekit.disk.atomic import disk_errors, own_folder, write_atomically
from gazekit.disk.locking import LOCK, locked
from gazekit.disk.own_files import MIB, FileKind, read_versioned
from gazekit.disk.plain_text import visible
from gazekit.disk.wrong_value import in_plain_words, problems_of
from gazekit.errors import ConfigurationError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import Split, read_split, write_split
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.runs.stored import preset_conflicts
from gazekit.study.data import StudyData, fingerprints
from gazekit.study.settings import RandomSplits, StudySettings, parse_study

_FINGERPRINT = re.compile(r"([0-9a-f]{12})[0-9a-f]{52}")
SCHEMA: Final = "gazekit.study-folder/1"
StudyKind = Literal["benchmark", "tune"]
_KIND = FileKind(
    "the facts of a study", 8 * MIB, "the study is damaged; ask for it again, or choose another --out"
)


class StudyFacts(pydantic.BaseModel):
    """Content of ``study.json``: the study's identity, progress and settings."""

    model_config = pydantic.ConfigDict(frozen=True, populate_by_name=True, strict=True)

    schema_: Annotated[Literal["gazekit.study-folder/1"], Field(alias="schema")] = SCHEMA
    kind: StudyKind
    data: str
    """Fingerprint of the data; of several data sets, in order."""
    data_names: list[str] | None = None
    """Names of several data sets, which are part of the names of their runs; None for a single one."""
    folds: int | str | dict[str, float]
    repeats: Annotated[int, Field(ge=1)]
    changes: Annotated[list[str], Field(alias="set")]
    own_data: dict[str, str] | None = None
    """System → fingerprint of its own data; older folders lack it."""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    failures: dict[str, str] = {}
    settings: dict[str, Any]

    @pydantic.field_validator("settings")
    @classmethod
    def _can_be_read(cls, values: dict[str, Any]) -> dict[str, Any]:
        try:
            StudySettings.model_validate_json(json.dumps(values), strict=True)
        except pydantic.ValidationError as error:
            first = problems_of(error)[0]
            raise ValueError(
                f"expected those of a study: {visible('.'.join(map(str, first['loc'])))}: {in_plain_words(first)}"
            ) from None
        return values

    def to_text(self) -> str:
        """Return JSON text."""
        return json.dumps(self.model_dump(by_alias=True), indent=2)


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """The files of a study by name."""

    path: Path

    @property
    def facts(self) -> Path:
        """The file that describes the study."""
        return self.path / "study.json"

    def split_path(self, fold: str) -> Path:
        """Return the split file of a fold."""
        return self.path / "splits" / f"{fold}.csv"

    def preset_path(self, system: str) -> Path:
        """Return the file of a row's resolved preset."""
        return self.path / "systems" / f"{system}.toml"

    def read(self) -> dict[str, Any]:
        """Read ``study.json``. Raises DataError: it is unreadable or has another version."""
        found: StudyFacts = read_versioned(self.facts, _KIND, SCHEMA, StudyFacts)
        return found.model_dump(by_alias=True)

    def settings(self) -> StudySettings:
        """Read the settings that the study last ran with. Raises as ``read``."""
        return parse_study(self.read()["settings"], str(self.facts), folder=self.path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from carrying out this study. Raises FolderInUse: one already does."""
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        busy = f"{self.path}: another process is carrying out this study; wait for it or stop it"
        with locked(self.path, busy=busy):
            try:
                yield
            finally:
                # it could not start: leave nothing behind, while nobody else uses the folder
                if not self.facts.exists():
                    (self.path / LOCK).unlink(missing_ok=True)
                    with suppress(OSError):
                        self.path.rmdir()

    def add_seconds(self, seconds: float) -> None:
        """Add to the wall time spent on the runs."""
        values = self.read()
        self._write(values | {"seconds": values["seconds"] + seconds})

    def note(self, run: str, failure: str | None) -> None:
        """Record why a run, ``SYSTEM/fold-1-seed-0``, failed; clear the record when it no longer does."""
        values = self.read()
        failures = {name: reason for name, reason in values.get("failures", {}).items() if name != run}
        if failure is not None:
            failures[run] = failure
        self._write(values | {"failures": failures})

    def _write(self, values: dict[str, Any]) -> None:
        write_atomically(self.facts, StudyFacts.model_validate(values).to_text())


def join_earlier(folder: StudyFolder, settings: StudySettings) -> StudySettings:
    """Put the folder's existing systems first in the settings, in their order, so that no row gets lost."""
    if not folder.facts.exists():
        return settings
    named = {system.name: system for system in settings.systems}
    earlier = {system.name: system for system in folder.settings().systems}
    return settings.model_copy(update={"systems": tuple((earlier | named).values())})


def enter(
    folder: StudyFolder,
    kind: StudyKind,
    settings: StudySettings,
    presets: Mapping[str, Preset],
    splits: Mapping[str, tuple[PreparedDataset, Split]],
    data: StudyData,
    registry: Registry,
    *,
    adds: bool = True,
) -> None:
    """Write the description of the study, or check that the folder holds the same study.

    Systems and seeds may be added to a study; data, folds and existing systems cannot change. ``splits`` holds each
    with the data set that it splits. Unless something is to be added (``adds``), nothing is written.

    Raises:
        ConfigurationError: the folder belongs to another study, and the message names every difference; or there is
            something to add, and another process holds the lock.
    """
    identity: dict[str, Any] = {
        "kind": kind,
        "data": fingerprints(data.sets),
        "data_names": list(data.sets) if len(data.sets) > 1 else None,
        "folds": settings.folds.model_dump() if isinstance(settings.folds, RandomSplits) else settings.folds,
        "repeats": settings.repeats,
        "set": list(settings.changes),
    }
    own_data = {system: fingerprints(sets) for system, sets in data.controls.items()}
    kept: dict[str, Any] = {"seconds": 0.0, "failures": {}}
    if folder.facts.exists():
        there = folder.read()
        kept = {key: there.get(key, value) for key, value in kept.items()}
        _check_same(
            folder,
            there,
            identity,
            settings,
            presets,
            {fold: split for fold, (_, split) in splits.items()},
            registry,
        )
        _check_own_data(folder, there, own_data)
    elif any(path.name != LOCK for path in folder.path.iterdir()):
        raise ConfigurationError(f"{folder.path}: holds other files and no study; choose another --out")
    if not adds:
        _check_nothing_new(folder, settings)
        return
    for name in ("splits", "systems", "runs"):
        own_folder(folder.path / name)
    for fold, (dataset, split) in splits.items():
        if not folder.split_path(fold).exists():
            write_split(folder.split_path(fold), dataset, split)
    for system, preset in presets.items():
        if not folder.preset_path(system).exists():
            write_atomically(folder.preset_path(system), preset.to_toml())
    facts = StudyFacts(**identity, own_data=own_data, **kept, settings=settings.to_toml_values())
    write_atomically(folder.facts, facts.to_text())


def _check_nothing_new(folder: StudyFolder, settings: StudySettings) -> None:
    """Raise ConfigurationError if systems or seeds are to be added."""
    if not folder.facts.exists():
        raise ConfigurationError(
            f"{folder.path}: another process begins a study here; wait a moment, and look again"
        )
    there = folder.settings()
    if (there.systems, there.seeds) != (settings.systems, settings.seeds):
        raise ConfigurationError(
            f"{folder.path}: --so-far looks at a study, so nothing can be added to it; ask for its table alone, with "
            f"gazekit benchmark --out {shlex.quote(str(folder.path))} --so-far"
        )


def _check_same(
    folder: StudyFolder,
    there: Mapping[str, Any],
    identity: Mapping[str, Any],
    settings: StudySettings,
    presets: Mapping[str, Preset],
    splits: Mapping[str, Split],
    registry: Registry,
) -> None:
    different = [
        f"{key} is {_short(here)}, there {_short(there.get(key))}"
        for key, here in identity.items()
        if there.get(key) != here
        and not (key == "folds" and _is_split_file(here) and _is_split_file(there[key]))
    ]  # a split file may move: its splits are compared below
    seeds = there["settings"]["seeds"]
    if settings.seeds < seeds:
        different.append(f"seeds are {settings.seeds}, there {seeds} (they may only grow)")
    if not different:  # other differences change the folds anyway
        different += [
            f"the split {fold} is another"
            for fold, split in splits.items()
            if folder.split_path(fold).exists() and read_split(folder.split_path(fold)) != split
        ]
    there_tuned = there["settings"].get("tune")
    tuned = settings.to_toml_values().get("tune")
    if identity["kind"] == "tune":  # more trials may follow
        there_tuned, tuned = ({**each, "trials": None} if each else each for each in (there_tuned, tuned))
    if tuned != there_tuned:
        different.append(f"tune is {tuned or 'absent'}, there {there_tuned or 'absent'}")
    for system, preset in presets.items():
        if folder.preset_path(system).exists():
            stored = registry.preset(str(folder.preset_path(system)))
            conflicts = preset_conflicts(stored, preset)
            conflicts += ["tune"] if settings.tune and stored.tune != preset.tune else []
            if conflicts:
                different.append(f"system '{system}' differs in {', '.join(conflicts)}")
    if different:
        raise ConfigurationError(
            f"{folder.path}: belongs to another study: {'; '.join(different)}. Choose another --out, or another name "
            "for a system that was changed"
        )


def _check_own_data(folder: StudyFolder, there: Mapping[str, Any], own_data: Mapping[str, str]) -> None:
    """Raise ConfigurationError if an existing system's own data have changed."""
    earlier = there.get("own_data")  # older folders lack it
    for system in there["settings"]["system"]:
        name = system["name"]
        if earlier is not None and earlier.get(name) != own_data.get(name):
            raise ConfigurationError(
                f"{folder.path}: system '{name}' has other data than it began with "
                f"({_short(own_data.get(name, 'none'))}, there {_short(earlier.get(name, 'none'))}); choose another "
                "name for it, or another --out"
            )


def _short(value: Any) -> str:
    """Write a value, and of each fingerprint in it the beginning."""
    return _FINGERPRINT.sub(r"\1…", str(value))


def _is_split_file(folds: Any) -> bool:
    return isinstance(folds, str) and folds != "given"
