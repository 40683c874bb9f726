"""The contract of attention maps."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from gazekit.contracts.types import Extras, Output, Views
from gazekit.testing.cases import for_each_case
from gazekit.testing.components.fusion import CHANNELS, ODD_NAMES, VIEWS, numbered
from gazekit.testing.contract import FunctionContract
from gazekit.testing.promises import (
    EXAMS,
    ContractCase,
    check_equal,
    check_gradients,
    check_shapes,
    left_alone,
    promise,
    random_tensor,
)


class AttentionMapContract(FunctionContract):
    """A map per view on the grid of its features, differentiable, for binary and multi-class heads."""

    kind = "attention_map"
    inputs_matter = True

    def cases(self) -> Iterator[ContractCase]:
        """Try one to four views, and one and three logits, with a linear head."""
        for views, outputs, exams in (
            (VIEWS[0], 1, 1),
            *((each, k, EXAMS) for each in VIEWS for k in (1, 3)),
        ):
            yield self.case(views, outputs, exams)

    def typical(self) -> ContractCase:
        """Try two views and three logits."""
        return self.case(VIEWS[1], 3)

    def case(self, views: Sequence[str], outputs: int, exams: int = EXAMS) -> ContractCase:
        """Make a case with these views and this many logits."""
        return ContractCase(
            partial(self._with_head, outputs, len(views)),
            {view: random_tensor(exams, CHANNELS, 5, 4, seed=seed) for seed, view in enumerate(views)},
            f"views {', '.join(views)}; {exams} exams; {outputs} logits",
        )

    def _with_head(self, outputs: int, views: int) -> nn.Module:
        return _Explained(self.make(), nn.Linear(CHANNELS * views, outputs))

    def run(self, component: Any, inputs: Views) -> Views:
        """Return the maps for the output of a linear head."""
        deep = getattr(type(component.attention_map), "reads_stages", False)
        output = _linear_output(inputs, component.head, deep=deep)
        target = (output.fused[:, 0] > 0).long()
        read = {"logits": output.logits, "fused": output.fused, "target": target}
        with left_alone(self.component, "the output and the target", read):
            maps: Views = component.attention_map(output, target)
        check_shapes(self.component, maps, {view: (*f.shape[:1], *f.shape[2:]) for view, f in inputs.items()})
        try:
            torch.autograd.grad(output.logits.sum(), component.head.weight, retain_graph=True)
        except RuntimeError as error:
            promise(self.component, "a graph of the logits that the other losses can still use", False, error)
        return maps

    @for_each_case()
    def test_saved_parameters(self, case: ContractCase, component: Any) -> None:
        """If it is a module: a finite gradient for every parameter, and a state dict that restores its maps."""
        attention_map = component.attention_map
        if not isinstance(attention_map, nn.Module) or not attention_map.state_dict():
            return
        if case.exams > 1:
            self.call(component.train(), case.inputs)  # running statistics move
        results = self.call(component.eval(), case.inputs)
        parameters = {name: each for name, each in attention_map.named_parameters() if each.requires_grad}
        if parameters:
            check_gradients(self.component, results, parameters, may_vanish=True)
        torch.manual_seed(1)
        twin = case.build().eval()
        twin.head.load_state_dict(component.head.state_dict())
        twin.attention_map.load_state_dict(attention_map.state_dict())
        promised = "a state dict that holds everything its maps depend on"
        check_equal(self.component, promised, results, self.call(twin, case.inputs))

    @for_each_case()
    def test_view_names(self, case: ContractCase, component: Any) -> None:
        """The same maps whatever the views are called: by odd names, and by their own in the other order."""
        expected = numbered(self.call(component, case.inputs))
        for names in (ODD_NAMES[: len(case.inputs)], tuple(reversed(case.inputs))):
            renamed = dict(zip(names, case.inputs.values(), strict=True))
            promised = f"the same maps whatever the views are called, e.g. {list(names)}"
            check_equal(self.component, promised, expected, numbered(self.call(component, renamed)))


class _Explained(nn.Module):
    """An attention map and the head it explains."""

    def __init__(self, attention_map: Any, head: nn.Linear) -> None:
        super().__init__()
        self.attention_map, self.head = attention_map, head


def _linear_output(maps_of: Views, head: nn.Linear, *, deep: bool) -> Output:
    """Make the output of a model which shows attention, with a linear head on the pooled features.

    It has one stage, or, for a map that reads stages, a second one: a hyperbolic tangent.
    """
    features = {view: maps.tanh() for view, maps in maps_of.items()} if deep else maps_of
    pooled = {view: maps.mean(dim=(2, 3)) for view, maps in features.items()}  # [B, C]
    fused = torch.cat(list(pooled.values()), dim=1)
    stages: dict[str, tuple[torch.Tensor, ...]] = {
        view: (maps_of[view], maps) if deep else (maps,) for view, maps in features.items()
    }
    extras: dict[str, tuple[Extras, ...]] = {
        view: ({"attention": _attention(maps)},) for view, maps in features.items()
    }
    return Output(head(fused), features, pooled, pooled, fused, stages, extras)


def _attention(maps: torch.Tensor) -> torch.Tensor:
    """Attention of two layers with two heads among places and a class token, ``[B, 2, 2, 1 + h w, 1 + h w]``."""
    places = maps.flatten(2).mT  # [B, h w, C]
    tokens = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1)
    heads = torch.stack(tokens.chunk(2, dim=2), dim=1)  # [B, heads, n, C / 2]
    products = heads @ heads.mT
    return torch.stack([products, products / 2], dim=1).softmax(dim=-1)
