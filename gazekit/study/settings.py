"""Read and validate the settings of a study (STUDY.toml): systems, data, folds and seeds."""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from gazekit.disk.home_folder import with_home, without_home
from gazekit.disk.own_files import MIB, FileKind, read_text
from gazekit.disk.plain_text import visible
from gazekit.errors import ConfigurationError, DataError
from gazekit.presets.preset import Preset
from gazekit.presets.tables import Space, read_space
from gazekit.registry.registry import Registry
from gazekit.study.sampling import Sampler

_KIND = FileKind("a TOML file that describes a study", MIB, "choose another, or write it again", linked=True)
_NAME = r"^\w[\w.=+,-]*$"
SystemName = Annotated[str, Field(pattern=_NAME)]
Items = tuple[str, ...]
_MOST = 1000
"""Limit for systems, folds, repeats and seeds: high enough, yet a typing error cannot fill the disk."""
Repetitions = Annotated[int, Field(ge=1, le=_MOST)]
SplitFile = Annotated[str, Field(pattern=r"\.csv$")]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class SystemSettings(_Strict):
    """One row of the table; the key ``set`` is ``changes`` here."""

    name: SystemName
    preset: str
    """A registered preset, or a TOML file."""
    changes: Items = Field((), alias="set")
    """``key.path=value`` items on top of the preset."""
    data: Path | None = None
    """Another prepared folder with the same exams, for controls (such as gaze shuffled between exams)."""


class TuneSettings(_Strict):
    """How each run of a study is tuned on the training part of its fold, all rows with the same budget."""

    sampler: Sampler = "tpe"
    """``random``, or ``tpe``, which learns from the trials before."""
    trials: Repetitions = 16
    """Trials of each run; the first tries the preset's own values."""
    folds: Repetitions = 1
    """Inner folds of the exams outside the test part; 1: the fold's own validation part."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the sampler."""
    space: Annotated[Space, pydantic.BeforeValidator(read_space)] = {}
    """Key → values, for all rows; empty: each row has the table ``tune`` of its preset."""


class StudySettings(_Strict):
    """The settings of a study; see ``read_study`` and ``from_presets``."""

    title: str = "Comparison"
    data: Path
    """Prepared data set."""
    folds: Annotated[int, Field(ge=2, le=_MOST)] | Literal["given"] | SplitFile = 5
    """Number of cross-validation folds, the source's own split (else one as the presets say), or a split file."""
    repeats: Repetitions = 1
    """How often the exams are dealt into folds."""
    seeds: Repetitions = 3
    """Runs per fold; seeds are always 0, 1, …."""
    reference: str = ""
    """The system that the others are compared with; the first one if not given."""
    changes: Items = Field((), alias="set")
    """``key.path=value`` items on top of every preset."""
    allow_leak: bool = False
    """Use the source's split even if it puts a patient on two sides; every table then warns about it."""
    tune: TuneSettings | None = None
    """Tune each run first; absent: every run takes the values of its preset."""
    systems: Annotated[tuple[SystemSettings, ...], Field(alias="system", max_length=_MOST)]

    @property
    def reference_name(self) -> str:
        """The system that the others are compared with."""
        return self.reference or self.systems[0].name

    def to_toml_values(self) -> dict[str, Any]:
        """Return the settings as plain values that ``parse_study`` reads."""
        values = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        for table in (values, *values["system"]):
            for key in {"data", "preset"} & table.keys():
                table[key] = without_home(table[key])
        return values


def read_study(path: Path) -> StudySettings:
    """Read STUDY.toml; the paths in it are relative to it. Raises ConfigurationError with every problem at once."""
    try:
        values = tomllib.loads(read_text(path, _KIND))
    except DataError as error:
        raise ConfigurationError(str(error)) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits raises no TOMLDecodeError
        raise ConfigurationError(f"{path}: not readable as TOML: {visible(str(error))}") from None
    return parse_study(values, str(path), folder=path.parent)


def parse_study(
    values: Mapping[str, Any], origin: str, *, folder: Path, earlier: Sequence[str] = ()
) -> StudySettings:
    """Validate a study.

    Args:
        values: as in STUDY.toml; a system without a name takes its preset's name.
        origin: of the values, for messages.
        folder: paths are relative to it.
        earlier: names of systems already in the study.

    Raises:
        ConfigurationError: every problem, each with its key.
    """
    systems = values.get("system")
    if isinstance(systems, list):
        values = {**values, "system": [_named(system) for system in systems]}
    try:
        settings = StudySettings.model_validate(values)
    except pydantic.ValidationError as error:
        problems = [f"{_where(item['loc'])}: {_explain(item)}" for item in error.errors(include_url=False)]
        raise _wrong(origin, problems) from None
    problems = _contradictions(settings, earlier)
    if problems:
        raise _wrong(origin, problems)
    return _resolved(settings, folder)


def resolve_presets(
    settings: StudySettings, registry: Registry, environment: Mapping[str, str]
) -> dict[str, Preset]:
    """Resolve the preset of each system. Raises ConfigurationError: names every unusable one."""
    presets, problems = {}, []
    for system in settings.systems:
        changes = (*settings.changes, *system.changes)
        try:
            preset = registry.preset(system.preset, environment=environment, overrides=changes)
        except ConfigurationError as error:
            problems.append(f"system '{system.name}': {error}")
        else:
            presets[system.name] = preset.named(system.name)
    if problems:
        raise ConfigurationError("\n".join(problems))
    return presets


def _named(system: Any) -> Any:
    if isinstance(system, dict) and isinstance(system.get("preset"), str):
        return {"name": Path(system["preset"]).name.removesuffix(".toml"), **system}
    return system


def _contradictions(settings: StudySettings, earlier: Sequence[str]) -> list[str]:
    names = [system.name for system in settings.systems]
    if not names:
        return ["system: missing; expected a table [[system]] with its preset"]
    problems = [
        f"system: {number} systems are named '{name}'; give each a different name"
        for name, number in Counter(names).items()
        if number > 1
    ]
    there = dict.fromkeys([*earlier, *names])
    if settings.reference_name not in there:
        problems.append(f"reference: no system '{settings.reference}'; there are {', '.join(there)}")
    if isinstance(settings.folds, str) and settings.repeats > 1:
        problems.append(
            f'repeats: a given split cannot be dealt again; expected repeats = 1 with folds = "{settings.folds}"'
        )
    return problems


def _resolved(settings: StudySettings, folder: Path) -> StudySettings:
    """Make paths absolute, so that they do not depend on the working directory."""

    def absolute(path: Path) -> Path:
        return (folder / with_home(str(path))).absolute()

    systems = [
        system.model_copy(
            update={
                "preset": str(absolute(Path(system.preset)))
                if system.preset.endswith(".toml")
                else system.preset,
                "data": absolute(system.data) if system.data else None,
            }
        )
        for system in settings.systems
    ]
    paths: dict[str, Path | str] = {"data": absolute(settings.data)}
    if isinstance(settings.folds, str) and settings.folds != "given":
        paths["folds"] = str(absolute(Path(settings.folds)))
    return settings.model_copy(update={**paths, "systems": tuple(systems)})


def _where(location: tuple[int | str, ...]) -> str:
    """Name a key, such as ``system 2: preset``, without the branches of a union."""
    words: list[str] = []
    for part in location:
        if isinstance(part, int):
            words[-1] += f" {part + 1}"
        elif not part.startswith(("constrained-", "int", "literal[")):
            words.append(part)
    return ": ".join(words)


def _explain(item: Any) -> str:
    if item["loc"][0] == "folds":
        return f'expected a number of at least 2, "given", or a split file *.csv (got {item["input"]!r})'
    explained = {
        "missing": "is needed",
        "extra_forbidden": "no such key",
        "string_pattern_mismatch": f"'{item['input']}' is not a valid name; expected letters, digits and . = + , - _",
    }
    return explained.get(item["type"]) or f"{item['msg']} (got {item['input']!r})"


def _wrong(origin: str, problems: list[str]) -> ConfigurationError:
    unique = dict.fromkeys(problems)
    lines = "\n".join(f"  {problem}" for problem in unique)
    return ConfigurationError(f"{origin} has {len(unique)} problem(s):\n{lines}")
