"""Generate the reference of the presets from their files, and of the keys that a preset may set."""

import inspect
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pydantic
import pydantic_core
import tomlkit
from sphinx.pycode import ModuleAnalyzer

from _extension.components import own
from _extension.markdown import block, code, contents, page, plain, table
from gazekit.presets import tables
from gazekit.presets.preset import Preset
from gazekit.registry.component import Component
from gazekit.registry.registry import Registry

INTRODUCTION = """
A preset is a complete system: its components, their options, and the training. A comment beside every value names
its source: a section of the paper, the published work that settles what the paper leaves open (*lineage*), or
*ours*. `gazekit presets show NAME` prints a preset with all changes from the command line. [The keys](keys.md)
lists everything that a preset may set.
"""
KEYS = """
This page lists every key of a preset, with its type and default; find a component's options [with the
component](../components/index.md). Later layers override earlier ones: defaults, `extends`, preset, `--config FILE`,
environment (`GAZEKIT_TRAINING__EPOCHS=5`), `--set` and flags.
"""

RESOLVED = """## Resolved

Every value, with the file that sets it and its comment there; no file sets a *default*.

"""


def pages(registry: Registry, resolved: Mapping[str, Preset]) -> dict[str, str]:
    """Make the overview, a page per preset, and the page of keys."""
    presets = own(registry, "preset")
    rows = [
        (f"[{code(each.name)}]({each.name}.md)", plain(resolved[each.name].description)) for each in presets
    ]
    names = contents("keys", *(each.name for each in presets))
    found = {"presets/index.md": page("Presets", INTRODUCTION, table(("preset", ""), rows), names)}
    for each in presets:
        found[f"presets/{each.name}.md"] = _preset(each, resolved[each.name])
    found["presets/keys.md"] = page("The keys of a preset", KEYS, *key_tables())
    return found


def _preset(component: Component, preset: Preset) -> str:
    stand_in = f":::{{note}}\nA stand-in: {plain(preset.stand_in)}\n:::\n" if preset.stand_in else ""
    return page(
        component.name,
        plain(preset.description) + "\n",
        stand_in,
        block("sh", f"gazekit train --preset {component.name}"),
        "## As written\n\n" + block("toml", component.value.read_text(encoding="utf-8")),
        RESOLVED + block("toml", preset.to_toml()),
    )


def key_tables() -> list[str]:
    """Make a section per table of a preset."""
    documented = {
        **ModuleAnalyzer.for_module("gazekit.presets.tables").find_attr_docs(),
        **ModuleAnalyzer.for_module("gazekit.presets.preset").find_attr_docs(),
    }
    return list(_tables(Preset, "", documented))


def _tables(model: type[pydantic.BaseModel], key: str, documented: dict[tuple[str, str], list[str]]) -> Any:
    inner = {name: _model_of(field.annotation) for name, field in model.model_fields.items()}
    rows = [
        (
            code(f"{key}{name}"),
            code(_type(field.annotation)) + (f", {plain(_limits(field))}" if _limits(field) else ""),
            "required" if field.is_required() else _default(field),
            plain(" ".join(documented.get((model.__name__, name), []))),
        )
        for name, field in model.model_fields.items()
        if inner[name] is None
    ]
    title = f"[{key.removesuffix('.')}]" if key else "At the top"
    text = (inspect.getdoc(model) or "").partition("\n\n")[0]
    yield "\n".join(
        [f"## {title}\n", plain(text) + "\n" if key else "", table(("key", "type", "default", ""), rows)]
    )
    for name, table_model in inner.items():
        if table_model is not None:
            named = {"reported": "DATA_SET.", "terms": "NAME.", "groups": "NAME."}.get(name, "")
            path = f"{key}{name}.{named}"
            yield from _tables(table_model, path, documented)


def _model_of(annotation: Any) -> type[pydantic.BaseModel] | None:
    """Find the table that a field holds, if it holds one; a range of values is no table but a value."""
    if isinstance(annotation, type) and issubclass(annotation, (tables.PresetTable, tables.TermSettings)):
        return None if annotation is tables.ValueRange else annotation
    return next(filter(None, map(_model_of, get_args(annotation))), None)


def _type(annotation: Any) -> str:
    """Shorten a type: without limits and ``None``, and a component as ``component``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, UnionType):
        return " | ".join(_type(each) for each in arguments if each is not type(None))
    if origin in (tuple, dict):
        inner = ("..." if each is ... else _type(each) for each in arguments)
        return f"{origin.__name__}[{', '.join(inner)}]"
    if annotation in (tables.ComponentChoice, tables.ValueRange):
        return "component" if annotation is tables.ComponentChoice else "range"
    return inspect.formatannotation(annotation).replace("typing.", "")


def _limits(field: pydantic.fields.FieldInfo) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(each, name)}"
        for each in field.metadata
        for name, sign in signs.items()
        if getattr(each, name, None) is not None
    ]
    return ", ".join(found)


def _default(field: pydantic.fields.FieldInfo) -> str:
    """Write a default as a preset does; no key without a check for it takes the word ``"none"``."""
    value = field.default
    if value is None:
        is_taken = any(isinstance(each, pydantic.BeforeValidator) for each in field.metadata)
        return code('"none"') if is_taken else "–"
    values = (
        value.use if isinstance(value, tables.ComponentChoice) else pydantic_core.to_jsonable_python(value)
    )
    if isinstance(values, dict):
        inline = tomlkit.inline_table()
        inline.update(values)
        return code(inline.as_string())
    return code(tomlkit.item(values).as_string())
