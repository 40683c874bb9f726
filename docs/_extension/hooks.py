"""The reference of the hooks, from their specifications, and of the contracts behind them."""

import inspect

from _extension.components import plural
from _extension.markdown import block, page, plain, restructured
from gazekit.contracts import hookspecs
from gazekit.registry.registry import HOOKS
from gazekit.testing import CONTRACTS as TRIED

INTRODUCTION = """
A plugin is a module named in the entry-point group `gazekit` of an installed package. It implements any of
these hooks, each marked with `@gazekit.hookimpl` and returning a table of names; gazekit's own components
come in by the same hooks. A hook is called when its kind is first asked for: import heavy modules inside it.
[Write a fusion](../tutorials/write_a_fusion.md) shows it all once.
"""
CONTRACTS = {
    "backbone": ("contracts.interfaces.Backbone",),
    "fusion": (
        "contracts.interfaces.ImageFusion",
        "contracts.interfaces.MapFusion",
        "contracts.interfaces.VectorFusion",
    ),
    "attention_map": ("contracts.interfaces.AttentionMap", "contracts.types.Output"),
    "alignment_loss": ("contracts.interfaces.AlignmentLoss",),
    "dataset": (
        "contracts.interfaces.DataSource",
        "contracts.interfaces.GeneratedSource",
        "contracts.interfaces.IdentifyingSource",
    ),
    "gaze_reader": ("contracts.interfaces.GazeReader",),
}
"""The classes of gazekit that a kind's components derive from, look like or are handed."""

MEMBERS = "   :members:\n   :special-members: __call__\n   :exclude-members: __init__, __new__\n"


def pages() -> dict[str, str]:
    """One page."""
    return {"hooks.md": page("Hooks", INTRODUCTION, *(_section(kind, hook) for kind, hook in HOOKS.items()))}


def _section(kind: str, hook: str) -> str:
    function = getattr(hookspecs, hook)
    signature = str(inspect.signature(function)).replace("'", "")
    contracts = [f".. autoclass:: gazekit.{name}\n{MEMBERS}" for name in CONTRACTS.get(kind, ())]
    there = f"Those that are there: [{plural(kind)}]({_reference(kind)}).\n"
    return "\n".join(
        [
            f"({hook})=",
            f"## {hook}\n",
            plain(inspect.getdoc(function) or "") + " " + there,
            block("python", f"@gazekit.hookimpl\ndef {hook}{signature}: ..."),
            restructured("\n".join(contracts)) if contracts else "",
            _promises(kind),
        ]
    )


def _promises(kind: str) -> str:
    """What ``gazekit plugins check`` tries on a component, from the contract itself."""
    if kind not in TRIED:
        return ""
    promises = "\n".join(f"- {plain(each)}" for each in TRIED[kind].promises().values())
    return f"`gazekit plugins check` tries, and says of each whether it is kept, broken or not checked:\n\n{promises}\n"


def _reference(kind: str) -> str:
    return "presets/index.md" if kind == "preset" else f"components/{kind}.md"
