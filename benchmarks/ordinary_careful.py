"""Train two ResNet-18 branches with gaze as a careful author writes it: cached arrays, one graph, batched augmentation.

Losses and sizes are those of ``ordinary_typical.py``. ``ordinary.py`` writes its files and times it.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from ordinary_typical import GAZE_WEIGHT, LEARNING_RATE, MEAN, STD, VIEWS, Report, Settings, alignment
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

# Data


class CachedExams(Dataset[dict[str, Tensor]]):
    """Exams of a part, in memory-mapped arrays; an index is a list of exams and brings a whole batch.

    Args:
        folder: of ``images.npy`` and ``heat_maps.npy`` ``[N, V, H, W]``, and of ``exams.npz``.
        part: ``"train"`` or ``"val"``.
    """

    def __init__(self, folder: Path, part: str) -> None:
        known = np.load(folder / "exams.npz")
        self.rows = np.flatnonzero(known["part"] == part)
        self.labels = known["label"][self.rows].astype(np.float32)
        self.has_gaze = known["has_gaze"][self.rows]
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.heat_maps = np.load(folder / "heat_maps.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, numbers: list[int]) -> dict[str, Tensor]:
        rows = self.rows[numbers]
        pixels = np.stack([self.images[rows], self.heat_maps[rows]], axis=2, dtype=np.float32)
        pixels /= np.iinfo(self.images.dtype).max
        return {
            "pixels": torch.from_numpy(pixels),  # [B, V, image and heat map, H, W]
            "has_gaze": torch.from_numpy(self.has_gaze[numbers]),
            "label": torch.from_numpy(self.labels[numbers]),
        }


def loader_of(
    exams: CachedExams, batch_size: int, *, shuffle: bool, workers: int, device: str
) -> DataLoader[dict[str, Tensor]]:
    order = RandomSampler(exams) if shuffle else SequentialSampler(exams)
    return DataLoader(
        exams,
        batch_size=None,
        sampler=BatchSampler(order, batch_size, drop_last=False),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device == "cuda",
    )


def augmented(pixels: Tensor) -> Tensor:
    """Turn, move and mirror each image and its heat map, in one pass on the device."""
    flat = pixels.flatten(0, 1)  # [B * V, 2, H, W]
    number, device = len(flat), flat.device
    angle = math.radians(15) * (2 * torch.rand(number, device=device) - 1)
    shift = (
        2 * 0.1 * (2 * torch.rand(number, 2, device=device) - 1)
    )  # an image is 2 wide in these coordinates
    mirror = 1 - 2 * torch.randint(2, (number, 2, 1), device=device)
    cosine, sine = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    theta = torch.cat([mirror * turn, shift[:, :, None]], dim=2)  # [B * V, 2, 3]
    grid = functional.affine_grid(theta, list(flat.shape), align_corners=False)
    return functional.grid_sample(flat, grid, align_corners=False).view_as(pixels)


# Network and attention map


class TwoViews(nn.Module):
    """A ResNet-18 per view, and a linear layer on their concatenated features."""

    def __init__(self, precision: torch.dtype | None = None) -> None:
        super().__init__()
        self.precision = precision
        self.branches = nn.ModuleList(
            timm.create_model("resnet18", in_chans=1, num_classes=0, global_pool="") for _ in VIEWS
        )
        self.head = nn.Linear(512 * len(VIEWS), 1)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map normalised images ``[B, V, H, W]`` to logits ``[B]`` and the last features of each view."""
        with torch.autocast(images.device.type, self.precision, enabled=self.precision is not None):
            features = [branch(images[:, view, None]) for view, branch in enumerate(self.branches)]
        features = [each.float() for each in features]  # [B, 512, h, w]
        vectors = torch.cat([each.mean(dim=(2, 3)) for each in features], dim=1)
        return self.head(vectors)[:, 0], features


def grad_cam(score: Tensor, features: list[Tensor]) -> Tensor:
    """Grad-CAM ``[B, V, h, w]``: the gradient at the last features goes through pooling and head alone."""
    gradients = torch.autograd.grad(score.sum(), features, retain_graph=True)
    maps = [
        torch.einsum("bc,bchw->bhw", gradient.mean(dim=(2, 3)), each)
        for gradient, each in zip(gradients, features, strict=True)
    ]
    return torch.stack(maps, dim=1)


# Losses


def batch_loss(model: TwoViews, batch: dict[str, Tensor], pos_weight: Tensor, loss: str) -> Tensor:
    images, heat_maps = batch["pixels"].unbind(dim=2)
    labels, seen = batch["label"], batch["has_gaze"].flatten()
    logits, features = model((images - MEAN) / STD)
    classification = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=pos_weight)
    maps = grad_cam(logits * (2 * labels - 1), features)
    losses = alignment(maps.flatten(0, 1), heat_maps.flatten(0, 1), loss)
    aligned = torch.where(seen, losses, 0).sum() / seen.sum().clamp(min=1)  # without waiting for the device
    return classification + GAZE_WEIGHT * aligned


# Training


def train(folder: Path, out: Path, settings: Settings, report: Report) -> None:
    """Train, and keep the weights with the least validation loss; see ``ordinary_typical.train``."""
    device = settings.device
    torch.manual_seed(0)
    on_gpu = device == "cuda"
    torch.backends.cudnn.benchmark = on_gpu
    training, validation = CachedExams(folder, "train"), CachedExams(folder, "val")
    more: dict[str, Any] = {"workers": settings.workers, "device": device}
    loader = loader_of(training, settings.batch_size, shuffle=True, **more)
    validation_loader = loader_of(validation, settings.batch_size, shuffle=False, **more)
    model = TwoViews(torch.bfloat16 if on_gpu else None).to(device, memory_format=torch.channels_last)
    if on_gpu:
        for branch in model.branches:
            branch.compile()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    pos_weight = torch.tensor((training.labels == 0).sum() / training.labels.sum(), device=device)
    best = float("inf")
    for epoch in range(settings.epochs):
        model.train()
        total = torch.zeros((), device=device)
        for step, batch in enumerate(loader):
            there = {name: each.to(device, non_blocking=True) for name, each in batch.items()}
            there["pixels"] = augmented(there["pixels"])
            optimizer.zero_grad(set_to_none=True)
            value = batch_loss(model, there, pos_weight, settings.loss)
            value.backward()
            optimizer.step()
            total += value.detach()
            report(epoch, step, math.nan)  # the losses are read once an epoch
        validated = validate(model, validation_loader, pos_weight, device)
        if validated < best:
            best = validated
            torch.save(model.state_dict(), out / "best.pt")
        report(epoch, None, total.item() / len(loader))


@torch.inference_mode()
def validate(
    model: TwoViews, loader: DataLoader[dict[str, Tensor]], pos_weight: Tensor, device: str
) -> float:
    model.eval()
    logits, labels = [], []
    for batch in loader:
        images = batch["pixels"][:, :, 0].to(device, non_blocking=True)
        logits.append(model((images - MEAN) / STD)[0])
        labels.append(batch["label"].to(device, non_blocking=True))
    return functional.binary_cross_entropy_with_logits(
        torch.cat(logits), torch.cat(labels), pos_weight=pos_weight
    ).item()
