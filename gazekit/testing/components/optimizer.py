"""The contract of optimisers."""

import math
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from gazekit.testing.contract import Contract
from gazekit.testing.promises import check_equal, promise
from gazekit.testing.surroundings import same_random_numbers
from gazekit.training.optimising.optimiser import load_optimizer, set_learning_rates, step_if

_RATE = 0.01
_STEPS = 30


class OptimizerContract(Contract):
    """Steps that lower a loss, at the rates of the groups, and that go on from a checkpoint to the bit."""

    kind = "optimizer"

    def test_groups(self) -> None:
        """An optimiser of torch with the groups that it is handed, each with its rate and its weight decay."""
        _, optimizer = self._made()
        promise(
            self.component,
            "a torch.optim.Optimizer",
            isinstance(optimizer, torch.optim.Optimizer),
            type(optimizer).__name__,
        )
        groups = [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
        wanted = [(_RATE, 0.0), (_RATE / 10, 0.1)]
        promise(self.component, "the groups as handed over", groups == wanted, groups)

    def test_it_learns(self) -> None:
        """A loss that falls."""
        network, optimizer = self._made()
        before, *_, after = (self._step(network, optimizer) for _ in range(_STEPS))
        promise(self.component, "a loss that falls", math.isfinite(after) and after < before, after)

    def test_rates(self) -> None:
        """Weights that stay where the rate is zero, and step further at a larger rate that is set later."""
        moved = {}
        for factor in (0.0, 0.1, 1.0):
            network, optimizer = self._made()
            before = network.first.weight.detach().clone()
            set_learning_rates(optimizer, factor)
            self._step(network, optimizer)
            moved[factor] = float((network.first.weight.detach() - before).norm())
        promise(self.component, "weights that stay at a rate of zero", moved[0.0] == 0, moved)
        promise(self.component, "longer steps at a larger rate", moved[1.0] > moved[0.1] > 0, moved)

    def test_a_step_that_does_not_count(self) -> None:
        """Weights and state unchanged by a step that does not count, also a first one, and the same next step."""
        for first in (True, False):
            plain, disturbed = self._made(), self._made()
            if not first:
                for network, optimizer in (plain, disturbed):
                    self._step(network, optimizer)
            before = _everything(*disturbed)
            self._step(*disturbed, counts=False)
            same = "unchanged weights and state after a step that does not count"
            after = _everything(*disturbed)
            check_equal(self.component, same, before, {**before, **after}, exact=True)
            for network, optimizer in (plain, disturbed):
                self._step(network, optimizer)
            weights = [dict(network.state_dict()) for network, _ in (plain, disturbed)]
            check_equal(
                self.component, "the same next step after one that does not count", *weights, exact=True
            )

    def test_it_goes_on(self) -> None:
        """The same steps after its state was saved and loaded, to the bit."""
        network, optimizer = self._made()
        for _ in range(3):
            self._step(network, optimizer)
        again, other = self._made()
        again.load_state_dict(network.state_dict())
        load_optimizer(other, deepcopy(optimizer.state_dict()))
        for _ in range(3):
            self._step(network, optimizer)
            self._step(again, other)
        promised = "the same steps after its state was saved and loaded"
        check_equal(
            self.component, promised, dict(network.state_dict()), dict(again.state_dict()), exact=True
        )

    def test_parts_that_rest(self) -> None:
        """Parameters without a gradient stay, and learn when they get one."""
        network, optimizer = self._made()
        network.last.requires_grad_(False)
        before = network.last.weight.detach().clone()
        self._step(network, optimizer)
        rested = torch.equal(network.last.weight, before)
        promise(self.component, "parameters without a gradient that stay", rested, "others")
        network.last.requires_grad_(True)
        self._step(network, optimizer)
        learnt = not torch.equal(network.last.weight, before)
        promise(self.component, "parameters that learn once they have a gradient", learnt, "the same")

    def _made(self) -> tuple["_Network", torch.optim.Optimizer]:
        """A small network, and its optimiser in two groups."""
        with same_random_numbers():
            network = _Network()
        groups: list[dict[str, Any]] = [
            {
                "params": list(network.first.parameters()),
                "lr": _RATE,
                "initial_lr": _RATE,
                "weight_decay": 0.0,
            },
            {
                "params": list(network.last.parameters()),
                "lr": _RATE / 10,
                "initial_lr": _RATE / 10,
                "weight_decay": 0.1,
            },
        ]
        return network, self.make()(groups)

    def _step(self, network: nn.Module, optimizer: torch.optim.Optimizer, *, counts: bool = True) -> float:
        """One step, and the loss before it."""
        with same_random_numbers():
            inputs = torch.randn(16, 3)
        optimizer.zero_grad(set_to_none=True)
        loss: Tensor = (network(inputs) - inputs.sum(dim=1).sin()).square().mean()
        (loss if counts else loss * torch.nan).backward()
        step_if(torch.tensor(counts), optimizer)
        return float(loss.detach())


class _Network(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.last = nn.Linear(4, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``[B, 3]`` to ``[B]``."""
        values: Tensor = self.last(self.first(inputs).tanh())
        return values[:, 0]


def _everything(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights, and the tensors and numbers of the state."""
    state = {
        f"state {index} {name}": torch.as_tensor(value).clone()
        for index, each in optimizer.state_dict()["state"].items()
        for name, value in each.items()
        if isinstance(value, Tensor | float | int)
    }
    return {name: tensor.clone() for name, tensor in network.state_dict().items()} | state
