"""Generate the reference of gazekit's components from their signatures and docstrings."""

import inspect
from collections.abc import Mapping

from _extension.markdown import code, contents, docstring, first_sentence, page, plain, table
from gazekit.presets.layers import COMPONENT_KEYS
from gazekit.presets.preset import Preset
from gazekit.registry.component import OWN, Component, in_words
from gazekit.registry.registry import HOOKS, KINDS, Registry
from gazekit.registry.signature import options_of

INTRODUCTION = """
A preset names components of these kinds. `gazekit plugins list` shows them together with those of the plugins that you
installed; `gazekit plugins show KIND NAME` prints the entry of one. The options are the keyword-only parameters of the
class, and a preset may set each of them.
"""


def own(registry: Registry, kind: str) -> list[Component]:
    """List gazekit's own components of a kind."""
    return [c for c in registry.components(kind) if c.provenance.distribution == OWN]


def pages(registry: Registry, presets: Mapping[str, Preset]) -> dict[str, str]:
    """Make the overview, and a page per kind."""
    overview = [
        f"## [{plural(kind)}]({kind}.md)\n\n"
        + table(
            ("name", ""),
            [
                (f"[{code(c.name)}]({kind}.md#{_anchor(c)})", plain(first_sentence(c.value.__doc__ or "")))
                for c in own(registry, kind)
            ],
        )
        for kind in KINDS
    ]
    found = {"components/index.md": page("Components", INTRODUCTION, *overview, contents(*KINDS))}
    for kind in KINDS:
        sections = [_section(component, _users(presets, component)) for component in own(registry, kind)]
        found[f"components/{kind}.md"] = page(
            plural(kind), f"Hook: [{code(HOOKS[kind])}](../hooks.md#{HOOKS[kind]}).\n", *sections
        )
    return found


def plural(kind: str) -> str:
    """Name a kind in the plural: ``alignment_loss`` → ``Alignment losses``."""
    words = in_words(kind).capitalize()
    return {"Alignment loss": "Alignment losses", "Dataset": "Data sets"}.get(words, f"{words}s")


def _anchor(component: Component) -> str:
    return f"{component.kind}-{component.name}".replace("_", "-")


def _section(component: Component, users: list[str]) -> str:
    options = [(code(o.name), code(o.type), code(repr(o.default))) for o in options_of(component.value)]
    used = ", ".join(f"[{code(name)}](../presets/{name}.md)" for name in users)
    return "\n".join(
        [
            f"({_anchor(component)})=",
            f"## {component.name}\n",
            f"{code(component.value.__name__)}, {code(component.value.__module__)}"
            + (f"; in the presets {used}" if used else "")
            + "\n",
            table(("option", "type", "default"), options),
            docstring(inspect.getdoc(component.value) or ""),
        ]
    )


def _users(presets: Mapping[str, Preset], component: Component) -> list[str]:
    """List the presets that name a component."""
    return [
        name
        for name, preset in presets.items()
        for key, kind in COMPONENT_KEYS.items()
        if kind == component.kind and (choice := preset.component(key)) and choice.use == component.name
    ]
