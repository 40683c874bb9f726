"""Pre-train a backbone on patches, resume it where it was stopped, and write its weights."""

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import gazekit
from gazekit.contracts.backbone_weights import BackboneOrigin, read_origin, save_backbone
from gazekit.contracts.interfaces import Backbone
from gazekit.disk.atomic import disk_errors, own_folder
from gazekit.disk.locking import locked
from gazekit.errors import ConfigurationError, DataError, GazekitError, Preempted
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.leaks import image_hashes
from gazekit.prepared.splits import check_split, indices_of, make_split
from gazekit.presets.preset import Preset
from gazekit.pretraining.contrastive import ContrastiveNetwork
from gazekit.pretraining.patch_classifier import PatchClassifier
from gazekit.pretraining.patches import Patches, PatchSettings, default_side
from gazekit.pretraining.pooled_backbone import PooledBackbone
from gazekit.pretraining.settings import PretrainSettings
from gazekit.registry.registry import Registry
from gazekit.runs.checkpoints import checkpoint

_EVERY_SECONDS = 60
"""Seconds between checkpoints."""
_CHECKED_STEPS = 50
"""Steps after which the loss is looked at: it makes the host wait for the device."""
_WEIGHT_DECAY = 0.01
Network = PatchClassifier | ContrastiveNetwork


@dataclass(frozen=True, slots=True)
class Pretrained:
    """The weights that a pre-training has written, and what was measured on held-out exams.

    Args:
        path: of the weights.
        origin: how they were made, with the measures.
        classes: of the patches, with the number of held-out patches of each.
    """

    path: Path
    origin: BackboneOrigin
    classes: Mapping[str, int]


def pretrain(
    path: Path,
    preset: Preset,
    registry: Registry,
    dataset: PreparedDataset,
    settings: PretrainSettings,
    *,
    device: torch.device,
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> Pretrained:
    """Train a backbone on patches, and write its weights.

    The network is the preset's backbone, mean pooling and the layers of the task; images are normalised as the preset
    says.
    Checkpoints lie beside ``path``, and the same call goes on from them with the same result as one that was never
    stopped (on a GPU up to rounding).

    Args:
        path: of the safetensors file to write; it must not exist.
        preset: names the backbone, where it starts from, and the normalisation.
        registry: provides the components.
        dataset: prepared; to tell patches apart, with lesion masks.
        settings: task, patches and training.
        device: where to compute.
        should_stop: asked before each step.
        report: called with (done, total) steps.

    Raises:
        ConfigurationError: the file exists, an earlier part was made with other settings, or the backbone does not fit.
        DataError: the split does not fit, or a class has no patches.
        GazekitError: the training diverges.
        Preempted: it was stopped; the checkpoint is written.
    """
    _check_path(path)
    split = _split_of(dataset, settings)
    labelled = settings.pretext == "patches"
    learnt, measured_on = (indices_of(dataset, split, part).tolist() for part in ("train", "val"))
    patches = PatchSettings(
        settings.patch or default_side(dataset, learnt),
        shift=0.1 if labelled else 0.25,
        labelled=labelled,
        kinds=settings.kinds,
    )
    training, held_out = (
        Patches(dataset, exams, patches, among=(*learnt, *measured_on)) for exams in (learnt, measured_on)
    )
    torch.manual_seed(settings.seed)
    backbone = _backbone(preset, registry, dataset, training.side)
    start = backbone.load_initial_weights()
    full = float(np.iinfo(dataset.images.dtype).max)
    encoder = PooledBackbone(backbone, preset.data.normalisation(full), full)
    network: Network = (
        PatchClassifier(encoder, len(training.classes)) if labelled else ContrastiveNetwork(encoder)
    ).to(device)
    asked = _asked(preset, dataset, settings, split) | {"patch": training.side, "start": start}
    folder = path.with_name(f"{path.name}.checkpoints")
    own_folder(folder)
    with locked(folder, busy=f"{path}: another process is pre-training it; wait, or choose another --out"):
        _train(network, training, settings, folder, asked, should_stop, report)
        network.eval()
        with torch.no_grad():
            measured = network.measures(held_out, settings)
        origin = BackboneOrigin(
            made=_in_words(training, len(learnt), settings),
            backbone=_choice(preset, backbone),
            data=dataset.fingerprint,
            seed=settings.seed,
            version=gazekit.__version__,
            held_out=measured,
            start=start,
            seen=_seen(backbone, dataset, split),
        )
        save_backbone(path, backbone, origin)
    with disk_errors(folder):
        shutil.rmtree(folder)
    counts = {name: len(each.images) for name, each in zip(held_out.classes, held_out.places, strict=True)}
    return Pretrained(path, origin, counts)


def _check_path(path: Path) -> None:
    if path.suffix != ".safetensors":
        raise ConfigurationError(
            f"{path}: expected a name that ends in .safetensors, the format of the weights"
        )
    if path.exists() or path.is_symlink():
        raise ConfigurationError(f"{path}: exists; remove it, or choose another --out")


def _split_of(dataset: PreparedDataset, settings: PretrainSettings) -> Mapping[str, str]:
    """Return the split: the part to learn from is ``train``, the one that measures ``val``."""
    if settings.split is None:
        return make_split(dataset, seed=settings.seed, test=0.0, val=settings.held_out)
    check_split(dataset, settings.split)
    if "val" not in settings.split.values():
        raise DataError(
            "the split has no validation part, which measures; make one with gazekit data split --val 0.2"
        )
    return settings.split


def _backbone(preset: Preset, registry: Registry, dataset: PreparedDataset, side: int) -> Backbone:
    """Make the backbone of a preset for patches. Raises ConfigurationError: it sees other channels than an image's."""
    channels = dataset.settings.channels
    fusion = preset.fusion.images
    if fusion is not None:
        seen = registry.create("fusion", fusion.use, preset.views, channels, **fusion.options).in_channels
        if seen != channels:
            raise ConfigurationError(
                f"preset '{preset.name}': fusion.images = '{fusion.use}' gives its backbone {seen} channels, and a "
                f"patch has {channels}; pre-train with a preset whose backbone sees one view"
            )
    backbone: Backbone = registry.create(
        "backbone", preset.backbone.use, channels, (side, side), **preset.backbone.options
    )
    return backbone


def _choice(preset: Preset, backbone: Backbone) -> dict[str, Any]:
    """The backbone's name and options, without the file that it started from."""
    started = str(backbone.weights_path)
    options = {name: value for name, value in preset.backbone.options.items() if str(value) != started}
    return json.loads(json.dumps({"use": preset.backbone.use, **options}))  # type: ignore[no-any-return]


def _asked(
    preset: Preset, dataset: PreparedDataset, settings: PretrainSettings, split: Mapping[str, str]
) -> dict[str, Any]:
    """What a checkpoint must have been made with for its training to go on."""
    parts = "\n".join(f"{exam} {part}" for exam, part in sorted(split.items()))
    return {
        "backbone": json.dumps({"use": preset.backbone.use, **preset.backbone.options}, sort_keys=True),
        "normalisation": list(preset.data.normalisation()),
        "data": dataset.fingerprint,
        "pretext": settings.pretext,
        "steps": settings.steps,
        "batch size": settings.batch_size,
        "learning rate": settings.learning_rate,
        "kinds": settings.kinds or "",
        "seed": settings.seed,
        "split": hashlib.sha256(parts.encode()).hexdigest()[:16],
    }


def _train(
    network: Network,
    training: Patches,
    settings: PretrainSettings,
    folder: Path,
    asked: Mapping[str, Any],
    should_stop: Callable[[], bool],
    report: Callable[[int, int], None],
) -> None:
    """Train from the newest checkpoint to the last step."""
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=_WEIGHT_DECAY, fused=True
    )
    first = _resumed(network, optimizer, folder, asked)
    network.train()
    saved_at = time.monotonic()

    def save(step: int) -> None:
        _check_finite(network, step)
        state = {"optimizer": optimizer.state_dict(), "step": step, "asked": dict(asked)}
        checkpoint.save_step(folder, step, network.state_dict(), state)
        for old in checkpoint.steps_of(folder)[:-2]:
            shutil.rmtree(old, ignore_errors=True)

    for step in range(first, settings.steps):
        if should_stop():
            save(step)
            raise Preempted(f"{folder}: stopped at step {step}, checkpoint written")
        if time.monotonic() - saved_at > _EVERY_SECONDS:
            save(step)
            saved_at = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * (1 + math.cos(math.pi * step / settings.steps)) / 2
        torch.manual_seed(settings.seed * 1_000_003 + step)  # dropout
        loss = network.loss(training, settings, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step % _CHECKED_STEPS == 0 and not loss.isfinite():
            raise GazekitError(f"step {step}: the loss is not finite; try a smaller --lr")
        report(step + 1, settings.steps)
    _check_finite(network, settings.steps)


def _check_finite(network: nn.Module, step: int) -> None:
    """Raise GazekitError if a weight or a statistic of the network is not finite after some steps."""
    broken = [name for name, tensor in network.state_dict().items() if not tensor.isfinite().all()]
    if broken:
        raise GazekitError(f"step {step}: the weights are not finite ({broken[0]}); try a smaller --lr")


def _resumed(
    network: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, asked: Mapping[str, Any]
) -> int:
    """Load the newest checkpoint, if there is one, and return the step to go on from."""
    warnings: list[str] = []
    found = checkpoint.load_latest(folder, warnings.append, module=network)
    if found is None:
        return 0
    before = found.state.get("asked", {})
    changed = [name for name, value in asked.items() if before.get(name) != value]
    if changed:
        name = changed[0]
        raise ConfigurationError(
            f"{folder}: begun with {name} {before.get(name)}, not {asked[name]}; give the same options to go on, or "
            "remove the folder to begin again"
        )
    checkpoint.put_weights(network, found.weights, folder)
    optimizer.load_state_dict(found.state["optimizer"])
    return int(found.state["step"])


def _in_words(training: Patches, exams: int, settings: PretrainSettings) -> str:
    task = f"to tell patches of {training.side} px apart ({', '.join(training.classes)})"
    if settings.pretext == "contrastive":
        task = f"to pair two looks at a patch of {training.side} px (contrastive)"
    return f"pre-trained {task}, {exams} exams, {settings.steps} steps of {settings.batch_size}"


def _seen(backbone: Backbone, dataset: PreparedDataset, split: Mapping[str, str]) -> tuple[str, ...]:
    """Hash the images of the parts that were used, and those that the weights before had seen."""
    earlier = read_origin(backbone.weights_path) if backbone.weights_path is not None else None
    used = [i for i, exam in enumerate(dataset.exam_ids) if split[exam] != "test"]
    hashes = {each for exam in used for each in image_hashes(dataset, exam)}
    return tuple(sorted(hashes | set(earlier.seen if earlier else ())))
