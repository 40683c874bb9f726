"""Single promises: functions that raise AssertionError with the promise and the actual result."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.heat_map import (
    COLUMNS,
    DURATION,
    ONSET,
    READER,
    RECORDING,
    SIGMA_X,
    SIGMA_Y,
    SLOT,
    X,
    Y,
)
from gazekit.contracts.types import Views
from gazekit.disk.wording import without_middle

EXAMS = 3
_LONGEST = 400
"""Characters of an actual result that a message quotes."""


@dataclass(frozen=True)
class ContractCase:
    """Inputs on which to try a promise, and how to build the component for them.

    Args:
        build: makes a new component.
        inputs: name → tensor, with exams along the first axis.
        label: for messages.
    """

    build: Callable[[], Any]
    inputs: Views
    label: str

    @property
    def exams(self) -> int:
        """``B``."""
        return len(next(iter(self.inputs.values())))


@contextmanager
def naming(case: ContractCase) -> Iterator[None]:
    """Note the case on any exception; cases are tried smallest first, so it is the smallest failing one."""
    try:
        yield
    except Exception as error:
        error.add_note(f"smallest failing case: {case.label}")
        raise


def promise(cls: type[Any], promised: str, kept: bool, came: object = "something else") -> None:
    """Raise AssertionError with the promise and the actual result, unless the promise is kept."""
    if not kept:
        raise AssertionError(
            f"{cls.__name__} promises {promised}; came: {without_middle(str(came), _LONGEST)}"
        )


@contextmanager
def left_alone(cls: type[Any], what: str, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Check that the block changes no tensor in place."""
    before = {name: tensor._version for name, tensor in tensors.items()}
    yield
    changed = [name for name, tensor in tensors.items() if tensor._version != before[name]]
    promise(cls, f"to leave {what} as they are", not changed, f"{', '.join(changed)} changed in place")


def check_shapes(cls: type[Any], results: Any, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Check that the results are tensors with these names, in this order, and these shapes."""
    named = isinstance(results, Mapping)
    said = list(results) if named else type(results).__name__
    promise(cls, f"results for {list(expected)}", named and list(results) == list(expected), said)
    for name, shape in expected.items():
        result = results[name]
        promise(cls, f"{name} as a tensor", isinstance(result, Tensor), type(result).__name__)
        promise(
            cls, f"{name} of shape {list(shape)}", tuple(result.shape) == tuple(shape), list(result.shape)
        )
        promise(cls, f"{name} of floating dtype", result.is_floating_point(), result.dtype)


def check_finite(cls: type[Any], what: str, results: Mapping[str, Tensor]) -> None:
    """Check that no value is NaN or infinite."""
    for name, result in results.items():
        promise(cls, f"{what}{name}", bool(result.isfinite().all()), "NaN or infinity")


def check_equal(cls: type[Any], promised: str, expected: Views, came: Views, *, exact: bool = False) -> None:
    """Check that tensors are equal up to rounding, or bit for bit."""
    tolerance = {"rtol": 0.0, "atol": 0.0} if exact else {"rtol": 1e-4, "atol": 1e-5}
    for name, tensor in expected.items():
        promise(cls, promised, name in came, f"no {name}")
        if not torch.allclose(tensor, came[name], equal_nan=True, **tolerance):
            difference = (tensor - came[name]).abs().max().item()
            promise(cls, promised, False, f"{name} differs by {difference:.2g}")


def check_gradients(
    cls: type[Any], results: Views, leaves: Mapping[str, Tensor], *, may_vanish: bool = False
) -> None:
    """Check for a finite gradient at every leaf; zeros are allowed only if it may vanish."""
    leaves = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    total = weighted_sum(results)
    promise(cls, "results that are differentiable", total.requires_grad, "results without a graph")
    gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    for name, gradient in zip(leaves, gradients, strict=True):
        if gradient is None:
            raise AssertionError(f"{cls.__name__} promises a gradient for {name}; came: none")
        check_finite(cls, "a finite gradient for ", {name: gradient})
        promise(cls, f"a gradient for {name}", may_vanish or bool(gradient.any()), "zeros everywhere")


def weighted_sum(results: Views) -> Tensor:
    """Sum the results with random weights: a plain sum may be constant (after a norm)."""
    generator = torch.Generator().manual_seed(1)
    total = torch.zeros(())
    for result in results.values():
        weights = torch.rand(result.shape, generator=generator).to(result)
        total = total.to(result.device) + (result * weights).sum()
    return total


def leaves_of(inputs: Views, dtype: torch.dtype = torch.float32, *, constants: Collection[str] = ()) -> Views:
    """Copy tensors to collect gradients; constants collect none and are at least in single precision."""
    exact = torch.float32 if dtype == torch.bfloat16 else dtype
    return {
        name: tensor.detach()
        .to(exact if name in constants else dtype, copy=True)
        .requires_grad_(name not in constants)
        for name, tensor in inputs.items()
    }


def random_gaze(
    views: Sequence[str],
    size: int,
    *,
    exams: int = 4,
    lacking: Collection[int] = (),
    readers: int = 1,
    fixations: int = 6,
) -> Gaze:
    """Fixations of readers one after another on square images, none for the exams that lack gaze."""
    of_views = {}
    for seed, view in enumerate(views):
        rows = torch.empty(exams, fixations * readers, COLUMNS)
        generator = torch.Generator().manual_seed(seed)
        draws = torch.rand(exams, fixations * readers, 3, generator=generator)
        rows[..., X], rows[..., Y] = draws[..., 0] * size, draws[..., 1] * size
        rows[..., DURATION] = 100 + 400 * draws[..., 2]
        rows[..., ONSET] = rows[..., DURATION].cumsum(1)
        slots = torch.arange(readers).repeat_interleave(fixations).float()
        rows[..., READER], rows[..., SLOT] = slots, slots
        rows[..., SIGMA_X] = rows[..., SIGMA_Y] = size / 16
        rows[..., RECORDING] = 1
        rows[list(lacking)] = torch.nan
        of_views[view] = rows
    names = tuple(f"reader {number + 1}" for number in range(readers))
    return Gaze(of_views, (size, size), names, readers)


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    """Make normal random numbers, equal for equal seeds."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
