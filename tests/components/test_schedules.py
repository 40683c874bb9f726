"""Each schedule keeps its contract and is that of torch or timm."""

from typing import Any

import pytest
import torch
from gazekit_components.optimizers.schedules import (
    ConstantRate,
    CosineDecay,
    OneCycle,
    PlateauDecay,
    PolynomialDecay,
    StepwiseDecay,
)
from timm.scheduler import CosineLRScheduler, StepLRScheduler
from torch.optim import lr_scheduler

from gazekit.contracts.progress import Elapsed, Validated
from gazekit.registry.registry import Registry
from gazekit.testing import check_component

CASES: list[tuple[type[Any], dict[str, Any]]] = [
    (ConstantRate, {}),
    (OneCycle, {}),
    (CosineDecay, {}),
    (CosineDecay, {"warm_up": 1.0}),
    (StepwiseDecay, {"every": 2}),
    (PolynomialDecay, {"power": 0.9}),
    (PlateauDecay, {"patience": 2}),
    (PlateauDecay, {"watch": "auc", "patience": 0, "floor": 0.01}),
]


@pytest.mark.parametrize(("cls", "options"), CASES)
def test_every_schedule_keeps_its_contract(cls: type[Any], options: dict[str, Any]) -> None:
    check_component("schedule", cls, **options)


def test_all_schedules_of_ours_are_tried(registry: Registry) -> None:
    assert {component.value for component in registry.components("schedule")} == {cls for cls, _ in CASES}


def sgd(rate: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)


def test_the_one_cycle_is_that_of_0_1_to_the_bit() -> None:
    """The learning rate of the formula that stood in the core, for some lengths."""
    import math

    def former(step: int, steps: int, rate: float) -> float:
        def rise(share: float) -> float:
            return (1 - math.cos(math.pi * share)) / 2

        peak = max(1.0, 0.3 * steps - 1)
        if step <= peak:
            return rate * (1 / 25 + (1 - 1 / 25) * rise(step / peak))
        return rate * rise((steps - 1 - step) / max(1.0, steps - 1 - peak))

    for steps in (1, 3, 47, 600):
        for step in range(steps):
            assert 2e-3 * OneCycle()(Elapsed(step, steps)) == former(step, steps, 2e-3)


@pytest.mark.parametrize(("steps", "warm_up"), [(200, 0.1), (37, 0.0)])
def test_the_cosine_is_timms(steps: int, warm_up: float) -> None:
    optimizer, rise = sgd(), round(warm_up * steps)
    reference = CosineLRScheduler(
        optimizer,
        t_initial=steps - rise,
        lr_min=0.05,
        warmup_t=rise,
        warmup_lr_init=0.02,
        warmup_prefix=True,
        t_in_epochs=False,
    )
    schedule = CosineDecay(warm_up=warm_up, start=0.02, floor=0.05)
    for step in range(steps):
        reference.step_update(step)
        assert schedule(Elapsed(step, steps)) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


def test_the_steps_are_timms_and_the_polynomial_is_torchs() -> None:
    of_steps, of_polynomial = sgd(), sgd()
    stepwise = StepLRScheduler(of_steps, decay_t=3, decay_rate=0.5)
    polynomial = lr_scheduler.PolynomialLR(of_polynomial, total_iters=20, power=0.9)
    for epoch in range(20):
        stepwise.step(epoch)
        now = Elapsed(epoch, 20, epoch, 20)
        assert StepwiseDecay(every=3, factor=0.5)(now) == of_steps.param_groups[0]["lr"]
        expected = pytest.approx(of_polynomial.param_groups[0]["lr"], rel=1e-9)
        assert PolynomialDecay(power=0.9)(now) == expected
        of_polynomial.step()
        polynomial.step()


@pytest.mark.parametrize("watch", ["loss", "auc"])
def test_the_plateau_is_torchs(watch: str) -> None:
    """On a validation that improves, halts, and wavers; torch hears of one epoch after the other."""
    generator = torch.Generator().manual_seed(1)
    losses = [max(0.3, 1 - 0.05 * e) + 0.02 * float(torch.rand((), generator=generator)) for e in range(60)]
    optimizer = sgd()
    reference = lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode="min" if watch == "loss" else "max",
        factor=0.5,
        patience=3,
        threshold=0.01,
        min_lr=0.01,
        eps=0,
    )
    schedule = PlateauDecay(watch=watch, factor=0.5, patience=3, threshold=0.01, floor=0.01)  # type: ignore[arg-type]
    validated: list[Validated] = []
    seen = set()
    for epoch, loss in enumerate(losses):
        factor = schedule(Elapsed(epoch, 60, epoch, 60, validated))
        assert factor == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        seen.add(factor)
        value = loss if watch == "loss" else 1 - loss / 2
        validated.append(Validated(value, None) if watch == "auc" else Validated(None, value))
        reference.step(value)
    assert len(seen) > 3


def test_an_epoch_without_a_number_is_one_without_improvement() -> None:
    schedule = PlateauDecay(patience=1)
    found = [Validated(0.5, 1.0), Validated(None, None), Validated(None, None)]
    assert [schedule(Elapsed(0, 9, n, 9, found[:n])) for n in range(4)] == [1, 1, 1, 0.1]


class Counting:
    """Halve the rate each time somebody asks."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, now: Elapsed) -> float:
        self.asked += 1
        return float(0.5**self.asked)


class Below:
    """Fall in a straight line, too far."""

    def __call__(self, now: Elapsed) -> float:
        return 1 - 2 * now.step / now.steps


@pytest.mark.parametrize(
    ("cls", "promised"),
    [(Counting, "whatever was asked before"), (Below, "a finite factor of at least 0")],
)
def test_each_promise_of_a_schedule_can_be_broken(cls: type[Any], promised: str) -> None:
    with pytest.raises(AssertionError, match=promised):
        check_component("schedule", cls)
