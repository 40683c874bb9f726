"""Parse the options for reading recordings: formats with their options, and fixation settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pydantic

from gazekit.disk.wrong_value import in_plain_words, key_in_words, problems_of
from gazekit.errors import ConfigurationError
from gazekit.gaze.fixations import FixationSettings
from gazekit.gaze.formats import AUTO, AnyFormat
from gazekit.gaze.lost import Place, WithLost
from gazekit.registry import signature
from gazekit.registry.registry import Registry

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import GazeReader

    Readers = Mapping[str, GazeReader]

_FIXATIONS = "fixations."
"""Prefix of the fixation settings."""
_LOST = "lost"
"""Option of every format: the places that mean a lost sample."""


def readers_and_settings(
    registry: Registry, name: str, options: Mapping[str, Any]
) -> "tuple[Readers, FixationSettings]":
    """Return the gaze readers for a ``--format``, with their options, and the fixation settings.

    ``auto`` returns every format, and passes an option to all formats that have it. All formats have ``lost``.

    Raises:
        ConfigurationError: no such format, option or setting, or a value out of range.
    """
    detection = {
        key.removeprefix(_FIXATIONS): value for key, value in options.items() if key.startswith(_FIXATIONS)
    }
    own = {key: value for key, value in options.items() if not key.startswith(_FIXATIONS)}
    settings, places = _fixation_settings(detection), _places(own.pop(_LOST, []))
    if name != AUTO:
        readers: Readers = {name: registry.create("gaze_reader", name, **own)}
    else:
        readers = _every_reader(registry, own)
    if places:
        readers = {format_: WithLost(reader, places) for format_, reader in readers.items()}
    return readers, settings


def reading_options(name: str, options: Mapping[str, Any], wanted: Sequence[str] = ()) -> dict[str, Any]:
    """Return the non-default values of ``--format``, its options and the readers, as JSON values.

    If these differ, two preparations read different gaze from the same files.
    """
    chosen = {key: value for key, value in options.items() if not key.startswith(_FIXATIONS)}
    if _LOST in chosen:
        chosen[_LOST] = [list(place) for place in _places(chosen[_LOST])]
    chosen |= {"format": name} if name != AUTO else {}
    return chosen | ({"reader": sorted(set(wanted))} if wanted else {})


def _places(value: Any) -> tuple[Place, ...]:
    """Parse ``[x, y]``, several of them, or one number for both. Raises: ConfigurationError."""
    several = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    pairs = [[each, each] if isinstance(each, int | float) else each for each in several if each != []]
    numbers = (int, float)
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(n, numbers) for n in pair):
            raise ConfigurationError(
                f"{_LOST} is {value!r}; expected the place that means a lost sample, such as {_LOST}=[0, 0], or several"
            )
    return tuple((float(x), float(y)) for x, y in pairs)


def reader_lookup(registry: Registry, readers: "Readers") -> "Callable[[str], GazeReader]":
    """Return a look-up from the gaze format of an exam to a reader; ``auto`` is any of ``readers``."""

    def look_up(name: str) -> "GazeReader":
        if name == AUTO:
            return AnyFormat(readers)
        return readers.get(name) or registry.create("gaze_reader", name)

    return look_up


def _every_reader(registry: Registry, options: Mapping[str, Any]) -> "Readers":
    components = registry.components("gaze_reader")
    known = {each.name: [o.name for o in signature.options_of(each.value)] for each in components}
    for option in options:
        if not any(option in names for names in known.values()):
            there = "; ".join(f"{name}: {', '.join(names)}" for name, names in known.items() if names)
            raise ConfigurationError(
                f"'{option}': no gaze format has such an option; there are {there}; and {_LOST} and fixations.NAME"
            )
    return {
        name: registry.create("gaze_reader", name, **{o: options[o] for o in names if o in options})
        for name, names in known.items()
    }


def _fixation_settings(values: Mapping[str, Any]) -> FixationSettings:
    known = [field.name for field in fields(FixationSettings)]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ConfigurationError(f"fixations.{unknown[0]}: no such setting; there are {', '.join(known)}")
    try:
        return pydantic.TypeAdapter(FixationSettings).validate_python(values)
    except pydantic.ValidationError as error:
        first = problems_of(error)[0]
        raise ConfigurationError(
            f"fixations.{key_in_words(first['loc'])}: {in_plain_words(first)} (got {first['input']!r})"
        ) from None
