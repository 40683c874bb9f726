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
from gazekit.measures.classification import area_under_roc
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.leaks import image_hashes
from gazekit.prepared.splits import check_split, indices_of, make_split
from gazekit.presets.preset import Preset
from gazekit.pretraining.patch_classifier import PatchClassifier
from gazekit.pretraining.patches import Patches, PatchSettings
from gazekit.registry.registry import Registry
from gazekit.runs import checkpoint

_EVERY_SECONDS = 60
"""Seconds between checkpoints."""
_CHECKED_STEPS = 50
"""Steps after which the loss is looked at: it makes the host wait for the device."""
_FIFTH = 1152 / 224
"""Rows of an image to those of a patch in Shen et al. 2019."""
_LEAST = 16
"""Least side of a patch by default, px. Ours: stages of total stride 8 leave it 2 × 2 cells."""
_WEIGHT_DECAY = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainSettings:
    """How to pre-train; the defaults are ours.

    Args:
        patch: side of a patch, px; None = 224 / 1152 of the image's height as in Shen et al. 2019, at least 16 px.
        steps: number of batches.
        batch_size: patches in a batch.
        learning_rate: of AdamW at the start; it falls to 0 along half a cosine.
        held_out: share of the patients whose exams only measure, where no split is given.
        kinds: further target that divides lesions, such as mass and calcification.
        seed: of initial weights, patches and the split.
        split: exam → part; its training part is learnt from, its validation part measures, its test part stays
            closed. None = by patient, or as the source has it.
    """

    patch: int | None = None
    steps: int = 1000
    batch_size: int = 64
    learning_rate: float = 2e-3
    held_out: float = 0.2
    kinds: str | None = None
    seed: int = 0
    split: Mapping[str, str] | None = None

    def side(self, dataset: PreparedDataset) -> int:
        """Side of a patch, px."""
        return self.patch or max(_LEAST, round(dataset.size[0] / _FIFTH))


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
    """Train a backbone to tell patches apart, and write its weights.

    The network is the preset's backbone, mean pooling and a linear layer; images are normalised as the preset says.
    Checkpoints lie beside ``path``, and the same call goes on from them with the same result as one that was never
    stopped (on a GPU up to rounding).

    Args:
        path: of the safetensors file to write; it must not exist.
        preset: names the backbone, where it starts from, and the normalisation.
        registry: provides the components.
        dataset: prepared, with lesion masks.
        settings: patches and training.
        device: where to compute.
        should_stop: asked before each step.
        report: called with (done, total) steps.

    Raises:
        ConfigurationError: the file exists, an earlier part was made with other settings, or the backbone does not fit.
        DataError: the split does not fit, or a class has no patches.
        Preempted: it was stopped; the checkpoint is written.

    Source: Shen et al. 2019, Scientific Reports 9:12495, doi:10.1038/s41598-019-48995-4.
    """
    _check_path(path)
    split = _split_of(dataset, settings)
    patches = PatchSettings(settings.side(dataset), kinds=settings.kinds)
    training, held_out = (
        Patches(dataset, indices_of(dataset, split, part).tolist(), patches) for part in ("train", "val")
    )
    torch.manual_seed(settings.seed)
    backbone = _backbone(preset, registry, dataset, training.side)
    start = backbone.load_initial_weights()
    full = float(np.iinfo(dataset.images.dtype).max)
    network = PatchClassifier(backbone, len(training.classes), preset.data.normalisation(full)).to(device)
    asked = _asked(preset, dataset, settings, split) | {"start": start}
    folder = path.with_name(f"{path.name}.checkpoints")
    own_folder(folder)
    with locked(folder, busy=f"{path}: another process is pre-training it; wait, or choose another --out"):
        _train(network, training, settings, folder, asked, should_stop, report)
        measured = _measured(network, held_out, settings)
        origin = BackboneOrigin(
            made=_in_words(training, len(indices_of(dataset, split, "train")), settings),
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
        "patch": settings.side(dataset),
        "steps": settings.steps,
        "batch size": settings.batch_size,
        "learning rate": settings.learning_rate,
        "kinds": settings.kinds or "",
        "seed": settings.seed,
        "split": hashlib.sha256(parts.encode()).hexdigest()[:16],
    }


def _train(
    network: PatchClassifier,
    training: Patches,
    settings: PretrainSettings,
    folder: Path,
    asked: Mapping[str, Any],
    should_stop: Callable[[], bool],
    report: Callable[[int, int], None],
) -> None:
    """Train from the newest checkpoint to the last step."""
    device = network.classifier.weight.device
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=_WEIGHT_DECAY, fused=True
    )
    first = _resumed(network, optimizer, folder, asked)
    network.train()
    saved_at = time.monotonic()

    def save(step: int) -> None:
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
        draw = training.batch(settings.batch_size, seed=settings.seed, step=step)
        torch.manual_seed(settings.seed * 1_000_003 + step)  # dropout
        logits = network(torch.from_numpy(draw.images).to(device))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(draw.labels).to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step % _CHECKED_STEPS == 0 and not loss.isfinite():
            raise GazekitError(f"step {step}: the loss is not finite; try a smaller --lr")
        report(step + 1, settings.steps)


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


@torch.no_grad()
def _measured(network: PatchClassifier, held_out: Patches, settings: PretrainSettings) -> dict[str, float]:
    """Measure the network on one patch of each class of each held-out image."""
    network.eval()
    draw = held_out.held_out(seed=settings.seed)
    device = network.classifier.weight.device
    parts = torch.from_numpy(draw.images).split(settings.batch_size)
    logits = torch.cat([network(part.to(device)).cpu() for part in parts]).double()
    if not logits.isfinite().all():
        raise GazekitError("the pre-trained weights give no finite outputs; try a smaller --lr")
    chances = logits.softmax(dim=1).numpy()
    lesions = draw.labels > 0
    at_lesions = logits[lesions, 1:].softmax(dim=1).numpy()
    return {
        "accuracy": float(np.mean(chances.argmax(axis=1) == draw.labels)),
        "macro AUC": area_under_roc(chances, draw.labels),
        "AUC among lesions": area_under_roc(at_lesions, draw.labels[lesions] - 1),
        "patches": len(draw.labels),
        "exams": len(set(draw.exams.tolist())),
    }


def _in_words(training: Patches, exams: int, settings: PretrainSettings) -> str:
    return (
        f"pre-trained to tell patches of {training.side} px apart ({', '.join(training.classes)}), {exams} exams, "
        f"{settings.steps} steps of {settings.batch_size}"
    )


def _seen(backbone: Backbone, dataset: PreparedDataset, split: Mapping[str, str]) -> tuple[str, ...]:
    """Hash the images of the parts that were used, and those that the weights before had seen."""
    earlier = read_origin(backbone.weights_path) if backbone.weights_path is not None else None
    used = [i for i, exam in enumerate(dataset.exam_ids) if split[exam] != "test"]
    hashes = {each for exam in used for each in image_hashes(dataset, exam)}
    return tuple(sorted(hashes | set(earlier.seen if earlier else ())))
