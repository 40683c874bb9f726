"""Load the initial weights of a timm network: from the hub's cache, the hub, or a file."""

import hashlib
import math
import pickle
import re
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import safetensors.torch
import torch
from torch import Tensor, nn

from gazekit.contracts.backbone_weights import check_values
from gazekit.disk.regular_file import require_regular_file
from gazekit.errors import ConfigurationError
from gazekit_components.backbones.pretrained_keys import (
    Match,
    Mismatch,
    match_names,
    match_order,
    without_prefix,
)

HUB_TIMEOUT = 3.0
"""Seconds to wait for the hub's first answer: the time lost without a network."""
_AGAIN = 60.0
"""Seconds after which the hub is asked again for what it did not give."""


def imported_timm() -> ModuleType:
    """Import timm when a network of it is made: with torchvision, that takes seconds."""
    with warnings.catch_warnings():  # tqdm, which timm's hub imports, warns in a notebook without ipywidgets
        warnings.filterwarnings("ignore", message="IProgress not found")
        import timm
    module: ModuleType = timm
    return module


@dataclass(frozen=True, slots=True)
class InitialWeights:
    """The choice of initial weights; see TimmBackbone for the fields."""

    model: str
    in_channels: int
    size: tuple[int, int] | None
    """(height, width) of the image, for a network of one image size; None for others."""
    pretrained: bool | Literal["auto"]
    weights: str | None
    match: Literal["names", "order"] = "names"


def load_network(choice: InitialWeights, paths: Sequence[str]) -> tuple[nn.Module | None, str]:
    """Make a timm network with the requested weights, and report their origin.

    Args:
        choice: the requested weights.
        paths: the modules of the network that are used; only these must be in a file.

    Returns:
        The network and the hub's name of its weights, or a report of what was loaded from a file and left out; None
        and ``"random"`` to start from random weights.

    Raises:
        ConfigurationError: requested weights are missing, or do not fit the network.
    """
    model = choice.model
    if choice.weights is not None:
        network = create_network(choice)
        return network, _load_file(network, choice, paths)
    if choice.pretrained is False:
        return None, "random"
    name = str(imported_timm().models.get_pretrained_cfg_value(model, "hf_hub_id") or "")
    file, reason = _hub_file(name)
    if file is not None:
        return create_network(choice, file), name
    remedy = "give weights = FILE (safetensors or pth), or pretrained = false to start from random weights"
    if choice.pretrained is True:
        raise ConfigurationError(f"backbone {model}: no pretrained weights ({reason}); {remedy}")
    warnings.warn(
        f"backbone {model}: starting from random weights, because pretrained ones are missing ({reason}); {remedy}",
        stacklevel=3,
    )
    return None, "random"


def create_network(choice: InitialWeights, file: str | None = None) -> nn.Module:
    """Make a timm network without its classifier, from random weights or a file of the hub.

    timm sums the stem of a file over its channels for one channel, and interpolates positions for another size.
    """
    sized = {} if choice.size is None else {"img_size": choice.size}
    network: nn.Module = imported_timm().create_model(
        choice.model,
        pretrained=file is not None,
        pretrained_cfg_overlay=file and {"file": file, "custom_load": False},
        in_chans=choice.in_channels,
        num_classes=0,
        **sized,
    )
    return network


_missed: dict[str, tuple[float, str]] = {}
"""Weights that the hub did not give: when, and why."""


def _hub_file(name: str) -> tuple[str | None, str]:
    """As ``_from_hub``; what failed is not tried again for a while."""
    when, reason = _missed.get(name, (-math.inf, ""))
    if time.monotonic() - when < _AGAIN:
        return None, reason
    file, reason = _from_hub(name)
    if file is None:
        _missed[name] = time.monotonic(), reason
    return file, reason


def _from_hub(name: str) -> tuple[str | None, str]:
    """Return the local path of the hub's weights ``name``, downloaded if necessary; or None and the reason.

    Without a network the hub's client retries for most of a minute, so one quick request comes first.
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
    except Exception as error:  # the hub, its client and the network may raise anything
        return None, f"{name} is not in the cache and cannot be downloaded: {_first_line(error)}"


def _load_file(network: nn.Module, choice: InitialWeights, paths: Sequence[str]) -> str:
    """Load a file into the parts of a network that ``paths`` name, and report what was loaded and left out."""
    path = Path(str(choice.weights))
    found = _read(path)
    config = network.pretrained_cfg
    assert isinstance(config, dict)
    state = network.state_dict()
    wanted = {key: tensor for key, tensor in state.items() if _is_used(key, paths)}
    stems = [f"{name}.weight" for name in _names(config.get("first_conv"))]
    if choice.match == "order" and path.suffix == ".safetensors":
        raise ConfigurationError(
            f"{path}: a safetensors file does not keep the order of its tensors; save a pth file"
        )
    if choice.size is not None and choice.match == "names":
        found = _resampled(without_prefix(found, state), network)
    try:
        if choice.match == "order":
            match = match_order(found, wanted, stems=stems)
        else:
            match = match_names(found, wanted, stems=stems, also=[key for key in state if key not in wanted])
    except Mismatch as error:
        remedy = "set model to the network that the file was saved from"
        if choice.match == "names":
            remedy += ', or weights_match = "order" to go by order and shape if its names are unknown'
        raise ConfigurationError(
            f"{path}: not the weights of {config['architecture']}: {error}; {remedy}"
        ) from None
    _check_padding(path, choice.model, match)
    check_values(path, match.tensors, state)
    adapted = {
        key: adapt_stem(tensor, state[key].shape[1]) if key in stems else tensor.reshape(state[key].shape)
        for key, tensor in match.tensors.items()
    }
    network.load_state_dict(adapted, strict=False)
    return _report(path, network, match, stems)


def _resampled(found: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Interpolate positions for the image size of a network, and give tensors timm's names, as timm itself does."""
    adapt = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    return dict(found if adapt is None else adapt(dict(found), network))


def _is_used(key: str, paths: Sequence[str]) -> bool:
    return key in paths or key.startswith(tuple(f"{each}." for each in paths))


def adapt_stem(weight: Tensor, in_channels: int) -> Tensor:
    """Turn a convolution ``[D, C, k, k]`` into one for images of ``in_channels`` channels.

    One channel gets the sum, so that a grey image gives the same result as in RGB. More channels repeat the existing
    ones, scaled by ``C / in_channels``, as timm's ``adapt_input_conv`` does.
    """
    given = weight.shape[1]
    if given == in_channels:
        return weight
    if in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    order = torch.arange(in_channels) % given
    repeated = weight[:, order]  # [D, in_channels, k, k]
    return repeated * (given / in_channels)


def _check_padding(path: Path, model: str, match: Match) -> None:
    """Raise ConfigurationError if the file's network pads as TensorFlow does and timm's does not."""
    name = model.partition(".")[0]
    if match.layout is None or not match.layout.same_padding or name.startswith("tf_"):
        return
    raise ConfigurationError(
        f'{path}: {match.layout.name} pads as TensorFlow does and {name} does not; set model = "tf_{name}"'
    )


def _report(path: Path, network: nn.Module, match: Match, stems: Sequence[str]) -> str:
    """Return one line for log and run record, with the file's name and digest but not its folders."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    parameters = dict(network.named_parameters())
    count = sum(parameters[key].numel() for key in match.tensors if key in parameters)
    said = [
        f"{path.name} (SHA-256 {digest[:16]}): {len(match.tensors)} tensors with {count:,} parameters {match.how}"
    ]
    for stem in stems:
        if stem in match.tensors:
            theirs, ours = match.tensors[stem].shape[1], parameters[stem].shape[1]
            if theirs != ours:
                said.append(
                    f"the stem's {theirs} input channels {'summed' if ours == 1 else 'repeated'} into {ours}"
                )
    if match.left_out:
        said.append(
            "left out: " + ", ".join(f"{reason} ({_some(keys)})" for reason, keys in match.left_out.items())
        )
    return "; ".join(said)


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys) if len(keys) <= 2 else f"{len(keys)}, {keys[0]} …"


_WRAPPINGS = ("state_dict", "model_state_dict", "model", "network")
"""Keys under which training frameworks store the tensors: Lightning, Mammo-CLIP, many scripts."""


def _read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors or torch file by name, in order; no code in the file is run."""
    try:
        require_regular_file(path)
        if path.suffix == ".safetensors":
            content = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
            content = next(
                (content[key] for key in _WRAPPINGS if isinstance(content.get(key), dict)), content
            )
        return {str(key): tensor for key, tensor in content.items() if isinstance(tensor, Tensor)}
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file; expected weights (safetensors or pth)") from None
    except pickle.UnpicklingError as error:  # torch's own reader raises it too
        named = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it holds the class {named[1]}" if named else _first_line(error)
        raise ConfigurationError(
            f"{path}: not readable as weights without running code ({reason}); open it with the library that made it "
            "and save only its state_dict()"
        ) from None
    except Exception as error:  # each format, and each kind of damage, has its own errors
        raise ConfigurationError(
            f"{path}: not readable as weights ({_first_line(error)}); expected tensors by name in a safetensors "
            "file or a torch file without code"
        ) from None


def _names(entry: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else tuple(entry or ())


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
