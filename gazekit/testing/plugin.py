"""The contract of a plugin as a whole."""

import unittest
from types import ModuleType
from typing import Any, ClassVar

import torch

from gazekit.contracts.types import Batch
from gazekit.modelling.build import build_model, build_objective
from gazekit.presets.preset import Preset
from gazekit.registry.component import Provenance
from gazekit.registry.discovery import ALL_FOREIGN, add_plugin, load_registry
from gazekit.registry.registry import HOOKS, Registry
from gazekit.testing.promises import random_gaze, random_tensor
from gazekit.testing.surroundings import same_random_numbers

LARGEST = 64
"""Pixels on a side of the images that a preset is tried on."""


def registry_with(plugin: Any, origin: Provenance) -> Registry:
    """Load gazekit's own plugins and this one, installed or not."""
    registry = load_registry(disable=[ALL_FOREIGN])
    add_plugin(registry, origin, lambda: plugin, where=f"module '{getattr(plugin, '__name__', plugin)}'")
    for kind in HOOKS:
        registry.components(kind)
    return registry


class PluginContract:
    """Subclass it and name the module with the hooks; the module need not be installed."""

    plugin: ClassVar[ModuleType]

    def registry(self) -> Registry:
        """Return a registry with gazekit's own plugins and this one."""
        return registry_with(self.plugin, Provenance("plugin", self.plugin.__name__, "under test"))

    def test_hooks(self) -> None:
        """Each hook answers, and everything it offers can be used."""
        registry = self.registry()
        assert not registry.failures, "; ".join(map(str, registry.failures))
        offered = [
            each.name for kind in HOOKS for each in registry.components(kind) if self._ours(each.provenance)
        ]
        assert offered, f"{self.plugin.__name__} promises a component or a preset; came: none"
        for kind in HOOKS:
            for name in {each.name for each in registry.components(kind)}:
                registry.component(kind, name)  # raises if it is offered twice

    def test_presets(self) -> None:
        """Each preset resolves, is built and takes one training step with finite loss."""
        registry = self.registry()
        brought = [each.name for each in registry.components("preset") if self._ours(each.provenance)]
        if not brought:
            raise unittest.SkipTest("it brings no preset")
        for name in brought:
            check_preset(registry.preset(name), registry)

    def _ours(self, origin: Provenance) -> bool:
        return origin.distribution == self.plugin.__name__


def check_preset(preset: Preset, registry: Registry) -> None:
    """Build the model and objective of a preset and take one step on random exams, some without gaze.

    Raises:
        AssertionError: the loss or a gradient is not finite.
        ConfigurationError: the parts do not fit together.
    """
    with same_random_numbers():
        size, views = min(preset.data.size, LARGEST), preset.views
        model = build_model(preset, registry, classes=2, size=(size, size)).train()
        objective = build_objective(preset, registry, model)
        batch = Batch(
            images={view: random_tensor(4, 1, size, size, seed=seed) for seed, view in enumerate(views)},
            labels=torch.tensor([0, 1, 0, 1]),
            gaze=random_gaze(views, size, lacking=() if model.needs_gaze else (2,)),
            masks={
                view: (random_tensor(4, size, size, seed=seed) > 1).float() for seed, view in enumerate(views)
            },
        )
        losses = objective(model(batch.images, batch.gaze, batch.present, batch.covariates), batch)
        losses.total.backward()
    assert losses.total.isfinite(), f"preset {preset.name} promises a finite loss; came: {losses.terms}"
    for name, parameter in model.named_parameters():
        finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
        assert finite, f"preset {preset.name} promises finite gradients; came: NaN or infinity for {name}"
