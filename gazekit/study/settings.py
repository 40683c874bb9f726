"""Read and validate the settings of a study (STUDY.toml): systems, data, folds and seeds."""

import re
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
from gazekit.disk.suggestion import did_you_mean
from gazekit.disk.wording import counted
from gazekit.disk.wrong_value import in_plain_words, problems_of
from gazekit.errors import ConfigurationError, DataError
from gazekit.presets.preset import Preset
from gazekit.presets.tables import Space, read_space
from gazekit.registry.registry import Registry
from gazekit.study.grid import RunName
from gazekit.study.tuning.sampling import Sampler

_KIND = FileKind("a TOML file that describes a study", MIB, "choose another, or write it again", linked=True)
_NAME = r"^\w[\w.=+,-]*$"
SystemName = Annotated[str, Field(pattern=_NAME)]
Items = tuple[str, ...]
_MOST = 1000
"""Limit for systems, folds, repeats and seeds: high enough, yet a typing error cannot fill the disk."""
Repetitions = Annotated[int, Field(ge=1, le=_MOST)]
SplitFile = Annotated[str, Field(pattern=r"\.csv$")]
Share = Annotated[float, Field(ge=0, lt=1)]


Folders = Path | Annotated[tuple[Path, ...], Field(max_length=_MOST)]
"""A prepared folder, or several; a list of one is the same as that one."""


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RandomSplits(_Strict):
    """Splits drawn at random by patient, as ``gazekit data split --test … --val … --anew`` draws one."""

    test: Annotated[float, Field(gt=0, lt=1)]
    """Share of the patients in the test part."""
    val: Share = 0.2
    """Share of the other patients in the validation part."""


class Gate(_Strict):
    """A condition on a system's AUC, or on its difference to another's, that the study is expected to meet.

    Both are means over data sets, of each the mean over its splits and seeds.
    """

    system: str
    minus: str | None = None
    """The system whose AUC is subtracted, on the same runs."""
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    @property
    def subject(self) -> str:
        """The value that is meant, such as ``AUC of a − AUC of b``."""
        return f"AUC of {self.system}" + (f" − AUC of {self.minus}" if self.minus else "")

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that are set: words → number."""
        words = {"at least": self.at_least, "at most": self.at_most, "above": self.above, "below": self.below}
        return {word: bound for word, bound in words.items() if bound is not None}

    def holds(self, value: float) -> bool:
        """Say whether a value is within every bound."""
        holds = {
            "at least": lambda bound: value >= bound,
            "at most": lambda bound: value <= bound,
            "above": lambda bound: value > bound,
            "below": lambda bound: value < bound,
        }
        return all(holds[word](bound) for word, bound in self.bounds.items())


class SystemSettings(_Strict):
    """One row of the table; the key ``set`` is ``changes`` here."""

    name: SystemName
    preset: str
    """A registered preset, or a TOML file."""
    changes: Items = Field((), alias="set")
    """``key.path=value`` items on top of the preset."""
    data: Folders | None = None
    """Other prepared folders with the same exams, for controls (such as gaze shuffled between exams); as many as the
    study has, in the same order."""
    group: str = ""
    """Heading over this row in the figure of AUCs; rows of one group that follow each other share it."""


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
    """The settings of a study; see ``read_study`` and ``parse_study``."""

    title: str = "Comparison"
    data: Folders
    """Prepared data set, or several: each is split and trained on separately, and is a unit of the tests."""
    folds: Annotated[int, Field(ge=2, le=_MOST)] | Literal["given"] | SplitFile | RandomSplits = 5
    """Of each data set: number of cross-validation folds, the source's own split (else one as the presets say), a split
    file, or shares of random splits."""
    repeats: Repetitions = 1
    """How often the exams are dealt into folds; the number of random splits."""
    seeds: Repetitions = 3
    """Runs per fold; seeds are always 0, 1, …."""
    reference: str = ""
    """The system that the others are compared with; the first one if not given."""
    changes: Items = Field((), alias="set")
    """``key.path=value`` items on top of every preset."""
    allow_leak: bool = False
    """Train even if a split puts a patient on two sides, or initial weights have seen its test part; tables say so."""
    tune: TuneSettings | None = None
    """Tune each run first; absent: every run takes the values of its preset."""
    systems: Annotated[tuple[SystemSettings, ...], Field(alias="system", max_length=_MOST)]
    gates: Annotated[tuple[Gate, ...], Field(alias="gate", max_length=_MOST)] = ()
    """Conditions that the finished study is expected to meet."""

    @property
    def data_paths(self) -> tuple[Path, ...]:
        """The folder of every data set."""
        return _listed(self.data)

    @property
    def data_names(self) -> tuple[str, ...]:
        """The name of every data set: that of its folder."""
        return tuple(path.name for path in self.data_paths)

    @property
    def reference_name(self) -> str:
        """The system that the others are compared with."""
        return self.reference or self.systems[0].name

    def to_toml_values(self) -> dict[str, Any]:
        """Return the settings as plain values that ``parse_study`` reads."""
        values = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        for table in (values, *values["system"]):
            for key in {"data", "preset"} & table.keys():
                value = table[key]
                table[key] = [*map(without_home, value)] if isinstance(value, list) else without_home(value)
        return values


def read_study(path: Path, *, earlier: Sequence[str] = ()) -> StudySettings:
    """Read STUDY.toml; the paths in it are relative to it. Raises ConfigurationError with every problem at once.

    Args:
        path: the file.
        earlier: names of systems already in the study, which it may name without their ``[[system]]``.
    """
    try:
        values = tomllib.loads(read_text(path, _KIND))
    except DataError as error:
        raise ConfigurationError(str(error)) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits raises no TOMLDecodeError
        raise ConfigurationError(f"{path}: not readable as TOML: {visible(str(error))}") from None
    return parse_study(values, str(path), folder=path.parent, earlier=earlier)


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
        items = [item for item in problems_of(error) if _is_meant(item, values)]
        problems = [f"{_where(item['loc'])}: {_explain(item)}" for item in items]
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
    return [*problems, *_wrong_data(settings), *_wrong_gates(settings, list(there))]


def _wrong_data(settings: StudySettings) -> list[str]:
    """List the faults of several data sets: names that cannot tell runs apart, controls without counterpart."""
    names, number = settings.data_names, len(settings.data_paths)
    problems = []
    if not names:
        problems.append("data: an empty list; expected a prepared folder, or several")
    if number > 1:
        problems += [
            f"data: {count} folders are named '{name}', and runs are named after them; give each another name"
            for name, count in Counter(names).items()
            if count > 1
        ]
        problems += [
            f"data: the folder name '{visible(name)}' cannot be part of a run's name; expected letters, digits and "
            ". = + , - _"
            for name in names
            if not re.match(_NAME, name)
        ]
        problems += [
            f"data: runs of the folder '{name}' would have the names of runs on another split; expected a name that "
            "does not end like a split's, such as repeat-1 or fold-1"
            for name in names
            if re.match(_NAME, name) and RunName.parse(f"{name}-fold-1-seed-0").data != name
        ]
    for system in settings.systems:
        if system.data is not None and len(_listed(system.data)) != number:
            problems.append(
                f"system '{system.name}': data: {_counted(len(_listed(system.data)))}, the study has "
                f"{_counted(number)}; expected the counterpart of each, in the same order"
            )
    return problems


def _wrong_gates(settings: StudySettings, systems: Sequence[str]) -> list[str]:
    problems = []
    for number, gate in enumerate(settings.gates, start=1):
        problems += [
            f"gate {number}: no system '{visible(name)}'; there are {', '.join(systems)}"
            for name in (gate.system, gate.minus)
            if name is not None and name not in systems
        ]
        if not gate.bounds:
            problems.append(f"gate {number}: no bound; expected at_least, at_most, above or below")
        if gate.minus == gate.system:
            problems.append(f"gate {number}: minus is the system itself; expected another row")
        problems += _unreachable(gate, number)
    return problems


def _unreachable(gate: Gate, number: int) -> list[str]:
    """List the bounds that no AUC, or difference of two, is near, or all of them if none is within all."""
    lowest, what = (-1, "a difference of AUCs") if gate.minus else (0, "an AUC")
    beyond = [
        f"gate {number}: {word} {bound:g}: expected a number between {lowest} and 1, as {what} is"
        for word, bound in gate.bounds.items()
        if not lowest <= bound <= 1
    ]
    ends = [lowest, 1, *gate.bounds.values()]
    if beyond or any(gate.holds((low + high) / 2) for low in ends for high in ends):
        return beyond
    words = " and ".join(f"{word} {bound:g}" for word, bound in gate.bounds.items())
    return [f"gate {number}: {what} cannot be {words}; expected bounds with room between them"]


def _listed(data: Path | tuple[Path, ...]) -> tuple[Path, ...]:
    return data if isinstance(data, tuple) else (data,)


def _counted(folders: int) -> str:
    return f"{folders} folder{'' if folders == 1 else 's'}"


def _resolved(settings: StudySettings, folder: Path) -> StudySettings:
    """Make paths absolute, so that they do not depend on the working directory."""

    def absolute(path: Path) -> Path:
        return (folder / with_home(str(path))).absolute()

    def every(data: Path | tuple[Path, ...]) -> Path | tuple[Path, ...]:
        first, *others = map(absolute, _listed(data))
        return (first, *others) if others else first

    systems = [
        system.model_copy(
            update={
                "preset": str(absolute(Path(system.preset)))
                if system.preset.endswith(".toml")
                else system.preset,
                "data": every(system.data) if system.data else None,
            }
        )
        for system in settings.systems
    ]
    paths: dict[str, Path | tuple[Path, ...] | str] = {"data": every(settings.data)}
    if isinstance(settings.folds, str) and settings.folds != "given":
        paths["folds"] = str(absolute(Path(settings.folds)))
    return settings.model_copy(update={**paths, "systems": tuple(systems)})


def _where(location: tuple[int | str, ...]) -> str:
    """Name a key, such as ``system 2: preset``, without the branches of a union."""
    words: list[str] = []
    for part in location:
        if isinstance(part, int):
            words[-1] += f" {part + 1}"
        elif not part.startswith(_BRANCHES):
            words.append(part)
    return ": ".join(words)


_BRANCHES = ("constrained-", "int", "literal[", "lax-or-strict[", "tuple[", "RandomSplits")
"""How pydantic names the branches of a union."""


def _is_meant(item: Any, values: Mapping[str, Any]) -> bool:
    """Say whether an error is about what was given: a table of ``folds`` is one of random splits.

    A system lacks a name only where it has no preset, which is an error already.
    """
    first, *inner = item["loc"]
    if first == "system" and inner[1:] == ["name"]:
        return bool(item["type"] != "missing")
    return first != "folds" or isinstance(values["folds"], dict) == ("RandomSplits" in inner)


def _unknown_key(location: tuple[int | str, ...]) -> str:
    tables: dict[str, type[_Strict]]
    tables = {"system": SystemSettings, "gate": Gate, "tune": TuneSettings, "folds": RandomSplits}
    table = tables[str(location[0])] if len(location) > 1 else StudySettings
    keys = [field.alias or name for name, field in table.model_fields.items()]
    return f"no such key{did_you_mean(str(location[-1]), keys) or '; there are ' + ', '.join(keys)}"


def _explain(item: Any) -> str:
    if item["loc"][0] == "folds" and "RandomSplits" not in item["loc"]:
        return (
            f'expected a number of at least 2, "given", or a split file *.csv (got {item["input"]!r}); random splits '
            "are written {test = 0.7, val = 0.1}"
        )
    if item["type"] != "missing" and "data" in (item["loc"][0], *item["loc"][2:3]):
        return f"expected a prepared folder, or a list of them (got {item['input']!r})"
    if item["type"] == "extra_forbidden":
        return _unknown_key(item["loc"])
    explained = {
        "missing": "is needed",
        "string_pattern_mismatch": f"'{item['input']}' is not a valid name; expected letters, digits and . = + , - _",
    }
    return explained.get(item["type"]) or f"{in_plain_words(item)} (got {item['input']!r})"


def _wrong(origin: str, problems: list[str]) -> ConfigurationError:
    unique = dict.fromkeys(problems)
    lines = "\n".join(f"  {problem}" for problem in unique)
    return ConfigurationError(f"{origin} has {counted(len(unique), 'problem')}:\n{lines}")
