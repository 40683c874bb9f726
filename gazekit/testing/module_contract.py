"""The contract of every component that is a ``torch.nn.Module``."""

import random
import unittest
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from gazekit.contracts.types import Views
from gazekit.testing.cases import for_each_case
from gazekit.testing.contract import FunctionContract
from gazekit.testing.promises import (
    ContractCase,
    check_equal,
    check_gradients,
    leaves_of,
    promise,
    weighted_sum,
)
from gazekit.testing.surroundings import one_process


class ModuleContract(FunctionContract):
    """Contract of a ``torch.nn.Module``."""

    compiles: ClassVar[bool] = True
    """False for a kind that runs outside what is compiled."""

    @for_each_case(training=True)
    def test_gradient_of_parameters(self, case: ContractCase, module: Any) -> None:
        """In training a finite gradient for every parameter."""
        parameters = _parameters(module)
        # after a scale that starts at zero, a gradient may be zero at first
        check_gradients(self.component, self.call(module, case.inputs), parameters, may_vanish=True)

    @for_each_case()
    def test_train_and_eval(self, case: ContractCase, module: Any) -> None:
        """The same results in eval before and after train()."""
        results = self.call(module, case.inputs)
        again = self.call(module.train().eval(), case.inputs)
        check_equal(self.component, "the same results in eval before and after train()", results, again)

    @for_each_case()
    def test_state_dict(self, case: ContractCase, module: Any) -> None:
        """A state dict of tensors that holds everything its results depend on, after a training step, too."""
        if case.exams > 1:
            self.call(module.train(), case.inputs)  # running statistics move
        module.eval()
        twin = case.build().eval()
        others = {name: value for name, value in module.state_dict().items() if not torch.is_tensor(value)}
        promise(self.component, "a state dict of tensors only", not others, list(others))
        twin.load_state_dict(module.state_dict())
        check_equal(
            self.component,
            "a state dict that holds everything its results depend on",
            self.call(module, case.inputs),
            self.call(twin, case.inputs),
        )

    @for_each_case(training=True)
    def test_seed(self, case: ContractCase, module: Any) -> None:
        """The same weights and training results after the same torch.manual_seed, to the bit, whatever came before."""
        runs = []
        states = random.getstate(), np.random.get_state()
        try:
            for number in (1, 2):
                random.seed(number)
                np.random.seed(number)
                torch.manual_seed(0)
                module = case.build().train()
                torch.manual_seed(1)
                weights = {name: value.clone() for name, value in module.state_dict().items()}
                runs.append((weights, self.call(module, case.inputs)))
            module.load_state_dict(runs[1][0])
            torch.manual_seed(1)
            resumed = self.call(module, case.inputs)
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
        (first, results), (second, again) = runs
        check_equal(self.component, "the same initial weights from the same seed", first, second, exact=True)
        check_equal(self.component, "the same results from the same seed", results, again, exact=True)
        promised = "the same results from the same seed and state dict, whatever came before (a training is resumed so)"
        check_equal(self.component, promised, results, resumed, exact=True)

    @for_each_case(training=True, one=True)
    def test_several_processes(self, case: ContractCase, module: Any) -> None:
        """Every parameter takes part in each of three training steps (DistributedDataParallel, one process)."""
        _parameters(module)
        with one_process() as ready:
            if not ready:
                raise unittest.SkipTest("already inside a process group")
            parallel = nn.parallel.DistributedDataParallel(_Called(module, self.run))

            def three_steps() -> None:
                for _ in range(3):
                    weighted_sum(parallel(leaves_of(case.inputs, constants=self.constants))).backward()

            try:
                with ThreadPoolExecutor(1) as thread:  # see ``one_process``
                    thread.submit(three_steps).result()
            except RuntimeError as error:
                promised = "every parameter to take part in every step (DistributedDataParallel)"
                promise(self.component, promised, False, str(error).partition(".")[0])

    @for_each_case(one=True, costly=True)
    def test_compiled(self, case: ContractCase, module: Any) -> None:
        """The same results and gradients under torch.compile (traced by it, no code generated: aot_eager)."""
        if not self.compiles:
            raise unittest.SkipTest("it is called outside what is compiled")
        torch.compiler.reset()
        compiled = torch.compile(_Called(module, self.run), backend="aot_eager", dynamic=False)
        found = []
        for called in (_Called(module, self.run), compiled):
            leaves = leaves_of(case.inputs, constants=self.constants)
            results = called(leaves)
            wanted = [leaf for leaf in leaves.values() if leaf.requires_grad]
            gradients = torch.autograd.grad(weighted_sum(results), wanted, allow_unused=True)
            pairs = enumerate(gradients)
            found.append({**results, **{f"gradient {n}": each for n, each in pairs if each is not None}})
        check_equal(self.component, "under torch.compile the same results and gradients", *found)


def _parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    parameters = {name: each for name, each in module.named_parameters() if each.requires_grad}
    if not parameters:
        raise unittest.SkipTest("it has no parameters")
    return parameters


class _Called(nn.Module):
    """A component wrapped as a module that is called with its inputs."""

    def __init__(self, component: nn.Module, run: Callable[[Any, Views], Views]) -> None:
        super().__init__()
        self.component = component
        self.run = run

    def forward(self, inputs: Views) -> Views:
        return self.run(self.component, inputs)
