"""The systems of the paper's Table 1, and of the literature on gaze beside it, as a gazekit plugin."""

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

from gazekit.contracts.hookspecs import hookimpl

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import Backbone, Fusion, Term


@hookimpl
def gazekit_backbones() -> Mapping[str, "type[Backbone]"]:
    """Offer the hypercomplex network of Lopez et al."""
    from gazekit_baselines.phresnet import PHResNet

    return {"phresnet": PHResNet}


@hookimpl
def gazekit_fusions() -> Mapping[str, "type[Fusion]"]:
    """Offer views as channels of one image, and gaze laid over images or masking them."""
    from gazekit_baselines.gaze_mask import GazeMask
    from gazekit_baselines.gaze_overlay import GazeOverlay
    from gazekit_baselines.stack import Stack

    return {"stack": Stack, "gaze_overlay": GazeOverlay, "gaze_mask": GazeMask}


@hookimpl
def gazekit_terms() -> Mapping[str, "type[Term]"]:
    """Offer statistics of gaze as targets beside the class."""
    from gazekit_baselines.gaze_statistics import GazeStatistics

    return {"gaze_statistics": GazeStatistics}


@hookimpl
def gazekit_presets() -> Mapping[str, Traversable]:
    """Offer the rows of Table 1 that are not Mammo-Net's own, and the systems beside it."""
    folder = files("gazekit_baselines") / "presets"
    return {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}
