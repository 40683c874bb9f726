"""The parts of Mammo-Net and its ablations, as a gazekit plugin."""

import warnings
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

from gazekit.contracts.hookspecs import hookimpl

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import AlignmentLoss, AttentionMap, Backbone, Fusion


@hookimpl
def gazekit_backbones() -> Mapping[str, "type[Backbone]"]:
    """Offer timm's convolutional networks, and a small residual network."""
    from gazekit_components.small_resnet import SmallResNet

    with warnings.catch_warnings():  # tqdm, which timm's hub imports, warns in a notebook without ipywidgets
        warnings.filterwarnings("ignore", message="IProgress not found")
        from gazekit_components.timm_backbone import TimmBackbone

    return {"timm": TimmBackbone, "small_resnet": SmallResNet}


@hookimpl
def gazekit_fusions() -> Mapping[str, "type[Fusion]"]:
    """Offer concatenation, bidirectional fusion learning and cross-view attention to pixels or tokens."""
    from gazekit_components.bfl import BidirectionalFusionLearning
    from gazekit_components.concat import Concat
    from gazekit_components.cross_attention import CrossAttention
    from gazekit_components.token_attention import TokenAttention

    return {
        "concat": Concat,
        "bfl": BidirectionalFusionLearning,
        "cross_attention": CrossAttention,
        "token_attention": TokenAttention,
    }


@hookimpl
def gazekit_attention_maps() -> Mapping[str, "type[AttentionMap]"]:
    """Offer CAM and Grad-CAM."""
    from gazekit_components.cam import CAM
    from gazekit_components.grad_cam import GradCAM

    return {"cam": CAM, "grad_cam": GradCAM}


@hookimpl
def gazekit_alignment_losses() -> Mapping[str, "type[AlignmentLoss]"]:
    """Offer GA-Net's mean squared error and Mammo-Net's pyramid loss."""
    from gazekit_components.mse_loss import MeanSquaredError
    from gazekit_components.pyramid_loss import Pyramid

    return {"mse": MeanSquaredError, "pyramid": Pyramid}


@hookimpl
def gazekit_presets() -> Mapping[str, Traversable]:
    """Offer Mammo-Net and the rows of its ablation."""
    folder = files("gazekit_components") / "presets"
    return {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}
