"""Contracts that a plugin runs on its own components, in one line of pytest each.

Example::

    TestGated = gazekit.testing.contract("fusion", Gated, hidden=8)  # one test per promise

    class TestGated(gazekit.testing.FusionContract):  # the same, and can be added to
        component = Gated
        options = {"hidden": 8}

    def test_gated():  # all that is quick, in one test
        gazekit.testing.check_component("fusion", Gated, hidden=8)

A broken promise is an AssertionError with what was promised, what came instead and the smallest case that fails.
"""

import unittest
from typing import Any

from gazekit.testing.alignment_loss import AlignmentLossContract
from gazekit.testing.attention_map import AttentionMapContract
from gazekit.testing.backbone import BackboneContract
from gazekit.testing.contract import Contract
from gazekit.testing.dataset import DataSourceContract
from gazekit.testing.fusion import FusionContract
from gazekit.testing.gaze_reader import GazeReaderContract
from gazekit.testing.plugin import PluginContract

__all__ = [
    "AlignmentLossContract",
    "AttentionMapContract",
    "BackboneContract",
    "DataSourceContract",
    "FusionContract",
    "GazeReaderContract",
    "PluginContract",
    "check_component",
    "contract",
]

CONTRACTS: dict[str, type[Contract]] = {
    each.kind: each
    for each in (
        BackboneContract,
        FusionContract,
        AttentionMapContract,
        AlignmentLossContract,
        DataSourceContract,
        GazeReaderContract,
    )
}


def contract(kind: str, component: type[Any], /, **options: Any) -> type[Any]:
    """The contract of a kind for one component, as a class that pytest collects.

    Args:
        kind: ``"backbone"``, ``"fusion"``, ``"attention_map"``, ``"alignment_loss"``, ``"dataset"`` or
            ``"gaze_reader"``.
        component: the class.
        options: its options; choose small ones, several instances are made.
    """
    assert kind in CONTRACTS, f"no contract for kind '{kind}'; there are {', '.join(CONTRACTS)}"
    return type(f"Test{component.__name__}", (CONTRACTS[kind],), {"component": component, "options": options})


def check_component(kind: str, component: type[Any], /, **options: Any) -> None:
    """Check all that is promised, but for what takes seconds (``torch.compile``) and what cannot be checked here.

    ``gazekit plugins check`` and the classes of ``contract`` say what was not checked, and why.

    Args:
        kind, component, options: as for ``contract``.

    Raises:
        AssertionError: a promise is broken.
        ConfigurationError: the signature cannot serve as the schema of the options.
    """
    tests = contract(kind, component, **options)
    for name in tests.promises(all_of_them=False):
        try:
            getattr(tests(), name)()
        except unittest.SkipTest:
            continue
