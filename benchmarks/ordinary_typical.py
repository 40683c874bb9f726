"""Train two ResNet-18 branches with gaze as such a script is typically written: PNG files, workers, hooks.

``ordinary.py`` writes its files and times it. It stands on its own and reads nothing of gazekit.
"""

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

VIEWS = ("cc", "mlo")
MEAN, STD = 0.449, 0.226
GAZE_WEIGHT = 2.0
LEARNING_RATE = 1e-4
Report = Callable[[int, int | None, float], None]


# Data


class ExamFiles(Dataset[dict[str, Tensor]]):
    """Exams of a part, read from 16-bit PNG files.

    Args:
        folder: of the files and ``exams.csv``.
        part: ``"train"`` or ``"val"``.
        augment: change images, and their heat maps with them.
    """

    def __init__(self, folder: Path, part: str, *, augment: bool = False) -> None:
        with (folder / "exams.csv").open(newline="") as file:
            self.exams = [exam for exam in csv.DictReader(file) if exam["part"] == part]
        self.folder = folder
        self.change = augmentation() if augment else v2.Identity()

    def __len__(self) -> int:
        return len(self.exams)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        exam = self.exams[number]
        images, heat_maps, has_gaze = [], [], []
        for view in VIEWS:
            image = read(self.folder / exam[view])
            gaze = exam[f"{view}_gaze"]
            heat_map = read(self.folder / gaze) if gaze else torch.zeros_like(image)
            image, heat_map = self.change(image, heat_map)
            images.append(v2.functional.normalize(image, [MEAN], [STD]))
            heat_maps.append(heat_map[0])
            has_gaze.append(bool(gaze))
        return {
            "images": torch.stack(images),  # [V, 1, H, W]
            "heat_maps": torch.stack(heat_maps),  # [V, H, W]
            "has_gaze": torch.tensor(has_gaze),
            "label": torch.tensor(float(exam["label"])),
        }


def read(path: Path) -> tv_tensors.Image:
    with Image.open(path) as file:
        pixels = np.asarray(file, dtype=np.float32) / 65535
    return tv_tensors.Image(torch.from_numpy(pixels)[None])


def augmentation() -> v2.Transform:
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(0.5),
            v2.RandomVerticalFlip(0.5),
            v2.RandomAffine(degrees=15, translate=(0.1, 0.1), interpolation=v2.InterpolationMode.BILINEAR),
        ]
    )


# Network and attention map


class TwoViews(nn.Module):
    """A ResNet-18 per view, and a linear layer on their concatenated features."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(timm.create_model("resnet18", in_chans=1, num_classes=0) for _ in VIEWS)
        self.head = nn.Linear(512 * len(VIEWS), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``[B, V, 1, H, W]`` to logits ``[B]``."""
        vectors = [branch(images[:, view]) for view, branch in enumerate(self.branches)]
        return self.head(torch.cat(vectors, dim=1))[:, 0]


class GradCAM:
    """Grad-CAM by hooks, after pytorch-grad-cam, but with maps that a loss can train.

    As there, hooks keep the activations of the target layers, and ``score.backward(retain_graph=True)`` runs through
    the whole network to find their gradients. The library detaches the activations and does its own forward pass;
    here those of the training's pass are used, and the gradients of the weights are discarded.

    Args:
        model: whose weights get gradients they must not keep.
        layers: target layers.
        whole: differentiate the whole network; false asks autograd for the gradients of the activations alone.
    """

    def __init__(self, model: nn.Module, layers: Iterable[nn.Module], *, whole: bool = True) -> None:
        self.model = model
        self.whole = whole
        self.activations: list[Tensor] = []
        for layer in layers:
            layer.register_forward_hook(self.keep)

    def keep(self, _layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            self.activations.append(output)

    def __call__(self, score: Tensor) -> list[Tensor]:
        """Map scores ``[B]`` to a map ``[B, h, w]`` per layer."""
        activations, self.activations = self.activations, []
        if self.whole:
            gradients = self.gradients_by_backward(score, activations)
        else:
            gradients = torch.autograd.grad(score.sum(), activations, retain_graph=True)
        return [
            (gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1)
            for gradient, activation in zip(gradients, activations, strict=True)
        ]

    def gradients_by_backward(self, score: Tensor, activations: list[Tensor]) -> list[Tensor]:
        caught: dict[int, Tensor] = {}
        handles = [
            activation.register_hook(lambda gradient, layer=layer: caught.update({layer: gradient}))
            for layer, activation in enumerate(activations)
        ]
        score.sum().backward(retain_graph=True)
        for handle in handles:
            handle.remove()
        self.model.zero_grad()
        return [caught[layer] for layer in range(len(activations))]


# Losses


def mse(maps: Tensor, heat_maps: Tensor) -> Tensor:
    """Compare maps ``[N, 1, H, W]``, each scaled to [0, 1], with heat maps: ``[N]``."""
    low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
    return ((maps - low) / (high - low).clamp(min=1e-12) - heat_maps).square().mean(dim=(1, 2, 3))


def pyramid(maps: Tensor, heat_maps: Tensor, levels: int = 5) -> Tensor:
    """Compare positive parts of standardised maps at each level of a Gaussian pyramid: ``[N]``."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=maps.device) / 16
    kernel = torch.outer(row, row)[None, None]
    epsilons = [1e-5 * each.var(dim=(2, 3), correction=0, keepdim=True) for each in (maps, heat_maps)]
    loss = torch.zeros(len(maps), device=maps.device)
    for level in range(levels):
        if level:
            maps, heat_maps = (
                functional.conv2d(functional.pad(each, (2, 2, 2, 2), mode="reflect"), kernel, stride=2)
                for each in (maps, heat_maps)
            )
        ours, theirs = map(positive_part, (maps, heat_maps), epsilons)
        loss = loss + (ours - theirs).square().mean(dim=(1, 2, 3))
    return loss


def positive_part(maps: Tensor, epsilon: Tensor) -> Tensor:
    variance, mean = torch.var_mean(maps, dim=(2, 3), correction=0, keepdim=True)
    return ((maps - mean) / (variance + epsilon).clamp(min=1e-30).sqrt()).relu()


def alignment(maps: Tensor, heat_maps: Tensor, loss: str) -> Tensor:
    """Compare maps ``[N, h, w]`` with heat maps ``[N, H, W]``: ``[N]``."""
    larger = functional.interpolate(maps[:, None], heat_maps.shape[1:], mode="bilinear")
    return {"mse": mse, "pyramid": pyramid}[loss](larger, heat_maps[:, None])


def batch_loss(
    model: TwoViews, cam: GradCAM, batch: dict[str, Tensor], pos_weight: Tensor, loss: str
) -> Tensor:
    cam.activations.clear()
    logits, labels = model(batch["images"]), batch["label"]
    classification = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=pos_weight)
    if not batch["has_gaze"].any():
        return classification
    maps = torch.stack(cam(logits * (2 * labels - 1)), dim=1)  # of the true class, [B, V, h, w]
    seen = batch["has_gaze"]
    return classification + GAZE_WEIGHT * alignment(maps[seen], batch["heat_maps"][seen], loss).mean()


# Training


@dataclass(frozen=True)
class Settings:
    """How to train: ``loss`` is ``"mse"`` or ``"pyramid"``; ``whole``: see ``GradCAM``."""

    epochs: int
    batch_size: int = 8
    workers: int = 2
    device: str = "cpu"
    loss: str = "mse"
    whole: bool = True


def train(folder: Path, out: Path, settings: Settings, report: Report) -> None:
    """Train on the exams of a folder, and keep the weights with the least validation loss in another.

    ``report`` gets epoch, step and loss after each step, and no step after each epoch.
    """
    device = settings.device
    torch.manual_seed(0)
    training, validation = ExamFiles(folder, "train", augment=True), ExamFiles(folder, "val")
    more = {"num_workers": settings.workers, "pin_memory": device == "cuda"}
    loader = DataLoader(training, settings.batch_size, shuffle=True, **more)
    validation_loader = DataLoader(validation, settings.batch_size, **more)
    model = TwoViews().to(device)
    cam = GradCAM(model, [branch.layer4 for branch in model.branches], whole=settings.whole)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    positive = sum(exam["label"] == "1" for exam in training.exams)
    pos_weight = torch.tensor((len(training) - positive) / positive, device=device)
    best = float("inf")
    for epoch in range(settings.epochs):
        model.train()
        for step, batch in enumerate(loader):
            there = {name: each.to(device, non_blocking=True) for name, each in batch.items()}
            optimizer.zero_grad()
            value = batch_loss(model, cam, there, pos_weight, settings.loss)
            value.backward()
            optimizer.step()
            report(epoch, step, value.item())
        validated = validate(model, validation_loader, pos_weight, device)
        if validated < best:
            best = validated
            torch.save(model.state_dict(), out / "best.pt")
        report(epoch, None, validated)


@torch.no_grad()
def validate(
    model: TwoViews, loader: DataLoader[dict[str, Tensor]], pos_weight: Tensor, device: str
) -> float:
    model.eval()
    logits, labels = [], []
    for batch in loader:
        logits.append(model(batch["images"].to(device, non_blocking=True)))
        labels.append(batch["label"].to(device, non_blocking=True))
    return functional.binary_cross_entropy_with_logits(
        torch.cat(logits), torch.cat(labels), pos_weight=pos_weight
    ).item()
