"""Merge the layers of a preset (files, environment, command line), each value with its origin."""

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import tomlkit
import tomlkit.exceptions
from tomlkit.container import Container

from gazekit.disk.own_files import FileKind, read_text
from gazekit.disk.plain_text import visible
from gazekit.errors import ConfigurationError, DataError

Key = tuple[str, ...]
COMPONENT_KEYS: dict[Key, str] = {
    ("data", "dataset"): "dataset",
    ("backbone",): "backbone",
    ("pooling",): "pooling",
    ("fusion", "images"): "fusion",
    ("fusion", "maps"): "fusion",
    ("fusion", "vectors"): "fusion",
    ("head",): "head",
    ("attention_map",): "attention_map",
    ("gaze", "alignment_loss"): "alignment_loss",
    ("training", "optimizer"): "optimizer",
    ("training", "schedule"): "schedule",
}
"""Where a preset names a component, and of which kind; see also ``component_kind``."""
_OF_TERMS: dict[Key, str] = {
    (): "term",
    ("alignment_loss",): "alignment_loss",
    ("attention_map",): "attention_map",
}
"""The same within ``terms.NAME``."""


def component_kind(key: Key) -> str | None:
    """The kind of component that a preset names at a key; None where it names none."""
    if len(key) > 1 and key[0] == "terms":
        return _OF_TERMS.get(key[2:])
    return COMPONENT_KEYS.get(key)


def component_keys(tables: Mapping[str, Any]) -> Iterator[Key]:
    """The keys at which the tables of a preset can name components."""
    yield from COMPONENT_KEYS
    terms = tables.get("terms")
    for name in terms if isinstance(terms, Mapping) else ():
        yield from (("terms", name, *key) for key in _OF_TERMS)


PRESET = FileKind("a TOML preset", 64 * 1024, "choose another, or write it again", linked=True)
"""A file of settings; gazekit's largest has 3 kB, 6 when resolved."""
_FORMER: dict[Key, Key] = {
    ("training", "betas"): ("training", "optimizer", "betas"),
    ("data", "validation"): ("data", "val"),
}
"""Keys of 0.1, and where they are now."""
_OWN = {"quick", "reported", "tune"}
"""Keys that hold for one preset but not for presets that extend it."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a layer, with its layer, the comment next to it, and its former key where it was given by that."""

    value: Any
    origin: str
    comment: str = ""
    former: str = ""


Layer = dict[Key, Value]


def read_layer(file: Traversable) -> Layer:
    """Read a TOML file as a layer. Raises ConfigurationError with file and line."""
    return _flatten(_document(file), file.name)


def read_tables(file: Traversable) -> dict[str, Any]:
    """Read the plain values of a TOML file. Raises ConfigurationError with file and line."""
    return _document(file).unwrap()


def _document(file: Traversable) -> tomlkit.TOMLDocument:
    try:
        text = read_text(file, PRESET) if isinstance(file, Path) else file.read_text(encoding="utf-8")
        return _parsed(text)
    except FileNotFoundError:
        raise ConfigurationError(f"{file}: no such file; expected a TOML preset{_by_name(file)}") from None
    except DataError as error:
        hint = "" if Path(str(file)).exists() else _by_name(file)
        raise ConfigurationError(f"{error}{hint}") from None
    except (tomlkit.exceptions.TOMLKitError, ValueError) as error:
        raise ConfigurationError(f"{file}: not readable as TOML: {visible(str(error))}") from None
    except RecursionError:
        raise ConfigurationError(
            f"{file}: tables or lists are nested too deep; expected a TOML preset"
        ) from None


@lru_cache(maxsize=256)
def _parsed(text: str) -> tomlkit.TOMLDocument:
    """Parse a file that is only read: a study reads the same few presets for every run."""
    return tomlkit.parse(text)


def _by_name(file: Traversable) -> str:
    name = str(file).removesuffix(".toml")
    return "" if "/" in name else f"; for a preset by name: --preset {name}"


def environment_layer(environment: Mapping[str, str]) -> Layer:
    """Read the environment: ``GAZEKIT_TRAINING__EPOCHS=5`` → ``training.epochs = 5``; skip variables without ``__``."""
    layer: Layer = {}
    for name, text in sorted(environment.items()):
        if name.startswith("GAZEKIT_") and "__" in name:
            key = tuple(name.removeprefix("GAZEKIT_").lower().split("__"))
            layer.update(_leaves(key, _parse(text), f"${name}"))
    return layer


def override_layer(items: Iterable[str]) -> Layer:
    """Parse ``key.path=value`` items; a value is TOML, or text if it is not valid TOML."""
    layer: Layer = {}
    for item in items:
        path, equals, text = item.partition("=")
        if not equals or not path.strip():
            raise ConfigurationError(f"--set {item}: expected key.path=value, e.g. training.epochs=5")
        layer.update(_leaves(tuple(path.strip().split(".")), _parse(text.strip()), "--set"))
    return layer


def given_twice(items: Iterable[str]) -> list[str]:
    """Say of each key that is given again with another value which one counts; a wrong value may be the other."""
    before: Layer = {}
    said = []
    for item in items:
        for key, new in override_layer([item]).items():
            old = before.get(key, new)
            if repr(old.value) != repr(new.value):  # NaN differs from itself
                said.append(
                    f"{'.'.join(key)} is given twice: {old.value!r}, then {new.value!r}, which counts; give it once"
                )
            before[key] = new
    return said


def plain_options(items: Iterable[str], flag: str, *, form: str = "OPTION=VALUE") -> dict[str, Any]:
    """Parse the ``NAME=VALUE`` items of a command's option that sets no preset; a value is as in ``override_layer``.

    Args:
        items: as given.
        flag: the option, such as ``--set``.
        form: of an item, for messages.

    Raises:
        ConfigurationError: an item lacks its name or its ``=``.
    """
    return {name: _parse(text) for name, text in plain_texts(items, flag, form=form).items()}


def plain_texts(items: Iterable[str], flag: str, *, form: str) -> dict[str, str]:
    """Split ``NAME=TEXT`` items, and keep each text as it is. Args and Raises as in ``plain_options``."""
    found = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals or not name.strip():
            raise ConfigurationError(f"{flag} {item}: expected {form}")
        found[name.strip()] = text.strip()
    return found


def preset_layers(name: str, find: Callable[[str], Traversable]) -> list[Layer]:
    """Return the file of a preset and, below it, the chain of presets that it extends, the last one lowest.

    Args:
        name: a registered name, or the path of a TOML file (it ends in ``.toml`` or names a folder).
        find: looks up a registered name.

    Raises:
        ConfigurationError: a preset extends itself, directly or through others; the message names the chain.
    """
    layers = [read_layer(_locate(name, find))]
    chain = [name]
    while (parent := layers[0].pop(("extends",), None)) is not None:
        above = str(parent.value)
        if above in chain:
            raise ConfigurationError(
                f"{parent.origin}: extends = '{above}' comes back to where it began: "
                f"{' -> '.join([*chain[chain.index(above) :], above])}; end the chain at one of them"
            )
        chain.append(above)
        below = read_layer(_locate(above, find))
        layers.insert(0, {key: value for key, value in below.items() if key[0] not in _OWN})
    return layers


def merge(layers: Iterable[Layer]) -> Layer:
    """Merge layers; later ones win.

    If a layer names another component, the options of the earlier one are dropped.
    """
    merged: Layer = {}
    for layer in layers:
        for key, new in layer.items():
            old = merged.get(key)
            component = key[:-1] if key[-1] == "use" else key
            if component_kind(component) and not (old and old.value == new.value):
                _drop(merged, component, keep=layer)
            _drop(merged, key, keep=layer)
            for length in range(1, len(key)):  # gaze = "none" below, gaze.target = … on top
                merged.pop(key[:length], None)
            merged[key] = new
    return merged


def nest(layer: Layer) -> dict[str, Any]:
    """Turn the values of a layer into nested tables."""
    tables: dict[str, Any] = {}
    for key, leaf in layer.items():
        table = tables
        for part in key[:-1]:
            table = table.setdefault(part, {})
        table[key[-1]] = leaf.value
    return tables


def flattened(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten ``{"a": {"b": 1}}`` to ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _drop(merged: Layer, prefix: Key, keep: Layer) -> None:
    for key in [k for k in merged if k[: len(prefix)] == prefix]:
        if key not in keep or merged[key] is not keep[key]:
            del merged[key]


def _locate(name: str, find: Callable[[str], Traversable]) -> Traversable:
    return Path(name) if name.endswith(".toml") else find(name)


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # a number of 5,000 digits raises ValueError, not TOMLDecodeError
        return text


def _leaves(key: Key, value: Any, origin: str, comment: str = "") -> Layer:
    """Turn tables into one value per key; ``fusion.vectors = "concat"`` means ``fusion.vectors.use = "concat"``."""
    key = dotted(key)
    if isinstance(value, Mapping):
        leaves: Layer = {}
        for part, inner in value.items():
            leaves.update(_leaves((*key, part), inner, origin, comment))
        return leaves
    if component_kind(key) and value != "none":
        key = (*key, "use")
    return {_FORMER.get(key, key): Value(value, origin, comment, ".".join(key) if key in _FORMER else "")}


def dotted(key: Key) -> Key:
    """Part a key of the table ``tune`` at its dots: ``"loss.gaze_weight"`` may stand in quotes or not."""
    return tuple(part for name in key for part in name.split(".")) if key[0] == "tune" else key


def _flatten(document: tomlkit.TOMLDocument, origin: str) -> Layer:
    layer: Layer = {}

    def walk(key: Key, table: Any) -> None:
        for part in table:
            item = _item(table, part)
            if isinstance(item, dict) and not isinstance(item, tomlkit.items.InlineTable):
                walk((*key, part), item)
            else:
                plain = item.unwrap() if hasattr(item, "unwrap") else item
                comment = item.trivia.comment.lstrip("# ") if hasattr(item, "trivia") else ""
                layer.update(_leaves((*key, part), plain, origin, comment))

    walk((), document)
    return layer


def _item(table: Any, part: str) -> Any:
    """Return the item with its comment, which plain look-up drops for booleans."""
    container = table.value if isinstance(table, tomlkit.items.Table) else table
    return container.item(part) if isinstance(container, Container) else table[part]
