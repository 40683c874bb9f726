"""Checkpoints: atomic, verified, never executable, the previous one kept.

``checkpoints/000120/`` holds ``weights.safetensors`` (model and objective), ``state.pt`` (optimiser and counters,
tensors and plain values only) and ``manifest.json`` (size and sha256 of both). The folder appears under its name
only when it is complete.
"""

import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gazekit.atomic import disk_errors, sync_folder
from gazekit.errors import DataError

SCHEMA = "gazekit.checkpoint/1"
_KEPT = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The model's tensors and the state needed to go on."""

    weights: dict[str, Tensor]
    state: dict[str, Any]


def _save(folder: Path, name: str, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
    """Write ``folder/name`` so that it is there whole or not at all."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    tensors = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in weights.items()}
    files = {"weights.safetensors": safetensors.torch.save(tensors), "state.pt": buffer.getvalue()}
    manifest = {
        "schema": SCHEMA,
        "files": {
            file: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for file, content in files.items()
        },
    }
    files["manifest.json"] = json.dumps(manifest, indent=2).encode()
    target = folder / name
    with disk_errors(target):
        temporary = folder / f".{name}.partial"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            for file, content in files.items():
                with (temporary / file).open("wb") as handle:
                    handle.write(content)
                    handle.flush()
                    os.fsync(handle.fileno())
            sync_folder(temporary)
            if target.exists():  # a resumed run comes by its last steps again
                shutil.rmtree(target)
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(folder)
    return target


def save_step(folder: Path, step: int, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
    """Save the checkpoint of a step and forget all but the last two. Raises StorageError."""
    target = _save(folder, f"{step:06d}", weights, state)
    for old in _steps(folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def load(path: Path) -> Checkpoint:
    """Read and verify a checkpoint. Raises DataError: missing, torn or altered."""
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
        content = {name: (path / name).read_bytes() for name in ("weights.safetensors", "state.pt")}
        for name, data in content.items():
            if hashlib.sha256(data).hexdigest() != manifest["files"][name]["sha256"]:
                raise DataError(f"{path / name}: does not match its checksum; the file is damaged")
        weights = safetensors.torch.load(content["weights.safetensors"])
        state = torch.load(io.BytesIO(content["state.pt"]), weights_only=True)
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: not a complete checkpoint; {Path(error.filename).name} is missing"
        ) from None
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise DataError(f"{path}: not a readable checkpoint: {error}") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        raise DataError(
            f"{path / 'state.pt'}: not a readable checkpoint: holds more than plain values"
        ) from None
    return Checkpoint(weights, state)


def load_latest(folder: Path, report: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that is whole; ``report`` is told of each damaged one. None if there is none."""
    for path in reversed(_steps(folder)):
        try:
            return load(path)
        except DataError as error:
            report(f"{error}; using the one before it")
    return None


def _steps(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("[0-9]*") if path.is_dir()), key=lambda path: int(path.name))
