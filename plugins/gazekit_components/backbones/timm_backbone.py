"""Networks of timm, convolutional or on tokens, in stages."""

from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from torch import nn

from gazekit.contracts.backbone_weights import load_backbone, read_origin
from gazekit.contracts.interfaces import Backbone
from gazekit.errors import ConfigurationError
from gazekit_components.backbones.timm_stages import Stages, stages_of
from gazekit_components.backbones.timm_weights import (
    InitialWeights,
    create_network,
    imported_timm,
    load_network,
)


class TimmBackbone(Backbone):
    """Any timm network with intermediate features, in stages.

    - A convolutional network, or a Swin Transformer, is a chain: one stage ends at each stride from 4 on. For ResNet-18
      these are its four layers (strides 4, 8, 16, 32), with the stem in the first.
    - A Vision Transformer (DeiT, DINOv2, DINOv3) has four stages of equally many blocks, all on one grid. They show
      the class token and registers; the last maps are normalised by the network's last norm.
    - Any other network is one stage.

    Layers after the last maps are left out, so that no parameter is unused. A stem for one channel is the sum of the
    RGB stem. A network of one image size is made for that of the data: its positions are interpolated from those of
    the pretrained weights.

    Args:
        in_channels: channels of the image.
        size: (height, width) of the image in pixels; a Vision Transformer needs multiples of its patches' side.
        model: timm's name, with a tag or without (``"resnet18"``, ``"resnet18.a1_in1k"``).
        pretrained: true = weights from the cache or the hub, and an error if there are none; false = random
            weights; ``"auto"`` = pretrained weights if available, else random ones with a warning.
        weights: file to start from instead (safetensors, or pth without code), as timm, torchvision, MONAI,
            torchxrayvision, efficientnet_pytorch, Mammo-CLIP or ``gazekit pretrain`` save them; its classifier is left
            out.
        weights_match: ``"names"`` = find each tensor of the file by name; ``"order"`` = match by order and shape,
            for a file with unknown names.
        show_attention: show the attention of the blocks of a Vision Transformer, which ``rollout`` and
            ``class_attention`` read; it takes ``heads n²`` numbers per block and exam, ``n`` the number of tokens.
        fused_attention: let a transformer compute attention in one operation, which is faster. It has no second
            derivative; where the core asks for one, torch composes it.

    Raises:
        ConfigurationError: no such network, or one that cannot take the image or show attention.

    Source: Sec. 2.1 and 3.2 (ResNet-18, ImageNet); https://github.com/huggingface/pytorch-image-models.
    """

    def __init__(
        self,
        in_channels: int,
        size: tuple[int, int] = (224, 224),
        *,
        model: str = "resnet18",
        pretrained: bool | Literal["auto"] = "auto",
        weights: str | None = None,
        weights_match: Literal["names", "order"] = "names",
        show_attention: bool = False,
        fused_attention: bool = True,
    ) -> None:
        super().__init__()
        _check_name(model)
        self.weights_path = None if weights is None else Path(weights)
        fixed = bool(imported_timm().models.get_pretrained_cfg_value(model, "fixed_input_size"))
        self._initial = InitialWeights(
            model, in_channels, size if fixed else None, pretrained, weights, weights_match
        )
        self._tried_at = size if fixed else (96, 96)
        self._show_attention = show_attention
        found = self._stages()
        self.stages, self.channels, self._paths = found.stages, found.channels, found.paths
        if not fused_attention:
            for module in self.stages.modules():
                if hasattr(module, "fused_attn"):
                    module.fused_attn = False  # type: ignore[assignment]

    def _stages(self, network: nn.Module | None = None) -> Stages:
        """Take a network apart, or one with random weights. Raises ConfigurationError: it cannot serve."""
        model, size = self._initial.model, self._tried_at
        try:
            if network is None:
                network = create_network(self._initial)
            return stages_of(network, self._initial.in_channels, size, show_attention=self._show_attention)
        except ConfigurationError as error:
            raise ConfigurationError(f"backbone {model}: {error}") from error
        except Exception as error:  # timm's networks fail here in many ways
            raise ConfigurationError(
                f"backbone {model}: cannot serve ({str(error).strip().splitlines()[0]}); expected a network of timm "
                "that takes such images, e.g. resnet18, convnext_atto or vit_tiny_patch16_224"
            ) from error

    def load_initial_weights(self) -> str:
        """Load the weights that the options ask for.

        Returns:
            The hub's name of the weights, a report of what was loaded from the file and left out, or ``"random"``.

        Raises:
            ConfigurationError: requested weights are missing, or do not fit the network.
        """
        if self.weights_path is not None and read_origin(self.weights_path) is not None:
            return load_backbone(self, self.weights_path)
        network, origin = load_network(self._initial, self._paths)
        if network is not None:
            self.stages.load_state_dict(self._stages(network).stages.state_dict())
        return origin


def _check_name(model: str) -> None:
    timm = imported_timm()
    name, _, tag = model.partition(".")
    tags = timm.list_pretrained(f"{name}.*")
    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models(), n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else "; timm.list_models() lists them"
        raise ConfigurationError(f"backbone: timm has no model '{name}'{hint}")
    if tag and model not in tags:
        raise ConfigurationError(
            f"backbone {name}: no weights '{tag}'; there are {', '.join(tags) or 'none'}"
        )
