"""The contract of attention maps."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from gazekit.testing.contract import FunctionContract
from gazekit.testing.fusion import CHANNELS, VIEWS
from gazekit.testing.promises import EXAMS, Case, check_shapes, promise, random_tensor
from gazekit.types import Output, Views


class AttentionMapContract(FunctionContract):
    """A map per view on the grid of its features, differentiable, for binary and multi-class heads."""

    kind = "attention_map"
    inputs_matter = True

    def cases(self) -> Iterator[Case]:
        """One to four views, one and three logits, behind a linear head."""
        for views, outputs, exams in (
            (VIEWS[0], 1, 1),
            *((each, k, EXAMS) for each in VIEWS for k in (1, 3)),
        ):
            yield Case(
                partial(self._with_head, outputs, len(views)),
                {view: random_tensor(exams, CHANNELS, 5, 4, seed=seed) for seed, view in enumerate(views)},
                f"views {', '.join(views)}; {exams} exams; {outputs} logits",
            )

    def _with_head(self, outputs: int, views: int) -> nn.Module:
        return _Explained(self.make(), nn.Linear(CHANNELS * views, outputs))

    def run(self, component: Any, inputs: Views) -> Views:
        """The maps for the output of a linear head."""
        output = _linear_output(inputs, component.head)
        maps: Views = component.attention_map(output, (output.fused[:, 0] > 0).long())
        check_shapes(self.component, maps, {view: (*f.shape[:1], *f.shape[2:]) for view, f in inputs.items()})
        try:
            torch.autograd.grad(output.logits.sum(), component.head.weight, retain_graph=True)
        except RuntimeError as error:
            promise(self.component, "a graph of the logits that the other losses can still use", False, error)
        return maps


class _Explained(nn.Module):
    """An attention map and the head that it explains."""

    def __init__(self, attention_map: Any, head: nn.Linear) -> None:
        super().__init__()
        self.attention_map, self.head = attention_map, head


def _linear_output(features: Views, head: nn.Linear) -> Output:
    """What a model with a linear head on the pooled features gives."""
    pooled = {view: maps.mean(dim=(2, 3)) for view, maps in features.items()}  # [B, C]
    fused = torch.cat(list(pooled.values()), dim=1)
    return Output(head(fused), features, pooled, pooled, fused)
