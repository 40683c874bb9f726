"""The contract of alignment losses."""

from collections.abc import Iterator
from typing import Any

import torch

from gazekit.contracts.types import Views
from gazekit.testing.module_contract import ModuleContract
from gazekit.testing.promises import (
    EXAMS,
    ContractCase,
    check_finite,
    check_gradients,
    check_shapes,
    leaves_of,
    promise,
    random_tensor,
)


class AlignmentLossContract(ModuleContract):
    """A loss per map: smaller if attention is on the gaze, and finite for constant maps or missing gaze."""

    kind = "alignment_loss"
    inputs_matter = True
    constants = ("gaze",)

    def cases(self) -> Iterator[ContractCase]:
        """Try attention coarser than the heat map."""
        for exams in (1, EXAMS):
            yield ContractCase(
                self.make,
                {
                    "attention": random_tensor(exams, 6, 5, seed=1),
                    "gaze": random_tensor(exams, 24, 20).sigmoid(),
                },
                f"{exams} maps of 6 × 5, heat maps of 24 × 20",
            )

    def run(self, component: Any, inputs: Views) -> Views:
        """Return the loss per map."""
        return self.losses(component, inputs["attention"], inputs["gaze"])

    def losses(self, component: Any, attention: torch.Tensor, gaze: torch.Tensor) -> Views:
        """Return the loss per map after checking its shape."""
        losses = component(attention, gaze)
        check_shapes(self.component, {"loss": losses}, {"loss": (len(attention),)})
        return {"loss": losses}

    def test_nearness(self) -> None:
        """A smaller loss for attention on the gaze than beside it."""
        blob = torch.zeros(1, 24, 20)
        blob[:, 4:10, 4:10] = 1.0
        loss = self.make()
        on, off = loss(torch.cat([blob, blob.flip(1, 2)]), torch.cat([blob, blob])).tolist()
        promise(
            self.component,
            "a smaller loss for attention on the gaze than beside it",
            on < off,
            f"{on} and {off}",
        )

    def test_constant_attention(self) -> None:
        """A finite loss and gradient for attention that is the same everywhere."""
        self._finite(torch.full((EXAMS, 6, 5), 0.3), torch.rand(EXAMS, 24, 20))
        self._finite(torch.zeros(EXAMS, 6, 5), torch.rand(EXAMS, 24, 20))

    def test_missing_gaze(self) -> None:
        """A finite loss and gradient for a heat map of zeros, which stands where an exam has no gaze."""
        self._finite(random_tensor(EXAMS, 6, 5), torch.zeros(EXAMS, 24, 20))

    def _finite(self, attention: torch.Tensor, gaze: torch.Tensor) -> None:
        leaves = leaves_of({"attention": attention})
        losses = self.losses(self.make(), leaves["attention"], gaze)
        check_finite(self.component, "finite ", losses)
        check_gradients(self.component, losses, leaves, may_vanish=True)
