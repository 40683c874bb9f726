"""Turn a timm network into stages: groups of its blocks of tokens, a chain of its modules, or the whole as one."""

import inspect
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gazekit.contracts.types import Extras
from gazekit.errors import ConfigurationError
from gazekit_components.backbones.timm_tokens import has_tokens, token_stages


@dataclass(frozen=True, slots=True)
class Stages:
    """A network in stages.

    Args:
        stages, channels: see ``Backbone``.
        paths: the modules and parameters of the network that are used.
    """

    stages: nn.ModuleList
    channels: tuple[int, ...]
    paths: list[str]


def stages_of(network: nn.Module, in_channels: int, size: tuple[int, int], *, show_attention: bool) -> Stages:
    """Take a network apart, which it does not survive, and compare the parts with the whole on one image.

    Args:
        network: of timm, without classifier.
        in_channels: channels of the image.
        size: (height, width) of the image.
        show_attention: let stages show the attention of their blocks.

    Raises:
        ConfigurationError: patches do not fit the image, or there is no attention to show.
        Exception: the network cannot take the image, in any of many ways.
    """
    image = torch.linspace(-1, 1, in_channels * size[0] * size[1]).view(1, in_channels, *size)
    training = network.training
    network.eval()
    if has_tokens(network):
        _check_patches(network, size)
        paths = _used(network)
        expected = _last_maps(network, image, norm=True)
        stages, width = token_stages(network, show_attention=show_attention)
        found = Stages(stages, (width,) * len(stages), paths)
        _compare(found, image, expected)
    elif show_attention:
        raise ConfigurationError(
            "show_attention needs blocks in which all tokens attend to each other; leave it out, or take a Vision "
            "Transformer, e.g. vit_tiny_patch16_224"
        )
    else:
        found = _chain_or_whole(network, image)
    found.stages.train(training)
    return found


def _check_patches(network: Any, size: tuple[int, int]) -> None:
    side = network.feature_info[0]["reduction"]
    side = side if isinstance(side, int) else max(side)
    if any(pixels % side for pixels in size):
        near = "x".join(str(max(side, round(pixels / side) * side)) for pixels in size)
        raise ConfigurationError(
            f"expected images whose height and width are multiples of {side} px, the side of a patch; got {size[0]} × "
            f"{size[1]}: prepare the data with --size {near}, or take a network without patches, e.g. resnet18"
        )


def _used(network: nn.Module) -> list[str]:
    """Remove what follows the last maps, and return the names of the parts that are left."""
    network.prune_intermediate_layers(1, prune_norm=False, prune_head=True)  # type: ignore[operator]
    return sorted({name.partition(".")[0] for name in network.state_dict()})


def _chain_or_whole(network: nn.Module, image: Tensor) -> Stages:
    try:
        found = _chain(network)
        if not image.is_meta:  # where only sizes are asked for, a forward pass says nothing and takes long
            _compare(found, image, _last_maps(network, image, norm=False))
    except Exception:  # its modules, in a chain, may fail in any way
        return _whole(network, image)
    return found


@torch.no_grad()
def _last_maps(network: nn.Module, image: Tensor, *, norm: bool) -> Tensor:
    """Return the last maps as timm's own forward pass has them."""
    asked: dict[str, Any] = {"norm": True} if norm else {}
    maps: Tensor = network.forward_intermediates(image, indices=1, intermediates_only=True, **asked)[-1]  # type: ignore[operator]
    return maps


@torch.no_grad()
def _compare(found: Stages, image: Tensor, expected: Tensor) -> None:
    """Raise ValueError unless the stages compute the maps that are expected."""
    maps = image
    extras: Extras = {}
    for stage, width in zip(found.stages, found.channels, strict=True):
        result = stage(maps, extras) if getattr(stage, "reads_extras", False) else stage(maps)
        maps, extras = result if isinstance(result, tuple) else (result, {})
        if maps.ndim != 4 or maps.shape[1] != width:
            raise ValueError(f"its stages give {list(maps.shape)} instead of maps with {width} channels")
    if not maps.is_meta and not torch.allclose(maps, expected, rtol=1e-4, atol=1e-5):
        raise ValueError("its parts in a chain compute something else than the whole")


def _chain(network: nn.Module) -> Stages:
    """Start a new stage at each stride from 4 on. Raises ValueError: the network is no chain of its modules."""
    info = [level for level in getattr(network, "feature_info", ()) if level["reduction"] >= 4]
    ends = [level["module"] for level in info]
    chain = _up_to(network, ends)
    stages = nn.ModuleList()
    stage: OrderedDict[str, nn.Module] = OrderedDict()
    for path, module in chain:
        stage[path.replace(".", "_")] = module
        if path == ends[len(stages)]:
            stages.append(nn.Sequential(stage))
            stage = OrderedDict()
    if getattr(network, "output_fmt", "") == "NHWC":
        stages = nn.ModuleList(ChannelsLastStage(each, first=i == 0) for i, each in enumerate(stages))
    return Stages(stages, tuple(level["num_chs"] for level in info), [path for path, _ in chain])


def _up_to(network: nn.Module, ends: list[str]) -> list[tuple[str, nn.Module]]:
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


class ChannelsLastStage(nn.Module):
    """A stage that computes on ``[B, h, w, C]``, as those of a Swin Transformer do.

    Args:
        stage: of the network.
        first: it takes images ``[B, C, H, W]``.
    """

    def __init__(self, stage: nn.Module, *, first: bool) -> None:
        super().__init__()
        self.stage = stage
        self.first = first

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to the next maps."""
        result: Tensor = self.stage(maps if self.first else maps.permute(0, 2, 3, 1))
        return result.permute(0, 3, 1, 2).contiguous()


def _whole(network: nn.Module, image: Tensor) -> Stages:
    """Make one stage of a network; parameters that do not take part in its last maps do not learn."""
    try:
        _last_maps(network, image, norm=True)
        norm = True
    except Exception:  # it has none, or one that fits the last of several widths only
        norm = False
    if hasattr(network, "prune_intermediate_layers"):
        network.prune_intermediate_layers(1, prune_norm=not norm, prune_head=True)  # type: ignore[operator]
    stage = WholeNetwork(network, norm=norm)
    stage.train().eval()  # forgets what a network computed of its parameters, without a graph, to use it again
    result = stage(image)
    maps, extras = result if isinstance(result, tuple) else (result, {})
    parameters = list(network.parameters())
    total = torch.stack([each.sum() for each in (maps, *extras.values())]).sum()
    for parameter, gradient in zip(
        parameters, torch.autograd.grad(total, parameters, allow_unused=True), strict=True
    ):
        parameter.requires_grad_(gradient is not None)
    paths = sorted({name.partition(".")[0] for name in network.state_dict()})
    return Stages(nn.ModuleList([stage]), (maps.shape[1],), paths)


class WholeNetwork(nn.Module):
    """A network as one stage, by timm's own way to intermediate features.

    Args:
        network: of timm.
        norm: normalise the last maps by the network's last norm.
    """

    def __init__(self, network: nn.Module, *, norm: bool) -> None:
        super().__init__()
        self.network = network
        known = inspect.signature(network.forward_intermediates).parameters  # type: ignore[arg-type]
        self.prefix = bool(getattr(network, "num_prefix_tokens", 0)) and "return_prefix_tokens" in known
        self.options: dict[str, Any] = {"norm": True} if norm else {}
        if self.prefix:
            self.options["return_prefix_tokens"] = True

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Extras]:
        """Map images to the last maps ``[B, C, h, w]``, and the class token where there is one."""
        forward: Any = self.network.forward_intermediates
        last = forward(images, indices=1, intermediates_only=True, **self.options)[-1]
        if not self.prefix:
            maps: Tensor = last
            return maps
        return last[0], {"class_token": last[1][:, 0]}
