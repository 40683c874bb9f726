"""Where the initial weights of a timm network come from: the hub's cache, the hub, or a file."""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from gazekit.errors import ConfigurationError
from gazekit.torchvision_guard import allow_missing_operators

allow_missing_operators()

import safetensors.torch  # noqa: E402
import timm.models  # noqa: E402

HUB_TIMEOUT = 3.0
"""Seconds to wait for the hub's first answer; without a network that is all the time that is lost."""


@dataclass(frozen=True, slots=True)
class InitialWeights:
    """Which weights a network starts from; see TimmBackbone for the fields."""

    model: str
    in_channels: int
    pretrained: bool | Literal["auto"]
    weights: str | None


def load_network(choice: InitialWeights) -> tuple[nn.Module | None, str]:
    """Make a timm network with the weights asked for, and say where they come from.

    Returns:
        The network and the hub's name of its weights or the path of their file; None and ``"random"`` if it is
        to start from random weights.

    Raises:
        ConfigurationError: weights that were asked for are not there, or do not fit the network.
    """
    model, in_channels = choice.model, choice.in_channels
    if choice.weights is not None:
        network = create_network(model, in_channels)
        _load_file(network, Path(choice.weights), in_channels)
        return network, choice.weights
    if choice.pretrained is False:
        return None, "random"
    name = str(timm.models.get_pretrained_cfg_value(model, "hf_hub_id") or "")
    file, reason = _hub_file(name)
    if file is not None:
        return create_network(model, in_channels, file), name
    remedy = "give weights = FILE (safetensors or pth), or pretrained = false to start from random weights"
    if choice.pretrained is True:
        raise ConfigurationError(f"backbone {model}: no pretrained weights ({reason}); {remedy}")
    warnings.warn(
        f"backbone {model}: starting from random weights, for there are no pretrained ones ({reason}); {remedy}",
        stacklevel=3,
    )
    return None, "random"


def create_network(model: str, in_channels: int, file: str | None = None) -> nn.Module:
    """Make a timm network without its classifier; timm sums the stem of a file over its channels for one channel."""
    network: nn.Module = timm.create_model(
        model,
        pretrained=file is not None,
        pretrained_cfg_overlay=file and {"file": file, "custom_load": False},
        in_chans=in_channels,
        num_classes=0,
    )
    return network


@lru_cache(maxsize=32)
def _hub_file(name: str) -> tuple[str | None, str]:
    """The local path of the weights ``name`` of the hub, downloaded if need be; or None and the reason.

    The hub's client retries for most of a minute without a network, so one quick question comes first.
    """
    if not name:
        return None, "none are published for it"
    import huggingface_hub as hub

    file = "model.safetensors"
    cached = hub.try_to_load_from_cache(name, file)
    if isinstance(cached, str):
        return cached, ""
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(name, file), timeout=HUB_TIMEOUT)
        return hub.hf_hub_download(name, file), ""
    except Exception as error:  # whatever the hub, its client or the network in between may raise
        return None, f"{name} is not in the cache and cannot be downloaded: {_first_line(error)}"


def _load_file(network: nn.Module, path: Path, in_channels: int) -> None:
    """Load a file with the names of timm (torchvision's ResNets have them too), ignoring its classifier."""
    state = _read(path)
    config = network.pretrained_cfg
    assert isinstance(config, dict)
    for stem in _names(config.get("first_conv")):
        weight = state.get(f"{stem}.weight")
        if weight is not None and weight.shape[1] == 3 != in_channels:
            state[f"{stem}.weight"] = timm.models.adapt_input_conv(in_channels, weight)
    classifiers = tuple(f"{name}." for name in _names(config.get("classifier")))
    expected = network.state_dict()
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in expected and not key.startswith(classifiers)]
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    problems = {"missing": missing, "unknown": unknown, "of another shape": misshapen}
    if any(problems.values()):
        found = "; ".join(f"{len(keys)} {kind} ({keys[0]} …)" for kind, keys in problems.items() if keys)
        raise ConfigurationError(
            f"{path}: not the weights of {config['architecture']}: {found}; "
            "set model to the network that the file was saved from"
        )
    network.load_state_dict({key: state[key] for key in expected if key in state}, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors or torch file by name; no code in the file is run."""
    try:
        if path.suffix == ".safetensors":
            content = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
            content = content.get("state_dict", content.get("model", content))
        tensors = {key: tensor for key, tensor in content.items() if isinstance(tensor, Tensor)}
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file; expected weights (safetensors or pth)") from None
    except Exception as error:  # each format has errors of its own, and so has each way of being damaged
        raise ConfigurationError(
            f"{path}: not readable as weights ({_first_line(error)}); expected tensors by name in a safetensors "
            "file or a torch file without code"
        ) from None
    return {key.removeprefix("module."): tensor for key, tensor in tensors.items()}


def _names(entry: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else tuple(entry or ())


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
