"""The contract of terms of the loss."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.types import Batch, Output, Views
from gazekit.testing.cases import for_each_case
from gazekit.testing.components.fusion import CHANNELS
from gazekit.testing.module_contract import ModuleContract
from gazekit.testing.promises import (
    EXAMS,
    ContractCase,
    check_equal,
    leaves_of,
    left_alone,
    promise,
    random_gaze,
    random_tensor,
)

_VIEWS = (("only",), ("front", "left"), ("front", "left", "right"))
_SIZE, _GRID = 40, 5
_GAZE, _MASK, _LABELS = "gaze ", "mask ", "labels"
_OF = {"gaze": _GAZE, "masks": _MASK}


class TermContract(ModuleContract):
    """A number per exam, or NaN where it has nothing to say, from maps, logits, labels, gaze and masks."""

    kind = "term"
    compiles = False

    def cases(self) -> Iterator[ContractCase]:
        """Try one to three views; with several exams one lacks gaze and masks."""
        yield self._case(_VIEWS[0], 1)
        for views in _VIEWS:
            yield self._case(views, EXAMS)

    def typical(self) -> ContractCase:
        """Try two views."""
        return self._case(_VIEWS[1], EXAMS)

    def _case(self, views: Sequence[str], exams: int) -> ContractCase:
        lacking = () if exams == 1 else (1,)
        gaze = random_gaze(views, _SIZE, exams=exams, lacking=lacking)
        inputs = {
            view: random_tensor(exams, CHANNELS, _GRID, _GRID, seed=seed) for seed, view in enumerate(views)
        }
        for seed, view in enumerate(views):
            inputs[_GAZE + view] = gaze.fixations[view]
            mask = (random_tensor(exams, _SIZE, _SIZE, seed=9 + seed) > 1).float()
            mask[list(lacking)] = 0
            inputs[_MASK + view] = mask
        inputs[_LABELS] = torch.arange(exams).float() % 2
        self.constants = tuple(name for name in inputs if name not in views)  # type: ignore[misc]
        build = partial(self.make, tuple(views), CHANNELS)
        return ContractCase(
            build, inputs, f"views {', '.join(views)}; {exams} exams; maps of {_GRID} × {_GRID}"
        )

    def run(self, component: Any, inputs: Views) -> Views:
        """Return what the term says, with zero for NaN."""
        values = self.values(component, inputs)
        return {"term": values.nan_to_num(0.0, posinf=torch.inf, neginf=-torch.inf)}

    def values(
        self,
        component: Any,
        inputs: Views,
        *,
        handed: frozenset[str] | None = None,
        gaze: Gaze | None = None,
    ) -> Tensor:
        """Call the term on a model's output and a batch with the gaze and masks it needs, or with others."""
        handed = type(component).needs if handed is None else handed
        views = [name for name in inputs if name not in self.constants]
        maps = {view: inputs[view] for view in views}
        pooled = {view: each.mean(dim=(2, 3)) for view, each in maps.items()}
        fused = torch.cat(list(pooled.values()), dim=1)
        output = Output(fused[:, :1], maps, pooled, pooled, fused)
        gaze = gaze or Gaze({view: inputs[_GAZE + view] for view in views}, (_SIZE, _SIZE))
        masks = {view: inputs[_MASK + view] for view in views}
        batch = Batch(
            {view: _images(each) for view, each in maps.items()},
            inputs[_LABELS].long(),
            gaze if "gaze" in handed else None,
            masks if "masks" in handed else None,
        )
        read = {"logits": output.logits, "labels": batch.labels}
        read |= {f"images of {view}": image for view, image in batch.images.items()}
        read |= {f"heat map of {view}": heat for view, heat in (batch.gaze or {}).items()}
        with left_alone(self.component, "output and batch, which other terms read,", read):
            values: Tensor = component(output, batch)
        exams = len(inputs[_LABELS])
        promise(self.component, "a tensor", isinstance(values, Tensor), type(values).__name__)
        fits = values.ndim in (1, 2) and len(values) == exams
        promise(self.component, "numbers [B] or [B, n], of each exam", fits, list(values.shape))
        return values

    @for_each_case()
    def test_needs(self, case: ContractCase, component: Any) -> None:
        """Results that depend on gaze or masks only if ``needs`` names them, whether they hold numbers or NaN."""
        needs = self.component.needs
        known = frozenset({"gaze", "masks"})
        if needs >= known:
            return
        leaves = leaves_of(case.inputs, constants=self.constants)
        clean = self.values(component, leaves)
        unread = {
            name: _poisoned(value) if name.startswith(tuple(_OF[each] for each in known - needs)) else value
            for name, value in leaves.items()
        }
        promised = "results that do not depend on what needs does not name"
        for inputs in (leaves, unread):  # a term may pass over NaN
            came = self.values(component, inputs, handed=known)
            check_equal(
                self.component, promised, {"term": clean.nan_to_num(0.0)}, {"term": came.nan_to_num(0.0)}
            )

    @for_each_case()
    def test_finished_heat_maps(self, case: ContractCase, component: Any) -> None:
        """With ``"fixations"`` in ``needs``: NaN on finished heat maps alone; without it, a number there too."""
        needs = self.component.needs
        if "gaze" not in needs:
            return
        inputs = leaves_of(case.inputs, constants=self.constants)
        views = [name for name in inputs if name not in self.constants]
        heat = {view: torch.ones(len(inputs[_LABELS]), _SIZE, _SIZE).tril() for view in views}
        silent = bool(self.values(component, inputs, gaze=Gaze.of_heat_maps(heat)).isnan().all())
        promised = "needs with fixations, where finished heat maps do not serve it, and only there"
        promise(self.component, promised, silent == ("fixations" in needs), sorted(needs))

    @for_each_case()
    def test_nothing_to_say(self, case: ContractCase, component: Any) -> None:
        """NaN, and gradients that stay finite, where no exam has what it needs; a number where exams have it."""
        if not self.component.needs:
            return
        said = self.values(component, leaves_of(case.inputs, constants=self.constants))
        promise(
            self.component,
            "a number for an exam with gaze and masks",
            not bool(said.isnan().all()),
            "NaN for all",
        )
        nothing = leaves_of(case.inputs, constants=self.constants)
        for name in self.constants:
            if name != _LABELS:
                nothing[name] = nothing[name] * torch.nan if name.startswith(_GAZE) else nothing[name] * 0
        values = self.values(component, nothing)
        promise(self.component, "NaN where no exam has what it needs", bool(values.isnan().all()), "numbers")
        if values.requires_grad:
            learnt = [each for each in component.parameters() if each.requires_grad]
            wanted = [nothing[name] for name in nothing if name not in self.constants] + learnt
            total = torch.where(values.isnan(), 0, values).sum()
            gradients = torch.autograd.grad(total, wanted, allow_unused=True)
            finite = all(bool(each.isfinite().all()) for each in gradients if each is not None)
            promise(self.component, "finite gradients where it says nothing", finite, "NaN or infinity")


def _poisoned(values: Tensor) -> Tensor:
    return torch.full_like(values, torch.nan)


def _images(maps: Tensor) -> Tensor:
    return nn.functional.interpolate(maps.detach()[:, :1], (_SIZE, _SIZE))
