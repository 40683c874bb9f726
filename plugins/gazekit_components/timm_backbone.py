"""Convolutional networks of timm, cut into stages."""

from collections import OrderedDict
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Literal

import torch
from torch import Tensor, nn

from gazekit.contracts.interfaces import Backbone
from gazekit.errors import ConfigurationError
from gazekit_components.timm_weights import InitialWeights, create_network, imported_timm, load_network


class TimmBackbone(Backbone):
    """Any convolutional timm network that is a chain of stages; one ends at each stride from 4 on.

    For ResNet-18 these are its four layers (strides 4, 8, 16, 32), with the stem in the first. Layers after the last
    stage are left out, so that no parameter is unused. A stem for one channel is the sum of the RGB stem.

    Args:
        in_channels: channels of the image.
        model: timm's name, with a tag or without (``"resnet18"``, ``"resnet18.a1_in1k"``).
        pretrained: true = weights from the cache or the hub, and an error if there are none; false = random
            weights; ``"auto"`` = pretrained weights if available, else random ones with a warning.
        weights: file to start from instead (safetensors, or pth without code), as timm, torchvision, MONAI,
            torchxrayvision, efficientnet_pytorch or Mammo-CLIP save them; its classifier is left out.
        weights_match: ``"names"`` = find each tensor of the file by name; ``"order"`` = match by order and shape,
            for a file with unknown names.

    Raises:
        ConfigurationError: no such network, or one without stages.

    Source: Sec. 2.1 and 3.2 (ResNet-18, ImageNet); https://github.com/huggingface/pytorch-image-models.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        model: str = "resnet18",
        pretrained: bool | Literal["auto"] = "auto",
        weights: str | None = None,
        weights_match: Literal["names", "order"] = "names",
    ) -> None:
        super().__init__()
        _check_name(model)
        self._initial = InitialWeights(model, in_channels, pretrained, weights, weights_match)
        network = create_network(model, in_channels)
        info = [level for level in getattr(network, "feature_info", ()) if level["reduction"] >= 4]
        self.channels = tuple(level["num_chs"] for level in info)
        self._ends = [level["module"] for level in info]
        try:
            self.stages = _cut(network, self._ends)
            self._paths = [path for path, _ in _chain(network, self._ends)]
            _compare(self.stages, self.channels, network, in_channels)
        except Exception as error:  # timm's networks fail here in many ways
            raise ConfigurationError(
                f"backbone {model}: cannot be cut into stages ({error}); expected a convolutional network that "
                "is a chain of stages, such as resnet18, convnext_atto or efficientnet_b0"
            ) from error

    def load_initial_weights(self) -> str:
        """Load the weights that the options ask for.

        Returns:
            The hub's name of the weights, a report of what was loaded from the file and left out, or ``"random"``.

        Raises:
            ConfigurationError: requested weights are missing, or do not fit the network.
        """
        network, origin = load_network(self._initial, self._paths)
        if network is not None:
            self.stages.load_state_dict(_cut(network, self._ends).state_dict())
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


def _cut(network: nn.Module, ends: list[str]) -> nn.ModuleList:
    """Chain the modules of the network in order, and start a new stage after each of ``ends``."""
    stages = nn.ModuleList()
    stage: OrderedDict[str, nn.Module] = OrderedDict()
    for path, module in _chain(network, ends):
        stage[path.replace(".", "_")] = module
        if path == ends[len(stages)]:
            stages.append(nn.Sequential(stage))
            stage = OrderedDict()
    return stages


def _chain(network: nn.Module, ends: list[str]) -> list[tuple[str, nn.Module]]:
    """Return the paths and modules up to the last of ``ends``. Raises ValueError: it is not among them."""
    chain, left = [], list(ends)
    for path, module in _in_order(network, ends):
        chain.append((path, module))
        if path == next(iter(left), None):
            del left[0]
            if not left:
                return chain
    raise ValueError("it does not say where its stages end")


def _in_order(module: nn.Module, ends: list[str], prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Return modules and paths in the order of execution, opening those within which a stage ends."""
    for name, child in module.named_children():
        path = prefix + name
        if any(end.startswith(f"{path}.") for end in ends):
            if not isinstance(child, nn.Sequential):
                raise ValueError(f"a stage ends inside of {path}")
            yield from _in_order(child, ends, f"{path}.")
        else:
            yield path, child


@torch.no_grad()
def _compare(stages: nn.ModuleList, channels: tuple[int, ...], network: nn.Module, in_channels: int) -> None:
    """Raise ValueError unless the chain of stages computes what timm's own forward does."""
    training = network.training
    network.eval()
    maps = torch.linspace(-1, 1, in_channels * 96 * 96).view(1, in_channels, 96, 96)
    expected: list[Tensor] = network.forward_intermediates(maps, intermediates_only=True)  # type: ignore[operator]
    for stage, width in zip(stages, channels, strict=True):
        maps = stage(maps)
        if maps.ndim != 4 or maps.shape[1] != width:
            raise ValueError(f"its stages give {list(maps.shape)} instead of maps with {width} channels")
    if not torch.allclose(maps, expected[-1], rtol=1e-4, atol=1e-5):
        raise ValueError("its parts in a chain compute something else than the whole")
    network.train(training)
