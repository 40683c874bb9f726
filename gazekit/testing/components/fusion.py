"""The contract of fusions at any level."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.interfaces import ImageFusion, VectorFusion
from gazekit.contracts.types import Views
from gazekit.modelling.model import gaze_use
from gazekit.testing.cases import for_each_case
from gazekit.testing.module_contract import ModuleContract
from gazekit.testing.promises import (
    EXAMS,
    ContractCase,
    check_equal,
    check_finite,
    check_shapes,
    left_alone,
    promise,
    random_gaze,
    random_tensor,
)

CHANNELS = 6
VIEWS = (("only",), ("front", "side"), ("front", "left", "right"), ("l_front", "l_side", "r_front", "r_side"))
ODD_NAMES = ("1", "the left one", "upper-2", "naïve")


class FusionContract(ModuleContract):
    """Fused images, maps or vectors from one to four views of any name, the fusion's own losses included."""

    kind = "fusion"

    def cases(self) -> Iterator[ContractCase]:
        """Try one to four views."""
        yield self.case(VIEWS[0], exams=1)
        for views in VIEWS:
            yield self.case(views)

    def typical(self) -> ContractCase:
        """Try two views."""
        return self.case(VIEWS[1])

    def case(self, views: Sequence[str], *, exams: int = EXAMS) -> ContractCase:
        """Make a case with these views."""
        grid = self.grid()
        inputs = {view: random_tensor(exams, CHANNELS, *grid, seed=seed) for seed, view in enumerate(views)}
        build = partial(self.make, tuple(views), CHANNELS)
        size = f" on {' × '.join(map(str, grid))}" if grid else ""
        return ContractCase(
            build, inputs, f"views {', '.join(views)}; {exams} exams; {CHANNELS} channels{size}"
        )

    def grid(self) -> tuple[int, ...]:
        """Height and width of the fused maps or images; empty for vectors."""
        if issubclass(self.component, ImageFusion):
            return (16, 12)
        return () if issubclass(self.component, VectorFusion) else (8, 6)

    def run(self, component: Any, inputs: Views) -> Views:
        """Return the fused result and the fusion's own losses."""
        exams, _, *grid = next(iter(inputs.values())).shape
        if isinstance(component, ImageFusion):
            gaze = Gaze.of_heat_maps({view: image[:, 0].sigmoid() for view, image in inputs.items()})
            use = gaze_use(type(component))
            handed = use == "always" or (use == "training" and component.training)
            fused: Views = component(inputs, gaze if handed else None)
            expected = dict.fromkeys(component.views, (exams, component.in_channels, *grid))
            check_shapes(self.component, fused, expected)
            return fused
        if not isinstance(component, VectorFusion):
            shapes = {view: tuple(each.shape) for view, each in inputs.items()}
            fused = component(inputs)
            check_shapes(self.component, fused, shapes)
            return fused
        vector = component(inputs)
        check_shapes(self.component, {"fused": vector}, {"fused": (exams, component.out_features)})
        losses = component.auxiliary_losses(inputs, vector)
        check_shapes(self.component, losses, dict.fromkeys(losses, ()))
        return {"fused": vector, **losses}

    @for_each_case()
    def test_needs_gaze(self, case: ContractCase, component: Any) -> None:
        """Of images: gaze left as it is, and unused against ``needs_gaze``, whatever it holds; finite without gaze."""
        if not isinstance(component, ImageFusion):
            return
        use = gaze_use(type(component))
        maps = {view: image[:, 0].sigmoid() for view, image in case.inputs.items()}
        poisoned = Gaze.of_heat_maps({view: torch.full_like(heat, torch.nan) for view, heat in maps.items()})
        if use == "never":
            promised = "the same results whatever gaze holds"
            size = next(iter(maps.values())).shape[1:]
            fixations = random_gaze(tuple(maps), min(size), exams=case.exams).fixations
            without = component(case.inputs, None)
            for gaze in (poisoned, Gaze(fixations, (size[0], size[1]))):  # a component may pass over NaN
                check_equal(self.component, promised, without, component(case.inputs, gaze))
        elif case.exams > 1:  # batch norm trains on several
            component.train()
            heat_maps = {f"heat map of {view}": heat for view, heat in maps.items()}
            with left_alone(self.component, "heat maps, which terms of the loss read,", heat_maps):
                component(case.inputs, Gaze.of_heat_maps(maps))
            if use == "training":
                nobody = Gaze.of_heat_maps({view: torch.zeros_like(heat) for view, heat in maps.items()})
                check_finite(self.component, "for exams without gaze finite ", component(case.inputs, nobody))

    @for_each_case()
    def test_view_names(self, case: ContractCase, component: Any) -> None:
        """The same results whatever the views are called: by odd names, and by their own in the other order."""
        expected = numbered(self.call(component, case.inputs))
        for names in (ODD_NAMES[: len(case.inputs)], tuple(reversed(case.inputs))):
            other = self.case(names, exams=case.exams)  # the same tensors
            torch.manual_seed(0)
            try:
                renamed = other.build().eval()
            except (KeyError, TypeError, ValueError) as error:
                promise(self.component, f"to accept any view names, e.g. {list(names)}", False, error)
            came = numbered(self.call(renamed, other.inputs))
            promised = f"the same results whatever the views are called, e.g. {list(names)}"
            check_equal(self.component, promised, expected, came)


def numbered(results: Views) -> Views:
    """Rename results by their position."""
    return {str(number): each for number, each in enumerate(results.values())}
