"""The contract of poolings."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from gazekit.contracts.types import Extras, Views
from gazekit.testing.cases import for_each_case
from gazekit.testing.components.fusion import CHANNELS
from gazekit.testing.export import Exportable, check_exported
from gazekit.testing.module_contract import ModuleContract
from gazekit.testing.promises import EXAMS, ContractCase, check_equal, check_shapes, random_tensor


class PoolingContract(ModuleContract):
    """A vector per exam from maps of any size, and from a class token beside them."""

    kind = "pooling"
    inputs_matter = True

    def cases(self) -> Iterator[ContractCase]:
        """Try a single place, and grids of several."""
        for exams, grid in ((1, (5, 4)), (EXAMS, (5, 4)), (EXAMS, (1, 1))):
            maps = random_tensor(exams, CHANNELS, *grid)
            label = f"{exams} maps of {CHANNELS} channels, {grid[0]} × {grid[1]}"
            yield ContractCase(partial(self.make, CHANNELS), {"maps": maps}, label)

    def run(self, component: Any, inputs: Views) -> Views:
        """Return the vectors of maps, beside which a class token is shown."""
        maps = inputs["maps"]
        return self._pool(component, maps, {"class_token": _token(maps)})

    def _pool(self, component: Any, maps: torch.Tensor, extras: Extras) -> Views:
        pooled = {"pooled": component(maps, extras)}
        check_shapes(self.component, pooled, {"pooled": tuple(maps.shape[:2])})
        return pooled

    @for_each_case()
    def test_is_mean(self, case: ContractCase, component: Any) -> None:
        """The mean over space, if ``is_mean`` says so."""
        if not self.component.is_mean:
            return
        expected = {"pooled": case.inputs["maps"].mean(dim=(2, 3))}
        promised = "the mean over space, because is_mean = True"
        check_equal(self.component, promised, expected, self.run(component, case.inputs))

    @for_each_case()
    def test_other_extras(self, case: ContractCase, component: Any) -> None:
        """The same results whatever else a stage shows."""
        maps, promised = case.inputs["maps"], "the same results whatever else a stage shows"
        came = self._pool(component, maps, {"class_token": _token(maps), "of_another": maps})
        check_equal(self.component, promised, self.run(component, case.inputs), came)

    @for_each_case(one=True, costly=True)
    def test_exported(self, case: ContractCase, component: Any) -> None:
        """The same vectors from its program exported by torch.export, for any number of exams."""
        check_exported(self.component, Exportable(component, _vectors), case.inputs["maps"])


def _vectors(component: Any, maps: torch.Tensor) -> list[torch.Tensor]:
    return [component(maps, {"class_token": _token(maps)})]


def _token(maps: torch.Tensor) -> torch.Tensor:
    """Make a class token ``[B, C]`` of its maps, so that the gradient of either is one of the maps."""
    return maps[:, :, 0, 0] - 2 * maps.sum(dim=(2, 3))
