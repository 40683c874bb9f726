"""Generate the reference of the names in ``gazekit`` from their docstrings."""

import inspect

import gazekit
from _extension.markdown import page, restructured

INTRODUCTION = """
These names of `gazekit` are stable; no others are. [From Python](../tutorials/python.md) shows them at work, and
[Hooks](hooks.md) has the contracts of components. `import gazekit` imports nothing heavy: it loads each name when you
first use it.
"""


def pages() -> dict[str, str]:
    """Make the page."""
    names = [name for name in gazekit.__all__ if name != "__version__"]
    return {"python.md": page("Python", INTRODUCTION, restructured("\n".join(map(_entry, names))))}


def _entry(name: str) -> str:
    value = getattr(gazekit, name)
    if isinstance(value, type):
        return f".. autoclass:: gazekit.{name}\n   :members:\n"
    if inspect.isfunction(value):
        return f".. autofunction:: gazekit.{name}\n"
    return f".. autodata:: gazekit.{name}\n   :no-value:\n"
