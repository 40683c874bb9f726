"""The reference pages: commands, presets, keys, components, hooks and the Python names, each from its source."""

from _extension import commands, components, hooks, presets, python
from gazekit.discovery import load_registry


def pages() -> dict[str, str]:
    """File name below ``reference/`` → Markdown."""
    registry = load_registry()
    return {
        **commands.pages(),
        **presets.pages(registry),
        **components.pages(registry),
        **hooks.pages(),
        **python.pages(),
    }
