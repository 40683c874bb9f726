"""Generate the reference pages (commands, presets, components, hooks, measures, Python names), each from its source."""

from _extension import commands, components, hooks, measures, presets, python
from gazekit.registry.discovery import load_registry


def pages() -> dict[str, str]:
    """Make all pages: file name below ``reference/`` → Markdown."""
    registry = load_registry()
    resolved = {each.name: registry.preset(each.name) for each in components.own(registry, "preset")}
    return {
        **commands.pages(),
        **presets.pages(registry, resolved),
        **components.pages(registry, resolved),
        **hooks.pages(),
        **measures.pages(),
        **python.pages(),
    }
