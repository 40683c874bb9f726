"""The training step: parts equal the whole, bad steps leave no trace, and nothing waits for the device."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny import random_batch, tiny, without_batch_norm
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gazekit.contracts.types import Batch
from gazekit.modelling.build import build_model, build_objective
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.training.computing.execution import prepare_execution
from gazekit.training.computing.loss_record import LossRecord
from gazekit.training.computing.loss_scale import LossScale
from gazekit.training.computing.step import TrainingStep
from gazekit.training.optimising.optimiser import make_optimizer
from gazekit.training.optimising.recipe import Recipe

CPU = torch.device("cpu")


def make_step(
    preset: Preset, registry: Registry, change: Callable[[nn.Module], Any] = lambda model: model
) -> TrainingStep:
    torch.manual_seed(0)
    model = build_model(preset, registry, classes=2).train()
    objective = build_objective(preset, registry, model)
    change(model)
    prepare_execution(model, preset.training)
    modules = nn.ModuleDict({"model": model, "objective": objective})
    optimizer = make_optimizer(modules, Recipe.of(preset.training, registry))
    return TrainingStep(model, objective, optimizer, preset.training)


def double(batch: Batch) -> Batch:
    return batch.map(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


def weights(step: TrainingStep) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in step.model.state_dict().items()}


def moments(step: TrainingStep) -> list[Tensor]:
    states = step.optimizer.state_dict()["state"].values()
    return [value.clone() for state in states for value in state.values()]


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(registry: Registry, parts: int) -> None:
    """BFL's negatives and the averages over exams with gaze are those of the whole batch."""
    batch = double(random_batch(("cc", "mlo"), exams=7))
    assert batch.gaze
    batch.gaze.layers["cc"][:3] = 0  # no gaze
    whole, in_parts = (
        make_step(tiny(registry, f"training.accumulate={n}"), registry, without_batch_norm)
        for n in (1, parts)
    )
    for _ in range(2):
        _, expected = whole(batch)
        _, came = in_parts(batch)
        torch.testing.assert_close(came, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(weights(in_parts), weights(whole), rtol=1e-7, atol=1e-9)


def test_the_same_dropout_falls_in_both_passes_of_a_part(registry: Registry) -> None:
    """With dropout before the last maps the gradient is that of the loss which is reported."""
    preset = tiny(
        registry, "training.accumulate=2", "fusion.maps.dropout=0.5", "fusion.vectors=concat", "gaze=none"
    )
    step = make_step(preset, registry, without_batch_norm)
    batch = double(random_batch(("cc", "mlo"), exams=4))

    def loss() -> Tensor:
        step.optimizer.zero_grad()
        torch.manual_seed(5)
        return step._gradients(batch).total.detach()

    loss()
    bias = next(p for name, p in step.model.named_parameters() if "projections" in name and p.ndim == 2)
    early = next(iter(step.model.backbones[0].parameters()))  # type: ignore[arg-type]
    for parameter in (bias, early):
        expected = parameter.grad.flatten()[0].clone()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.view(-1)[0] += sign * 1e-6
            values.append(loss())
            with torch.no_grad():
                parameter.view(-1)[0] -= sign * 1e-6
        torch.testing.assert_close((values[0] - values[1]) / 2e-6, expected, rtol=1e-5, atol=1e-8)
        loss()


def test_batch_norm_counts_each_part_of_a_batch_once(registry: Registry) -> None:
    """Though a part is computed twice."""
    step = make_step(tiny(registry, "training.accumulate=2"), registry)
    step(random_batch(("cc", "mlo")))
    counts = {int(value) for name, value in weights(step).items() if name.endswith("num_batches_tracked")}
    assert counts == {2}


@pytest.mark.parametrize("poisoned", ["images", "gradient", "loss"])
def test_a_step_that_is_not_finite_leaves_no_trace(registry: Registry, poisoned: str) -> None:
    step = make_step(tiny(registry), registry)
    batch = random_batch(("cc", "mlo"))
    step(batch)
    before, moments_before = weights(step), moments(step)
    bad = deepcopy(batch)
    handle = None
    if poisoned == "images":
        bad.images["cc"][0, 0, 0, 0] = torch.nan
    elif poisoned == "loss":  # and its gradient is finite
        handle = step.objective.register_forward_hook(
            lambda _module, _given, losses: replace(losses, total=losses.total + torch.inf)
        )
    else:
        handle = step.model.head.weight.register_hook(lambda gradient: gradient * torch.inf)
    taken, _ = step(bad)
    assert not taken
    if handle is not None:
        handle.remove()
    torch.testing.assert_close(weights(step), before, rtol=0, atol=0)
    assert all(torch.equal(a, b) for a, b in zip(moments(step), moments_before, strict=True))
    taken, _ = step(batch)
    assert taken and not torch.equal(step.model.head.weight, before["head.weight"])


def test_checkpointed_activations_change_no_bit(registry: Registry) -> None:
    preset = tiny(registry, "fusion.maps.dropout=0.3")
    plain = make_step(preset, registry)
    again = make_step(
        tiny(registry, "fusion.maps.dropout=0.3", "training.checkpoint_activations=true"), registry
    )
    batch = random_batch(("cc", "mlo"))
    for turn in range(2):
        losses = []
        for step in (plain, again):
            torch.manual_seed(turn)
            losses.append(step(batch)[1])
        assert losses[0] == losses[1]
    torch.testing.assert_close(weights(again), weights(plain), rtol=0, atol=0)  # running statistics too


def test_bf16_is_near_and_what_follows_the_maps_is_float32(registry: Registry) -> None:
    batch = random_batch(("cc", "mlo"))
    exact, half = (make_step(tiny(registry, f"training.amp={amp}"), registry) for amp in ("off", "bf16"))
    output = half.model(batch.images)
    assert {maps.dtype for maps in [*output.features.values(), output.logits]} == {torch.float32}
    (_, expected), (taken, came) = exact(batch), half(batch)
    assert taken
    assert came["loss"] != expected["loss"]
    torch.testing.assert_close(came["loss"], expected["loss"], rtol=0.03, atol=0.03)
    assert {p.dtype for p in half.model.parameters()} == {torch.float32}


def test_the_loss_scale_is_that_of_torch() -> None:
    ours, theirs = LossScale(CPU), torch.amp.GradScaler("cpu", init_scale=2.0**16)
    parameter = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    for step in range(2100):
        bad = step in (3, 4, 50)
        parameter.grad = torch.full((1,), torch.inf if bad else 1.0)
        theirs.scale(torch.ones(()))
        theirs.step(optimizer)
        theirs.update()
        ours.update(torch.tensor(not bad))
        assert ours.scale == theirs.get_scale()
    again = LossScale(CPU)
    again.load_state_dict(ours.state_dict())
    assert again.scale == ours.scale and again.good_steps == ours.good_steps == 49


def test_a_scaled_loss_gives_the_same_step(registry: Registry) -> None:
    batch = random_batch(("cc", "mlo"))
    plain, scaled = make_step(tiny(registry), registry), make_step(tiny(registry), registry)
    scaled.loss_scale = LossScale(CPU)
    for step in (plain, scaled):
        step(batch)
    torch.testing.assert_close(weights(scaled), weights(plain), rtol=1e-4, atol=1e-5)


class Operations(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[func.__name__.split(".")[0]] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "overrides", [(), ("training.accumulate=2",), ("attention_map.detach_weights=false",)]
)
def test_nothing_in_a_step_waits_for_the_device(registry: Registry, overrides: tuple[str, ...]) -> None:
    """``.item()``, ``float()``, ``bool()`` and ``if tensor:`` are ``_local_scalar_dense``; ``nonzero`` waits too."""
    step, batch = make_step(tiny(registry, *overrides), registry), random_batch(("cc", "mlo"))
    record = LossRecord(3, CPU)
    step(batch)
    with Operations() as operations:
        record.add(*step(batch))
        arrived = list(record.arrived())
    assert len(arrived) == 1
    waiting = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal"}
    assert not waiting & operations.counts.keys()
    with Operations() as operations:
        bool(torch.ones(()) > 0)
    assert operations.counts["_local_scalar_dense"] == 1  # the search would find it


def test_gaze_supervision_differentiates_no_convolution_twice(registry: Registry) -> None:
    counts = []
    for gaze in ((), ("gaze=none",)):
        step, batch = make_step(tiny(registry, *gaze), registry), random_batch(("cc", "mlo"))
        step(batch)  # the first one makes the matrices of the pyramid
        with Operations() as operations:
            step(batch)
        counts.append(operations.counts)
    supervised, plain = counts
    for name in ("convolution", "convolution_backward", "native_batch_norm", "native_batch_norm_backward"):
        assert supervised[name] == plain[name]
    assert plain["convolution_backward"] == plain["convolution"] > 0
    assert sum(supervised.values()) - sum(plain.values()) < 360  # two levels; 351 when this was written


def test_parts_cost_one_more_forward_pass_and_no_backward_pass(registry: Registry) -> None:
    counts = []
    for parts in (1, 2):
        step = make_step(tiny(registry, f"training.accumulate={parts}"), registry)
        with Operations() as operations:
            step(random_batch(("cc", "mlo")))
        counts.append(operations.counts)
    assert counts[1]["convolution"] == 4 * counts[0]["convolution"]  # two parts, twice
    assert counts[1]["convolution_backward"] == 2 * counts[0]["convolution_backward"]


def test_a_record_hands_every_step_over_once_and_in_order() -> None:
    record = LossRecord(4, CPU)
    assert list(record.arrived(wait=True)) == []
    for step, taken in enumerate((True, False, True)):
        record.add(torch.tensor(taken), {"loss": torch.tensor(step / 3), "bfl": torch.tensor(torch.nan)})
    first, second, third = record.arrived(wait=True)
    assert first is not None and third is not None
    assert second is None and first["loss"] == 0 and third["loss"] == float(torch.tensor(2 / 3))
    assert list(record.arrived()) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's compiler warns of what torch itself does
def test_compiled_stages_compute_the_same(registry: Registry) -> None:
    batch = random_batch(("cc", "mlo"))
    eager, compiled = (
        make_step(tiny(registry, f"training.compile={on}"), registry) for on in ("false", "true")
    )
    for _ in range(2):
        _, expected = eager(batch)
        _, came = compiled(batch)
        torch.testing.assert_close(came, expected, rtol=1e-4, atol=1e-5)
    assert weights(compiled).keys() == weights(eager).keys()
    torch.testing.assert_close(weights(compiled), weights(eager), rtol=1e-3, atol=3e-4)
