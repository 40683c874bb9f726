"""Build training steps of systems that differ in one feature, on exams of noise."""

from collections.abc import Callable

import torch
from torch import Tensor

import gazekit
from gazekit.contracts.types import Batch, Output, Views
from gazekit.modelling.build import build_model, build_objective
from gazekit.modelling.model import MultiViewClassifier
from gazekit.presets.preset import Preset
from gazekit.testing.promises import random_gaze
from gazekit.training.computing.captured import fastest
from gazekit.training.computing.execution import prepare_execution
from gazekit.training.computing.step import TrainingStep
from gazekit.training.optimising.optimiser import make_optimizer
from gazekit.training.optimising.recipe import Recipe

PLAIN = ("fusion.maps=none", "fusion.vectors={use='concat', hidden=[256]}", "gaze=none")
BFL = ("fusion.maps=none", "gaze=none")
ALL = "all (Mammo-Net)"
SYSTEMS = {
    "plain": PLAIN,
    "plain + attention": PLAIN[1:],
    "plain + BFL": BFL,
    "plain + maps (MSE)": (*PLAIN[:2], "gaze.alignment_loss=mse"),
    "plain + maps + pyramid": PLAIN[:2],
    ALL: (),
    "all, maps by hooks": (),
}
"""Overrides of the preset ``mammonet``; the plain one has two ResNet-18 branches, concatenation and a hidden layer."""
HOOKS = "all, maps by hooks"
PRODUCTS = "plain, then attention's products alone"
"""The floor of ``plain + attention``, see ``with_bare_products``."""


def preset_of(name: str, *more: str) -> Preset:
    return gazekit.load_registry().preset(
        "mammonet", overrides=["backbone.pretrained=false", *SYSTEMS[name], *more]
    )


def make_step(name: str, device: str, *more: str) -> Callable[[Batch], object]:
    """Make the training step of ``gazekit train``; training.cuda_graphs records it."""
    torch.manual_seed(0)
    registry, preset = gazekit.load_registry(), preset_of(name, *more)
    model = build_model(preset, registry, classes=2).to(device).train()
    objective = build_objective(preset, registry, model).to(device)
    prepare_execution(model, preset.training)
    if name == HOOKS:
        objective.attention_map = HookedGradCAM(model)
    modules = torch.nn.ModuleDict({"model": model, "objective": objective})
    optimizer = make_optimizer(modules, Recipe.of(preset.training, registry))
    step = TrainingStep(model, objective, optimizer, preset.training)
    return fastest(step, preset.training, print)


def noise(views: tuple[str, ...], exams: int, size: int, device: str) -> Batch:
    generator = torch.Generator().manual_seed(0)
    shape = (exams, 1, size, size)
    batch = Batch(
        images={view: torch.randn(shape, generator=generator) for view in views},
        labels=torch.arange(exams) % 2,
        gaze=random_gaze(views, size, exams=exams, fixations=40),
    )
    return batch.map(lambda tensor: tensor.to(device))


def with_bare_products(device: str, batch: Batch, *more: str) -> Callable[[Batch], object]:
    """Make the plain step followed by the matrix products of cross-attention alone, forward and backward.

    They have the shapes of the step with attention: queries, keys, their products, weights times values, output.
    There is no softmax, norm, sum or optimiser: cross-attention cannot be computed in less.
    """
    plain = make_step("plain", device, *more)
    registry, preset = gazekit.load_registry(), preset_of("plain + attention", *more)
    model = build_model(preset, registry, classes=2).to(device)
    caught: list[tuple[torch.nn.Module, Tensor, Tensor]] = []
    directions = [each for each in model.modules() if hasattr(each, "query") and hasattr(each, "heads")]
    for each in directions:
        each.register_forward_pre_hook(lambda module, given: caught.append((module, *given[1:])))
    with torch.no_grad():
        model(batch.images)
    products = [
        (each, *(values.detach().clone().requires_grad_() for values in given)) for each, *given in caught
    ]

    def bare() -> None:
        for direction, target, source in products:
            query, key = (
                layer(values).unflatten(2, (direction.heads, -1)).transpose(1, 2)
                for layer, values in ((direction.query, target), (direction.key, source))
            )
            gathered = ((query @ key.mT).flatten(1, 2) @ source).view(*query.shape[:3], -1)
            output = direction.output(gathered.transpose(1, 2).flatten(2))
            output.backward(target)

    def both(given: Batch) -> None:
        plain(given)
        bare()

    return both


class HookedGradCAM:
    """Grad-CAM as in CAM libraries such as torch-cam, but differentiable with respect to the maps.

    Forward hooks store the last maps, ``backward`` of the score runs through the whole network, hooks on the maps
    catch their gradient, and the resulting weight gradients are discarded. (torch-cam itself
    detaches the maps, so they cannot be supervised.)
    """

    def __init__(self, model: MultiViewClassifier) -> None:
        self.model = model
        self.maps: list[Tensor] = []
        for backbone in model.backbones:
            backbone.stages[-1].register_forward_hook(
                lambda _module, _inputs, output: self.maps.append(output)
            )

    def __call__(self, output: Output, target: Tensor) -> Views:
        caught: dict[int, Tensor] = {}
        handles = [
            maps.register_hook(lambda gradient, branch=branch: caught.update({branch: gradient}))
            for branch, maps in enumerate(self.maps)
        ]
        output.score(target).sum().backward(retain_graph=True)
        for handle in handles:
            handle.remove()
        self.model.zero_grad()
        explained = {
            view: (caught[branch].mean(dim=(2, 3), keepdim=True) * self.maps[branch]).sum(dim=1)
            for branch, view in enumerate(self.model.views)
        }
        self.maps.clear()
        return explained
