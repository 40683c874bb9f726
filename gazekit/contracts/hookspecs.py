# mypy: disable-error-code="empty-body"
"""The hooks of a plugin: one per kind of component, each returning a table of names, and one of the doctor's.

A plugin is a module (or object) named in the entry-point group ``gazekit``. A hook is called when its kind
is first asked for, so import heavy modules inside it.

A plugin says which version of the hooks it was written for: ``GAZEKIT_HOOKS = 1`` in its module; absent means 1.
The version grows when a plugin would have to be changed: when what a hook returns or what a component is handed
changes. Hooks may be added without that. A hook that will go is marked with pluggy's
``hookspec(warn_on_impl=FutureWarning("…"))`` for as long as it works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from gazekit.contracts.check import Check
    from gazekit.contracts.interfaces import (
        AlignmentLoss,
        AttentionMap,
        Backbone,
        DataSource,
        Fusion,
        GazeReader,
        Head,
        Metric,
        Optimizer,
        Pooling,
        RegionFinder,
        ReportSection,
        Schedule,
        Term,
        Tracker,
    )

VERSION = 1
"""Version of the hooks."""
SUPPORTED = range(1, VERSION + 1)
"""The versions whose plugins work."""

hookspec = pluggy.HookspecMarker("gazekit")
hookimpl = pluggy.HookimplMarker("gazekit")


@hookspec
def gazekit_backbones() -> Mapping[str, type[Backbone]]:
    """Networks that turn one view into feature maps, stage by stage."""


@hookspec
def gazekit_poolings() -> Mapping[str, type[Pooling]]:
    """Ways to turn the last feature maps of a view, and tokens beside them, into one vector."""


@hookspec
def gazekit_fusions() -> Mapping[str, type[Fusion]]:
    """Modules in which views meet: at the images, the feature maps or the vectors."""


@hookspec
def gazekit_heads() -> Mapping[str, type[Head]]:
    """Last layers, from the fused vector to the logits of each target."""


@hookspec
def gazekit_attention_maps() -> Mapping[str, type[AttentionMap]]:
    """Maps of where the model looked for a class, differentiable."""


@hookspec
def gazekit_alignment_losses() -> Mapping[str, type[AlignmentLoss]]:
    """Distances between an attention map and a gaze heat map."""


@hookspec
def gazekit_terms() -> Mapping[str, type[Term]]:
    """Terms of the loss: any signal that gaze, lesion masks or the model itself can give."""


@hookspec
def gazekit_optimizers() -> Mapping[str, type[Optimizer]]:
    """Optimisers of a training."""


@hookspec
def gazekit_schedules() -> Mapping[str, type[Schedule]]:
    """Courses of the learning rate over a training."""


@hookspec
def gazekit_datasets() -> Mapping[str, type[DataSource]]:
    """Data sets as they lie on disk, read into exams."""


@hookspec
def gazekit_gaze_readers() -> Mapping[str, type[GazeReader]]:
    """File formats of gaze recordings."""


@hookspec
def gazekit_regions() -> Mapping[str, type[RegionFinder]]:
    """Parts of an image that a preparation cuts out, such as an organ."""


@hookspec
def gazekit_metrics() -> Mapping[str, type[Metric]]:
    """Measures of a classification beside those of the core."""


@hookspec
def gazekit_report_sections() -> Mapping[str, type[ReportSection]]:
    """Sections of the page that ``gazekit report`` writes about a run."""


@hookspec
def gazekit_trackers() -> Mapping[str, type[Tracker]]:
    """Programs that follow a training, such as a dashboard."""


@hookspec
def gazekit_presets() -> Mapping[str, Traversable]:
    """Preset files (TOML) by name."""


@hookspec
def gazekit_doctor_checks() -> Iterable[Check]:
    """Checks that ``gazekit doctor`` makes for a plugin, such as of weights in a cache; they change nothing."""
