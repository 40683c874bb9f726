"""Keep the weights of one backbone in a safetensors file that says how they were made."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import pydantic
import safetensors
import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor, nn

from gazekit.disk.atomic import write_atomically
from gazekit.disk.own_files import MIB, FileKind, parse_json, validated
from gazekit.disk.plain_text import visible
from gazekit.disk.regular_file import require_regular_file
from gazekit.disk.wording import in_command
from gazekit.errors import ConfigurationError, DataError

SCHEMA: Final = "gazekit.backbone/1"
_ORIGIN = "gazekit"
_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_KIND = FileKind("the origin of a backbone's weights", 64 * MIB, "write them again with gazekit pretrain")

Text = Annotated[str, Field(max_length=100_000)]


@dataclass(frozen=True, slots=True)
class BackboneOrigin:
    """How the weights of a backbone were made.

    Args:
        made: in words: the method, its steps, the number of exams.
        backbone: name and options of the component.
        data: fingerprint of the prepared data set.
        seed: of weights and order.
        version: of gazekit.
        held_out: what was measured on exams that were held out, with their number.
        start: the weights before, in words.
        seen: a hash of each image that was used, see :func:`gazekit.prepared.leaks.image_hashes`.
    """

    made: Text
    backbone: dict[str, Any]
    data: Text
    seed: Annotated[int, Field(ge=0)]
    version: Text
    held_out: dict[str, Annotated[float, Field(allow_inf_nan=False)]]
    start: Text
    seen: tuple[Annotated[str, Field(max_length=64)], ...]

    def __str__(self) -> str:
        """Describe the weights in one line."""
        measured = ", ".join(f"{name} {value:.4g}" for name, value in self.held_out.items())
        return (
            f"{visible(self.made)} with seed {self.seed} by gazekit {visible(self.version)} on data "
            f"{visible(self.data[:16])}, from {visible(self.start)}; held out: {visible(measured)}"
        )


_ADAPTER = pydantic.TypeAdapter(BackboneOrigin)


def save_backbone(path: Path, backbone: nn.Module, origin: BackboneOrigin) -> None:
    """Write the weights of a backbone and their origin, at once or not at all. Raises StorageError."""
    tensors = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in backbone.state_dict().items()
    }
    metadata = {_ORIGIN: json.dumps({"schema": SCHEMA, **asdict(origin)})}  # one key: their order is random
    write_atomically(path, safetensors.torch.save(tensors, metadata))


def read_origin(path: Path) -> BackboneOrigin | None:
    """Read how the weights of a file were made; None where gazekit did not write it.

    Raises:
        ConfigurationError: there is no such file, or its origin is damaged.
    """
    if path.suffix != ".safetensors":
        return None
    try:
        require_regular_file(path)
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_ORIGIN)
        if text is None:
            return None
        values = parse_json(text, path, _KIND)
        schema = values.pop("schema", None) if isinstance(values, dict) else None
        if schema != SCHEMA:
            raise ConfigurationError(f"{path}: schema {str(schema)[:40]}, expected {SCHEMA}; {_KIND.remedy}")
        origin: BackboneOrigin = validated(values, path, _KIND, _ADAPTER)
    except (OSError, safetensors.SafetensorError, DataError) as error:
        raise _unreadable(path, error) from None
    return origin


def load_backbone(backbone: nn.Module, path: Path) -> str:
    """Load the weights of a file into a backbone, and report what was loaded and where it came from.

    Every tensor of the backbone must be in the file under its own name and with its own shape, and no other.

    Raises:
        ConfigurationError: the file is not readable, or holds another network.
    """
    origin = read_origin(path)
    try:
        require_regular_file(path)
        found = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise _unreadable(path, error) from None
    own = backbone.state_dict()
    _check_alike(path, found, own, origin)
    check_values(path, found, own)
    backbone.load_state_dict(found)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    parameters = sum(each.numel() for each in backbone.parameters())
    said = f"{path.name} (SHA-256 {digest[:16]}): all {len(found)} tensors with {parameters:,} parameters"
    return said if origin is None else f"{said}; {origin}"


def check_values(path: Path, found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raise ConfigurationError unless the tensors of a file are finite, and real numbers where a network's own are."""
    odd = [name for name in found if own[name].is_floating_point() and found[name].dtype not in _REAL]
    if odd:
        kind = str(found[odd[0]].dtype).removeprefix("torch.")
        raise ConfigurationError(
            f"{path}: values of type {kind} in {len(odd)} tensors ({odd[0]} …); expected real numbers of 16, 32 or 64 "
            "bits; save the weights as they were before they were quantised"
        )
    broken = [name for name, tensor in found.items() if not tensor.isfinite().all()]
    if broken:
        raise ConfigurationError(
            f"{path}: not finite: {len(broken)} tensors ({broken[0]} …); expected finite numbers"
        )


def _unreadable(path: Path, error: Exception) -> ConfigurationError:
    if isinstance(error, FileNotFoundError):
        return ConfigurationError(
            f"{path}: no such file; expected weights in a safetensors file, as gazekit pretrain writes them"
        )
    return ConfigurationError(
        f"{path}: not readable as weights ({visible(str(error))}); expected tensors by name, as gazekit pretrain "
        "writes them"
    )


def _check_alike(
    path: Path, found: Mapping[str, Tensor], own: Mapping[str, Tensor], origin: BackboneOrigin | None
) -> None:
    """Raise ConfigurationError unless names and shapes are those of the backbone."""
    wrong = {
        "missing": [name for name in own if name not in found],
        "unknown": [name for name in found if name not in own],
        "of another shape": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(own[name].shape)}"
            for name in own
            if name in found and found[name].shape != own[name].shape
        ],
    }
    if not any(wrong.values()):
        return
    listed = "; ".join(f"{len(names)} {kind} ({names[0]} …)" for kind, names in wrong.items() if names)
    fit = len(own) - len(wrong["missing"]) - len(wrong["of another shape"])
    remedy = "set the backbone and its options to those that the file was saved from"
    if origin is not None:
        values = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in origin.backbone.items()
        }
        options = (f"--set {in_command(f'backbone.{name}={value}')}" for name, value in values.items())
        remedy = f"it was saved from {visible(' '.join(options))}; set the same"
    raise ConfigurationError(
        f"{path}: not the weights of this backbone: {fit} of {len(own)} tensors fit; {listed}; {remedy}"
    )
