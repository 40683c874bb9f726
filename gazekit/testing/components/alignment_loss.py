"""The contract of alignment losses."""

from collections.abc import Iterator
from typing import Any

import torch

from gazekit.contracts.types import Views
from gazekit.testing.module_contract import ModuleContract
from gazekit.testing.promises import (
    EXAMS,
    ContractCase,
    check_equal,
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
        """Try attention coarser than the heat map, or fixations on it."""
        gaze = "heat maps of 24 × 20" if self._reads_heat_maps() else "7 fixations, 2 unused rows"
        for exams in (1, EXAMS):
            yield ContractCase(
                self.make,
                {"attention": random_tensor(exams, 6, 5, seed=1), "gaze": self._gaze(exams)},
                f"{exams} maps of 6 × 5, {gaze}",
            )

    def _reads_heat_maps(self) -> bool:
        return bool(self.component.reads == "heat_map")

    def _gaze(self, exams: int) -> torch.Tensor:
        """Heat maps ``[B, 24, 20]``, or fixations all over a map of 6 × 5 and unused rows, ``[B, 9, 3]``."""
        if self._reads_heat_maps():
            return random_tensor(exams, 24, 20).sigmoid()
        fixations = random_tensor(exams, 7, 3).sigmoid() * torch.tensor([5.0, 6.0, 400.0])
        return torch.cat([fixations, torch.full((exams, 2, 3), torch.nan)], dim=1)

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
        gaze = blob
        if not self._reads_heat_maps():
            gaze = torch.tensor([[[5.0, 5.0, 200.0], [8.5, 6.0, 300.0], [7.0, 9.0, 250.0]]])  # on the blob
        loss = self.make()
        on, off = loss(torch.cat([blob, blob.flip(1, 2)]), torch.cat([gaze, gaze])).tolist()
        promise(
            self.component,
            "a smaller loss for attention on the gaze than beside it",
            on < off,
            f"{on} and {off}",
        )

    def test_constant_attention(self) -> None:
        """A finite loss and gradient for attention that is the same everywhere."""
        self._finite(torch.full((EXAMS, 6, 5), 0.3), self._gaze(EXAMS))
        self._finite(torch.zeros(EXAMS, 6, 5), self._gaze(EXAMS))

    def test_missing_gaze(self) -> None:
        """A finite loss and gradient where an exam has no gaze: a heat map of zeros, or unused rows alone."""
        missing = torch.zeros(EXAMS, 24, 20)
        if not self._reads_heat_maps():
            missing = torch.full((EXAMS, 9, 3), torch.nan)
        self._finite(random_tensor(EXAMS, 6, 5), missing)

    def test_unused_rows(self) -> None:
        """The same loss of fixations however many rows are unused."""
        if self._reads_heat_maps():
            return
        attention, gaze = random_tensor(EXAMS, 6, 5, seed=1), self._gaze(EXAMS)
        check_equal(
            self.component,
            "the same loss however many rows are unused",
            self.losses(self.make(), attention, gaze[:, :7]),
            self.losses(self.make(), attention, gaze),
        )

    def _finite(self, attention: torch.Tensor, gaze: torch.Tensor) -> None:
        leaves = leaves_of({"attention": attention})
        losses = self.losses(self.make(), leaves["attention"], gaze)
        check_finite(self.component, "finite ", losses)
        check_gradients(self.component, losses, leaves, may_vanish=True)
