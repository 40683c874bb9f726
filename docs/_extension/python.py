"""The reference of the names that ``import gazekit`` offers, from their docstrings."""

import inspect

import gazekit
from _extension.markdown import page, restructured

INTRODUCTION = """
The names of `gazekit` itself; nothing else is promised to stay. [From Python](../tutorials/python.md) shows
them at work, and [Hooks](hooks.md) has the contracts of components. `import gazekit` imports nothing heavy: a
name is loaded when it is first used.
"""


def pages() -> dict[str, str]:
    """One page."""
    names = [name for name in gazekit.__all__ if name != "__version__"]
    return {"python.md": page("Python", INTRODUCTION, restructured("\n".join(map(_entry, names))))}


def _entry(name: str) -> str:
    value = getattr(gazekit, name)
    if isinstance(value, type):
        return f".. autoclass:: gazekit.{name}\n   :members:\n"
    if inspect.isfunction(value):
        return f".. autofunction:: gazekit.{name}\n"
    return f".. autodata:: gazekit.{name}\n   :no-value:\n"
