"""Each optimiser keeps its contract, whatever it is made of, and takes the step that its source states."""

from typing import Any

import numpy as np
import pytest
import torch
from gazekit_components.optimizers import timm_optimizer
from gazekit_components.optimizers.timm_optimizer import TimmOptimizer
from gazekit_components.optimizers.torch_optimizers import SGD, Adam, AdamW

from gazekit.errors import ConfigurationError
from gazekit.registry.registry import Registry
from gazekit.testing import check_component
from gazekit.training.optimising.optimiser import decides_on_device, load_optimizer, step_if

CASES: list[tuple[type[Any], dict[str, Any]]] = [
    (Adam, {}),
    (AdamW, {"betas": (0.8, 0.9)}),
    (SGD, {}),
    (SGD, {"momentum": 0.0}),
    (SGD, {"nesterov": True}),
    *((TimmOptimizer, {"algorithm": name}) for name in ("lamb", "lion", "muon", "adan", "nadamw")),
]


@pytest.mark.parametrize(("cls", "options"), CASES)
def test_every_optimiser_keeps_its_contract(cls: type[Any], options: dict[str, Any]) -> None:
    check_component("optimizer", cls, **options)


def test_all_of_ours_are_tried(registry: Registry) -> None:
    assert {component.value for component in registry.components("optimizer")} == {cls for cls, _ in CASES}


def test_those_of_torch_decide_on_the_device() -> None:
    made = {cls: cls()([{"params": [torch.zeros(1, requires_grad=True)], "lr": 0.1}]) for cls, _ in CASES}
    assert {cls: decides_on_device(each) for cls, each in made.items()} == {
        **dict.fromkeys((Adam, AdamW, SGD), True),
        TimmOptimizer: False,
    }


def test_adam_with_decoupled_decay_takes_the_step_of_its_paper() -> None:
    """Two steps of Algorithm 2 of Loshchilov & Hutter, in float64."""
    weight = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    optimizer = AdamW(betas=(0.8, 0.95), eps=1e-6)([{"params": [weight], "lr": 0.1, "weight_decay": 0.2}])
    expected, mean, square = np.array([0.5, -1.0]), np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(np.array([[0.3, -2.0], [1.0, 0.5]]), 1):
        weight.grad = torch.tensor(gradient)
        step_if(torch.tensor(True), optimizer)
        expected *= 1 - 0.1 * 0.2
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.95 * square + 0.05 * gradient**2
        corrected = mean / (1 - 0.8**step), square / (1 - 0.95**step)
        expected -= 0.1 * corrected[0] / (np.sqrt(corrected[1]) + 1e-6)
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("cls", [Adam, AdamW])
def test_options_reach_torch_and_defaults_are_those_of_the_papers(cls: type[Any]) -> None:
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": 0.1}]
    plain, own = cls()(groups).defaults, cls(betas=(0.8, 0.95), eps=1e-3)(groups).defaults
    assert (plain["betas"], plain["eps"]) == ((0.9, 0.999), 1e-8)
    assert (own["betas"], own["eps"]) == ((0.8, 0.95), 1e-3)


def test_momentum_starts_as_in_torch() -> None:
    """The velocity that is there from the start changes no bit of torch's steps."""
    ours, theirs = (torch.tensor([0.5, -1.0], requires_grad=True) for _ in range(2))
    optimizer = SGD(momentum=0.9, nesterov=True)([{"params": [ours], "lr": 0.1}])
    reference = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, nesterov=True)
    for gradient in ([0.3, -2.0], [1.0, 0.5], [-0.7, 0.1]):
        ours.grad, theirs.grad = torch.tensor(gradient), torch.tensor(gradient)
        step_if(torch.tensor(True), optimizer)
        reference.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_a_scaled_gradient_is_divided_where_the_host_decides() -> None:
    weights = []
    for scale in (None, torch.tensor(1024.0)):
        weight = torch.tensor([[0.5, -1.0]], requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=0.1)  # not one of those that scale their gradient themselves
        assert not decides_on_device(optimizer)
        weight.grad = torch.tensor([[0.3, -2.0]]) * (1 if scale is None else scale)
        step_if(torch.tensor(True), optimizer, scale)
        weights.append(weight.detach())
    assert torch.equal(*weights)


@pytest.mark.parametrize("factory", [SGD(momentum=0.9), TimmOptimizer(algorithm="lamb")])
def test_a_restored_optimiser_goes_on_with_its_own_settings(factory: Any) -> None:
    weight = torch.tensor([[0.5, -1.0]], requires_grad=True)
    before, after = (factory([{"params": [weight], "lr": rate, "weight_decay": 0.0}]) for rate in (0.1, 0.02))
    for _ in range(2):
        weight.grad = torch.tensor([[0.3, -2.0]])
        before.step()
    load_optimizer(after, before.state_dict())
    (old,), (new,) = before.param_groups, after.param_groups
    assert (old["lr"], new["lr"]) == (0.1, 0.02)
    assert new.get("step") == old.get("step")
    held, kept = (each.state[weight] for each in (before, after))
    assert held and all(torch.equal(kept[name], value) for name, value in held.items())


def test_what_timm_cannot_is_said(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match=r"training\.optimizer\.algorithm.*lambb"):
        registry.preset(
            "mammonet", overrides=["training.optimizer=timm", "training.optimizer.algorithm=lambb"]
        )
    with pytest.raises(ConfigurationError, match="timm has no such optimiser of first order"):
        registry.create("optimizer", "timm", algorithm="adahessian")
    made = registry.create("optimizer", "timm", algorithm="lion", arguments={"moment": 0.9})
    with pytest.raises(ConfigurationError, match="timm's lion does not take these: "):
        made([{"params": [torch.zeros(1, requires_grad=True)], "lr": 0.1}])


class Broken(torch.optim.SGD):
    """What a broken optimiser makes."""

    def __init__(self, groups: list[dict[str, Any]], fault: str) -> None:
        super().__init__(groups, lr=0.01)
        self.fault = fault
        self.counted = 0
        if fault == "claims":
            self._step_supports_amp_scaling = True  # and takes no notice

    def step(self, closure: Any = None) -> Any:
        self.counted += 1
        if self.fault == "claims":
            del self.found_inf
        if self.fault == "forgets" and self.counted > 3:
            return None
        if self.fault == "deaf":
            for group in self.param_groups:
                group["lr"] = 0.01
        return super().step(closure)


def broken(fault: str) -> type[Any]:
    class Made:
        """An optimiser."""

        def __call__(self, groups: list[dict[str, Any]]) -> Any:
            if fault == "one group":
                groups = [{**groups[0], "params": [each for group in groups for each in group["params"]]}]
            return Broken(groups, fault)

    return Made


@pytest.mark.parametrize(
    ("fault", "promised"),
    [
        ("one group", "the groups as handed over"),
        ("deaf", "weights that stay at a rate of zero"),
        ("claims", "unchanged weights and state after a step that does not count"),
        ("forgets", "the same steps after its state was saved and loaded"),
    ],
)
def test_each_promise_of_an_optimiser_can_be_broken(fault: str, promised: str) -> None:
    check_component("optimizer", broken("none"))
    with pytest.raises(AssertionError, match=promised):
        check_component("optimizer", broken(fault))


@pytest.mark.parametrize(
    "arguments", [{"betas": 0.9}, {"betas": (2.0, 3.0)}, {"max_grad_norm": "a"}, {"beta": 1.0}]
)
def test_arguments_that_fail_in_a_step_are_refused_before_one(arguments: dict[str, Any]) -> None:
    weight = torch.zeros(2, 2, requires_grad=True)
    with pytest.raises(
        ConfigurationError, match=r"training.optimizer.arguments: timm's lamb does not take these: "
    ):
        TimmOptimizer(arguments=arguments)([{"params": [weight], "lr": 0.1, "weight_decay": 0.0}])


@pytest.mark.slow
def test_every_optimiser_of_timm_takes_the_trial_step() -> None:
    names = timm_optimizer._names()
    assert len(names) > 50
    for name in names:
        weights = [torch.zeros(shape, requires_grad=True) for shape in ((3, 2), (4,))]
        made = TimmOptimizer(algorithm=name)([{"params": weights, "lr": 0.1, "weight_decay": 0.0}])
        held = [weight for group in made.param_groups for weight in group["params"]]
        assert {*map(id, held)} == {*map(id, weights)}, name
