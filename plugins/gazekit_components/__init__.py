"""The parts that systems are made of, and the presets of Mammo-Net and its ablations, as a gazekit plugin."""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

from gazekit.contracts.hookspecs import hookimpl

if TYPE_CHECKING:
    from gazekit.contracts.check import Check
    from gazekit.contracts.interfaces import (
        AlignmentLoss,
        AttentionMap,
        Backbone,
        Fusion,
        Head,
        Metric,
        Optimizer,
        Pooling,
        ReportSection,
        Schedule,
        Term,
        Tracker,
    )


@hookimpl
def gazekit_backbones() -> Mapping[str, "type[Backbone]"]:
    """Offer timm's networks, and a small residual network."""
    from gazekit_components.backbones.small_resnet import SmallResNet
    from gazekit_components.backbones.timm_backbone import TimmBackbone

    return {"timm": TimmBackbone, "small_resnet": SmallResNet}


@hookimpl
def gazekit_poolings() -> Mapping[str, "type[Pooling]"]:
    """Offer mean, maximum and what lies between, the class token, and gated attention."""
    from gazekit_components.poolings.class_token import ClassToken
    from gazekit_components.poolings.gated_attention import GatedAttention
    from gazekit_components.poolings.gem import GeneralisedMean
    from gazekit_components.poolings.max import MaxPooling
    from gazekit_components.poolings.mean import MeanPooling

    return {
        "mean": MeanPooling,
        "max": MaxPooling,
        "gem": GeneralisedMean,
        "class_token": ClassToken,
        "gated": GatedAttention,
    }


@hookimpl
def gazekit_fusions() -> Mapping[str, "type[Fusion]"]:
    """Offer concatenation, bidirectional fusion learning and cross-view attention to pixels or tokens."""
    from gazekit_components.fusions.bfl import BidirectionalFusionLearning
    from gazekit_components.fusions.concat import Concat
    from gazekit_components.fusions.cross_attention import CrossAttention
    from gazekit_components.fusions.token_attention import TokenAttention

    return {
        "concat": Concat,
        "bfl": BidirectionalFusionLearning,
        "cross_attention": CrossAttention,
        "token_attention": TokenAttention,
    }


@hookimpl
def gazekit_heads() -> Mapping[str, "type[Head]"]:
    """Offer proportional odds, for grades."""
    from gazekit_components.heads.ordinal import Ordinal

    return {"ordinal": Ordinal}


@hookimpl
def gazekit_attention_maps() -> Mapping[str, "type[AttentionMap]"]:
    """Offer CAM, the maps that generalise it, the gradient alone, and the attention that transformers show."""
    from gazekit_components.attention_maps.cam import CAM
    from gazekit_components.attention_maps.class_attention import ClassAttention
    from gazekit_components.attention_maps.grad_cam import GradCAM
    from gazekit_components.attention_maps.grad_cam_pp import GradCAMPlusPlus
    from gazekit_components.attention_maps.gradient_saliency import GradientSaliency
    from gazekit_components.attention_maps.hires_cam import HiResCAM
    from gazekit_components.attention_maps.layer_cam import LayerCAM
    from gazekit_components.attention_maps.rollout import AttentionRollout

    return {
        "cam": CAM,
        "grad_cam": GradCAM,
        "grad_cam_pp": GradCAMPlusPlus,
        "hires_cam": HiResCAM,
        "layer_cam": LayerCAM,
        "gradient_saliency": GradientSaliency,
        "rollout": AttentionRollout,
        "class_attention": ClassAttention,
    }


@hookimpl
def gazekit_alignment_losses() -> Mapping[str, "type[AlignmentLoss]"]:
    """Offer Mammo-Net's pyramid loss, GA-Net's mean squared error, and the field's other distances."""
    from gazekit_components.alignment_losses.centre_of_mass import CentreOfMassLoss
    from gazekit_components.alignment_losses.correlation import CorrelationLoss
    from gazekit_components.alignment_losses.cosine import CosineLoss
    from gazekit_components.alignment_losses.dice import DiceLoss
    from gazekit_components.alignment_losses.kl import KullbackLeibler
    from gazekit_components.alignment_losses.mse import MeanSquaredError
    from gazekit_components.alignment_losses.nss import NormalisedScanpathSaliency
    from gazekit_components.alignment_losses.outside import OutsideLoss
    from gazekit_components.alignment_losses.pyramid import Pyramid

    return {
        "mse": MeanSquaredError,
        "pyramid": Pyramid,
        "kl": KullbackLeibler,
        "correlation": CorrelationLoss,
        "cosine": CosineLoss,
        "outside": OutsideLoss,
        "dice": DiceLoss,
        "centre_of_mass": CentreOfMassLoss,
        "nss": NormalisedScanpathSaliency,
    }


@hookimpl
def gazekit_terms() -> Mapping[str, "type[Term]"]:
    """Offer a gaze decoder, next-fixation prediction, and attention against lesion masks."""
    from gazekit_components.terms.gaze_decoder import GazeDecoder
    from gazekit_components.terms.mask_alignment import MaskAlignment
    from gazekit_components.terms.next_fixation import NextFixation

    return {"gaze_decoder": GazeDecoder, "next_fixation": NextFixation, "mask_alignment": MaskAlignment}


@hookimpl
def gazekit_optimizers() -> Mapping[str, "type[Optimizer]"]:
    """Offer torch's optimisers, and all of timm's."""
    from gazekit_components.optimizers.timm_optimizer import TimmOptimizer
    from gazekit_components.optimizers.torch_optimizers import SGD, Adam, AdamW

    return {"adam": Adam, "adamw": AdamW, "sgd": SGD, "timm": TimmOptimizer}


@hookimpl
def gazekit_schedules() -> Mapping[str, "type[Schedule]"]:
    """Offer the courses of the learning rate that the field uses."""
    from gazekit_components.optimizers.schedules import (
        ConstantRate,
        CosineDecay,
        OneCycle,
        PlateauDecay,
        PolynomialDecay,
        StepwiseDecay,
    )

    return {
        "constant": ConstantRate,
        "one_cycle": OneCycle,
        "cosine": CosineDecay,
        "stepwise": StepwiseDecay,
        "polynomial": PolynomialDecay,
        "plateau": PlateauDecay,
    }


@hookimpl
def gazekit_metrics() -> Mapping[str, "type[Metric]"]:
    """Offer measures of a working point, F1 and Cohen's kappa."""
    from gazekit_components.metrics.f1 import F1
    from gazekit_components.metrics.kappa import Kappa, LinearKappa, QuadraticKappa
    from gazekit_components.metrics.partial_auc import PartialAUC
    from gazekit_components.metrics.sensitivity_at_specificity import SensitivityAt80, SensitivityAt90

    return {
        "sensitivity_at_80": SensitivityAt80,
        "sensitivity_at_90": SensitivityAt90,
        "partial_auc": PartialAUC,
        "f1": F1,
        "kappa": Kappa,
        "linear_kappa": LinearKappa,
        "quadratic_kappa": QuadraticKappa,
    }


@hookimpl
def gazekit_report_sections() -> Mapping[str, "type[ReportSection]"]:
    """Offer the wrong calls that a model was surest of."""
    from gazekit_components.report_sections.surest_errors import SurestErrors

    return {"surest_errors": SurestErrors}


@hookimpl
def gazekit_trackers() -> Mapping[str, "type[Tracker]"]:
    """Offer TensorBoard, MLflow and Weights & Biases."""
    from gazekit_components.trackers.mlflow_tracker import MLflow
    from gazekit_components.trackers.tensorboard_tracker import TensorBoard
    from gazekit_components.trackers.wandb_tracker import WeightsAndBiases

    return {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WeightsAndBiases}


@hookimpl
def gazekit_presets() -> Mapping[str, Traversable]:
    """Offer Mammo-Net and the rows of its ablation."""
    folder = files("gazekit_components") / "presets"
    return {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}


@hookimpl
def gazekit_doctor_checks() -> "Iterable[Check]":
    """Check which pretrained weights of timm are in the cache."""
    from gazekit_components.backbones.weights_check import check_weights

    return check_weights()
