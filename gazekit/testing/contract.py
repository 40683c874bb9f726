"""Base of all contracts: a contract is a class whose tests are promises."""

import contextlib
import inspect
import re
import unittest
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError, gradcheck

from gazekit.contracts.types import Views
from gazekit.registry.component import CONTEXT, MAY_LACK, check_attributes
from gazekit.registry.signature import check_signature, options_of, taken
from gazekit.testing.cases import for_each_case
from gazekit.testing.promises import (
    ContractCase,
    check_equal,
    check_finite,
    check_gradients,
    leaves_of,
    promise,
    weighted_sum,
)
from gazekit.testing.surroundings import (
    other_device,
    same_random_numbers,
    settings_of_torch,
    settings_restored,
)

_SEED = 20_261
"""One that no component would choose."""


class Contract:
    """Base of the contracts; subclass one, name the component, and pytest runs one test per promise.

    Example::

        class TestGated(gazekit.testing.FusionContract):
            component = Gated
            options = {"hidden": 8}
    """

    kind: ClassVar[str]
    component: ClassVar[type[Any]]
    options: ClassVar[Mapping[str, Any]] = {}
    """Options to build it with; choose small ones, several instances are made."""

    @classmethod
    def promises(cls, *, all_of_them: bool = True) -> dict[str, str]:
        """Return the tests in the order of definition, base classes first, each with its promise."""
        found: dict[str, str] = {}
        for base in reversed(cls.__mro__):
            for name, test in vars(base).items():
                if name.startswith("test_") and (all_of_them or not getattr(test, "costly", False)):
                    found[name] = inspect.getdoc(test) or name
        return found

    def make(self, *context: Any) -> Any:
        """Build the component with the options."""
        return self.component(*taken(self.component, context), **self.options)

    def test_signature(self) -> None:
        """Options after a '*', each with a type, a default and a line under Args of the docstring."""
        check_attributes(self.kind, self.component)
        check_signature(self.component, CONTEXT.get(self.kind, ()), MAY_LACK.get(self.kind, 0))
        documentation = inspect.getdoc(self.component) or ""
        promise(self.component, "a docstring", bool(documentation), "none")
        missing = [
            option.name
            for option in options_of(self.component)
            if not re.search(rf"^ *(\w+, )*{option.name}(, \w+)*: ", documentation, flags=re.MULTILINE)
        ]
        promise(
            self.component, "a line 'OPTION: …' under Args of its docstring per option", not missing, missing
        )


class FunctionContract(Contract):
    """Contract of components that are called on tensors, with exams along the first axis."""

    inputs_matter: ClassVar[bool] = False
    """Whether every input must have a gradient that is not zero."""
    constants: ClassVar[tuple[str, ...]] = ()
    """Inputs that need no gradient."""
    stops_gradients: ClassVar[bool] = False
    """Whether a gradient is cut on purpose, so that it is not the function's gradient."""

    def cases(self) -> Iterator[ContractCase]:
        """Return the cases to try, smallest first."""
        raise NotImplementedError

    def typical(self) -> ContractCase:
        """Return the case for costly promises: the first with several exams."""
        return next(case for case in self.cases() if case.exams > 1)

    def run(self, component: Any, inputs: Views) -> Views:
        """Call the component and check the shapes of its results."""
        raise NotImplementedError

    def call(self, component: Any, inputs: Views) -> Views:
        """Run the component on tensors with a graph, as in training, and check that they are unchanged."""
        passed = {name: leaf.clone() for name, leaf in leaves_of(inputs, constants=self.constants).items()}
        handed = dict(passed)
        results = self.run(component, handed)
        promised = "to leave its inputs as they are"
        promise(self.component, promised, list(handed) == list(passed), list(handed))
        check_equal(self.component, promised, inputs, passed, exact=True)
        return results

    def test_settings_of_torch(self) -> None:
        """Torch's seed, default dtype and gradient mode left as they are: all components share them."""
        with same_random_numbers(), settings_restored():
            torch.manual_seed(_SEED)
            before, case = settings_of_torch(), self.typical()
            with contextlib.suppress(Exception):  # the other promises say so
                component = case.build()
                if isinstance(component, nn.Module):
                    component.train()
                self.run(component, leaves_of(case.inputs, constants=self.constants))
            after = settings_of_torch()
        for name, value in before.items():
            promised = f"to leave torch's {name} as it is"
            promise(self.component, promised, after[name] == value, f"{after[name]} for {value}")

    @for_each_case()
    def test_results(self, case: ContractCase, component: Any) -> None:
        """Finite results of the right names, shapes and dtype for each number of views; inputs left as they are."""
        check_finite(self.component, "finite ", self.call(component, case.inputs))

    @for_each_case()
    def test_no_hidden_state(self, case: ContractCase, component: Any) -> None:
        """The same results when called twice, whatever it was called with between."""
        results = self.call(component, case.inputs)
        self.call(component, {name: 2 * tensor for name, tensor in case.inputs.items()})
        check_equal(
            self.component, "the same results when called twice", results, self.call(component, case.inputs)
        )

    @for_each_case()
    def test_exams_apart(self, case: ContractCase, component: Any) -> None:
        """Results that follow the order of the exams, and the same for an exam alone as among others."""
        results = self.call(component, case.inputs)
        turned = {name: tensor.flip(0) for name, tensor in case.inputs.items()}
        expected = {name: each.flip(0) if each.ndim else each for name, each in results.items()}
        came = self.call(component, turned)
        check_equal(self.component, "results that follow the order of the exams", expected, came)
        alone = self.call(component, {name: tensor[:1] for name, tensor in case.inputs.items()})
        first = {name: each[:1] for name, each in results.items() if each.ndim}
        check_equal(self.component, "the same result for an exam alone as among others", first, alone)

    @for_each_case()
    def test_gradient_of_inputs(self, case: ContractCase, component: Any) -> None:
        """A finite gradient for every input."""
        leaves = leaves_of(case.inputs, constants=self.constants)
        results = self.run(component, leaves)
        check_gradients(self.component, results, leaves, may_vanish=not self.inputs_matter)

    @for_each_case(training=True)
    def test_mixed_precision(self, case: ContractCase, component: Any) -> None:
        """Finite results and gradients from bfloat16 inputs under autocast, with parameters in float32."""
        leaves = leaves_of(case.inputs, torch.bfloat16, constants=self.constants)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            results = self.run(component, leaves)
        check_finite(self.component, "under autocast finite ", results)
        check_gradients(self.component, results, leaves, may_vanish=True)

    @for_each_case(one=True)
    def test_double_precision(self, case: ContractCase, component: Any) -> None:
        """Float64 results from float64."""
        component = _doubled(component)
        results = self.run(component, leaves_of(case.inputs, torch.float64, constants=self.constants))
        kinds = {name: result.dtype for name, result in results.items() if result.dtype != torch.float64}
        promise(self.component, "float64 results from float64", not kinds, kinds)

    @for_each_case(one=True)
    def test_gradients(self, case: ContractCase, component: Any) -> None:
        """Gradients of its inputs that are those of finite differences, in float64 (gradcheck)."""
        if self.stops_gradients:
            raise unittest.SkipTest("a gradient is cut on purpose: stops_gradients = True")
        component = _doubled(component)
        leaves = leaves_of(case.inputs, torch.float64, constants=self.constants)

        def total(*tensors: Tensor) -> Tensor:
            return weighted_sum(self.run(component, dict(zip(leaves, tensors, strict=True))))

        try:
            gradcheck(total, tuple(leaves.values()), fast_mode=True, eps=1e-6, atol=1e-4)
        except GradcheckError as error:
            promised = (
                "the gradients of what it computes (set stops_gradients = True where one is cut on purpose)"
            )
            promise(self.component, promised, False, str(error).partition("\n")[0])

    @for_each_case()
    def test_devices(self, case: ContractCase, component: Any) -> None:
        """Works on another device, with results there: a GPU or, if there is none, 'meta' with shapes alone."""
        device = other_device()
        moved = component.to(device) if isinstance(component, nn.Module) else component
        leaves = leaves_of(case.inputs, constants=self.constants)
        try:
            results = self.run(moved, {name: each.to(device) for name, each in leaves.items()})
        except (RuntimeError, NotImplementedError) as error:
            if device == "meta" and "unsupported scalarType" in str(error):
                reason = "no GPU, and 'meta' has no autocast; gazekit.contracts.precision.full_precision does without"
                raise unittest.SkipTest(reason) from None
            promise(self.component, f"to work on device '{device}'", False, str(error).partition("\n")[0])
        places = {name: str(each.device) for name, each in results.items() if each.device.type != device}
        promise(self.component, f"results on device '{device}'", not places, places)


def _doubled(component: Any) -> Any:
    return component.double() if isinstance(component, nn.Module) else component
