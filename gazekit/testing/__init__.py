"""Contracts for a plugin's components, in one line of pytest each.

Example::

    TestGated = gazekit.testing.contract("fusion", Gated, hidden=8)  # one test per promise

    class TestGated(gazekit.testing.FusionContract):  # the same, and can be extended
        component = Gated
        options = {"hidden": 8}

    def test_gated():  # all quick checks, in one test
        gazekit.testing.check_component("fusion", Gated, hidden=8)

A broken promise raises an AssertionError with the promise, the actual result and the smallest failing case.
"""

import unittest
from typing import Any

from gazekit.testing.components.alignment_loss import AlignmentLossContract
from gazekit.testing.components.attention_map import AttentionMapContract
from gazekit.testing.components.backbone import BackboneContract
from gazekit.testing.components.dataset import DataSourceContract
from gazekit.testing.components.fusion import FusionContract
from gazekit.testing.components.gaze_reader import GazeReaderContract
from gazekit.testing.components.head import HeadContract
from gazekit.testing.components.metric import MetricContract
from gazekit.testing.components.optimizer import OptimizerContract
from gazekit.testing.components.pooling import PoolingContract
from gazekit.testing.components.region import RegionContract
from gazekit.testing.components.report_section import ReportSectionContract
from gazekit.testing.components.schedule import ScheduleContract
from gazekit.testing.components.term import TermContract
from gazekit.testing.components.tracker import TrackerContract
from gazekit.testing.contract import Contract
from gazekit.testing.plugin import PluginContract

__all__ = [
    "AlignmentLossContract",
    "AttentionMapContract",
    "BackboneContract",
    "DataSourceContract",
    "FusionContract",
    "GazeReaderContract",
    "HeadContract",
    "MetricContract",
    "OptimizerContract",
    "PluginContract",
    "PoolingContract",
    "RegionContract",
    "ReportSectionContract",
    "ScheduleContract",
    "TermContract",
    "TrackerContract",
    "check_component",
    "contract",
]

CONTRACTS: dict[str, type[Contract]] = {
    each.kind: each
    for each in (
        BackboneContract,
        PoolingContract,
        FusionContract,
        HeadContract,
        AttentionMapContract,
        AlignmentLossContract,
        TermContract,
        OptimizerContract,
        ScheduleContract,
        DataSourceContract,
        GazeReaderContract,
        RegionContract,
        MetricContract,
        ReportSectionContract,
        TrackerContract,
    )
}


def contract(kind: str, component: type[Any], /, **options: Any) -> type[Any]:
    """Return the contract of a kind for one component, as a class that pytest collects.

    Args:
        kind: ``"backbone"``, ``"pooling"``, ``"fusion"``, ``"head"``, ``"attention_map"``, ``"alignment_loss"``,
            ``"term"``, ``"optimizer"``, ``"schedule"``, ``"dataset"``, ``"gaze_reader"``,
            ``"region"``, ``"metric"``, ``"report_section"`` or ``"tracker"``.
        component: the class.
        options: options of the component; choose small ones: several instances are made.
    """
    assert kind in CONTRACTS, f"no contract for kind '{kind}'; there are {', '.join(CONTRACTS)}"
    return type(f"Test{component.__name__}", (CONTRACTS[kind],), {"component": component, "options": options})


def check_component(kind: str, component: type[Any], /, **options: Any) -> None:
    """Check every promise except slow ones (``torch.compile``) and those that cannot be checked here.

    ``gazekit plugins check`` and the classes of ``contract`` report which were not checked, and why.

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
