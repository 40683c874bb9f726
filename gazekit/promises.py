"""What every component promises, whatever its kind; ``gazekit.testing`` runs these checks."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gazekit.types import Views

EXAMS = 3

Run = Callable[[Any, Views], Views]
"""How a component is called: (component, inputs by name) to results by name."""


def promise(cls: type[Any], promised: str, kept: bool, came: object = "something else") -> None:
    """Raise AssertionError with what was promised and what came, unless the promise is kept."""
    if not kept:
        raise AssertionError(f"{cls.__name__} promises {promised}; came: {came}")


def check_shapes(cls: type[Any], results: Views, expected: Mapping[str, tuple[int, ...]]) -> None:
    """The results have these names, in this order, and these shapes."""
    promise(cls, f"results for {list(expected)}", list(results) == list(expected), list(results))
    for name, shape in expected.items():
        came = list(results[name].shape)
        promise(cls, f"{name} of shape {list(shape)}", came == list(shape), came)


def check_module(cls: type[Any], build: Callable[[], nn.Module], run: Run, inputs: Views) -> None:
    """In eval a function of its inputs and its state dict; in training, gradients for all parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module, twin = build().eval(), build().eval()
        check_function(cls, module, run, inputs)
        results = _call(cls, module, run, inputs)
        again = _call(cls, module.train().eval(), run, inputs)
        _check_equal(cls, "the same results in eval before and after train()", results, again)
        twin.load_state_dict(module.state_dict())
        copied = _call(cls, twin, run, inputs)
        _check_equal(cls, "a state dict that holds all that its results depend on", results, copied)
        parameters = dict(module.named_parameters())
        if parameters:  # behind a scale that starts at zero, a gradient may be zero at first
            _check_gradients(cls, _call(cls, module.train(), run, inputs), parameters, may_vanish=True)


def check_function(cls: type[Any], component: Any, run: Run, inputs: Views) -> None:
    """Finite and repeatable results, inputs left alone, and no exam that depends on those beside it."""
    results = _call(cls, component, run, inputs)
    for name, result in results.items():
        promise(cls, f"finite {name}", bool(result.isfinite().all()), result)
    _check_equal(cls, "the same results when called twice", results, _call(cls, component, run, inputs))
    turned = {name: tensor.flip(0) for name, tensor in inputs.items()}
    expected = {name: each.flip(0) if each.ndim else each for name, each in results.items()}
    came = _call(cls, component, run, turned)
    _check_equal(cls, "results that follow the order of the exams", expected, came)
    alone = _call(cls, component, run, {name: tensor[:1] for name, tensor in inputs.items()})
    first = {name: each[:1] for name, each in results.items() if each.ndim}
    _check_equal(cls, "the same result for an exam alone as among others", first, alone)


def check_gradient(
    cls: type[Any], component: Any, run: Run, inputs: Views, *, may_vanish: bool = False
) -> None:
    """A finite gradient for every input; zeros are allowed only if it may vanish."""
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in inputs.items()}
    _check_gradients(cls, run(component, leaves), leaves, may_vanish=may_vanish)


def _check_gradients(
    cls: type[Any], results: Views, leaves: Mapping[str, Tensor], *, may_vanish: bool = False
) -> None:
    """Differentiate a random weighting of the results, for a plain sum may be constant (behind a norm)."""
    generator = torch.Generator().manual_seed(1)
    total = torch.zeros(())
    for result in results.values():
        total = total + (result * torch.rand(result.shape, generator=generator)).sum()
    promise(cls, "results that are differentiable", total.requires_grad, "results without a graph")
    gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    for name, gradient in zip(leaves, gradients, strict=True):
        if gradient is None:
            raise AssertionError(f"{cls.__name__} promises a gradient for {name}; came: none")
        promise(cls, f"a finite gradient for {name}", bool(gradient.isfinite().all()), gradient)
        promise(cls, f"a gradient for {name}", may_vanish or bool(gradient.any()), "zeros everywhere")


def _call(cls: type[Any], component: Any, run: Run, inputs: Views) -> Views:
    """Run it on tensors that have a graph, as features in training do, and see that they stay as they are."""
    passed = {name: tensor.clone().requires_grad_().clone() for name, tensor in inputs.items()}
    results = run(component, passed)
    _check_equal(cls, "to leave its inputs as they are", inputs, passed)
    return results


def _check_equal(cls: type[Any], promised: str, expected: Views, came: Views) -> None:
    for name, tensor in expected.items():
        if not torch.allclose(tensor, came[name], rtol=1e-4, atol=1e-5):
            difference = (tensor - came[name]).abs().max().item()
            raise AssertionError(
                f"{cls.__name__} promises {promised}; came: {name} differs by {difference:.2g}"
            )
