"""Generate the reference of the hooks and their contracts from the specifications."""

import inspect

from _extension.components import plural
from _extension.markdown import block, page, plain, restructured
from gazekit.contracts import hookspecs
from gazekit.registry.registry import HOOKS
from gazekit.testing import CONTRACTS as TRIED

INTRODUCTION = """
A plugin is a module that an installed package names in the entry-point group `gazekit`. It implements any of
these hooks; mark each with `@gazekit.hookimpl` and return a table of names. gazekit's own components use the
same hooks. gazekit calls a hook when its kind is first needed, so import heavy modules inside it.
[Write a fusion](../tutorials/write_a_fusion.md) shows a complete example.
"""
CONTRACTS = {
    "backbone": ("contracts.interfaces.Backbone",),
    "pooling": ("contracts.interfaces.Pooling",),
    "fusion": (
        "contracts.interfaces.ImageFusion",
        "contracts.interfaces.MapFusion",
        "contracts.interfaces.VectorFusion",
    ),
    "attention_map": ("contracts.interfaces.AttentionMap", "contracts.types.Output"),
    "alignment_loss": ("contracts.interfaces.AlignmentLoss",),
    "term": ("contracts.interfaces.Term", "contracts.types.Batch", "contracts.gaze.Gaze"),
    "optimizer": ("contracts.interfaces.Optimizer",),
    "schedule": (
        "contracts.interfaces.Schedule",
        "contracts.progress.Elapsed",
        "contracts.progress.Validated",
    ),
    "dataset": (
        "contracts.interfaces.DataSource",
        "contracts.interfaces.GeneratedSource",
        "contracts.interfaces.IdentifyingSource",
        "contracts.interfaces.CroppedSource",
    ),
    "gaze_reader": ("contracts.interfaces.GazeReader",),
    "head": ("contracts.interfaces.Head",),
    "metric": ("contracts.interfaces.Metric",),
    "tracker": ("contracts.interfaces.Tracker", "contracts.tracking.TrackedRun"),
    "report_section": (
        "contracts.interfaces.ReportSection",
        "contracts.report.ReportedRun",
        "contracts.report.ReportTable",
        "contracts.report.ReportFigure",
    ),
    "region": ("contracts.interfaces.RegionFinder", "records.region.Region"),
}
"""The classes of gazekit that a kind's components derive from, imitate or receive."""

MEMBERS = "   :members:\n   :special-members: __call__\n   :exclude-members: __init__, __new__\n"


def pages() -> dict[str, str]:
    """One page."""
    sections = [_section(kind, hook) for kind, hook in HOOKS.items()]
    return {"hooks.md": page("Hooks", INTRODUCTION, *sections, _checks())}


def _section(kind: str, hook: str) -> str:
    function = getattr(hookspecs, hook)
    signature = str(inspect.signature(function)).replace("'", "")
    contracts = [f".. autoclass:: gazekit.{name}\n{MEMBERS}" for name in CONTRACTS.get(kind, ())]
    there = f"gazekit's own: [{plural(kind)}]({_reference(kind)}).\n"
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


def _checks() -> str:
    """The hook that brings no components."""
    hook = hookspecs.gazekit_doctor_checks
    signature = str(inspect.signature(hook)).replace("'", "")
    return "\n".join(
        [
            f"({hook.__name__})=",
            f"## {hook.__name__}\n",
            plain(inspect.getdoc(hook) or "") + "\n",
            block("python", f"@gazekit.hookimpl\ndef {hook.__name__}{signature}: ..."),
            restructured(f".. autoclass:: gazekit.contracts.check.Check\n{MEMBERS}"),
        ]
    )


def _promises(kind: str) -> str:
    """List what ``gazekit plugins check`` tries on a component, from the contract itself."""
    if kind not in TRIED:
        return ""
    promises = "\n".join(f"- {plain(each)}" for each in TRIED[kind].promises().values())
    return f"`gazekit plugins check` reports each promise as kept, broken or not checked:\n\n{promises}\n"


def _reference(kind: str) -> str:
    return "presets/index.md" if kind == "preset" else f"components/{kind}.md"
