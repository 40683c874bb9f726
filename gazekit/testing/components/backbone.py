"""The contract of backbones."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import Tensor

from gazekit.contracts.types import Extras, Views
from gazekit.testing.cases import for_each_case
from gazekit.testing.export import Exportable, check_exported
from gazekit.testing.module_contract import ModuleContract
from gazekit.testing.promises import EXAMS, ContractCase, check_equal, promise, random_tensor


class BackboneContract(ModuleContract):
    """Stages in a chain, each with the channels that it declares, on a grid that does not grow, and their extras."""

    kind = "backbone"
    inputs_matter = True
    size = 64
    """Height and width of the images it is tried on."""

    def cases(self) -> Iterator[ContractCase]:
        """Images of one and two channels."""
        for channels, exams in ((1, 1), (1, EXAMS), (2, EXAMS)):
            yield ContractCase(
                partial(self.make, channels, (self.size, self.size)),
                {"image": random_tensor(exams, channels, self.size, self.size)},
                f"{exams} images of {channels} channels, {self.size} × {self.size} px",
            )

    def run(self, component: Any, inputs: Views) -> Views:
        """The maps of every stage."""
        maps, stages, channels = inputs["image"], component.stages, component.channels
        extras: Extras = {}
        promise(self.component, "one entry of channels per stage", len(stages) == len(channels), channels)
        found = {}
        for number, (stage, width) in enumerate(zip(stages, channels, strict=True), start=1):
            grid = maps.shape[2:]
            maps, extras = _called(stage, maps, extras)
            expected = f"maps [{len(maps)}, {width}, …] from stage {number}"
            promise(self.component, expected, maps.ndim == 4 and maps.shape[1] == width, list(maps.shape))
            smaller = all(new <= old for new, old in zip(maps.shape[2:], grid, strict=True))
            promise(
                self.component, f"a grid from stage {number} no larger than before", smaller, list(maps.shape)
            )
            found[f"stage {number}"] = maps
            for name, shown in extras.items():
                exams = isinstance(shown, Tensor) and len(shown) == len(maps)
                promise(self.component, f"a tensor {name} with exams first from stage {number}", exams, shown)
                found[f"{name} of stage {number}"] = shown
        return found

    @for_each_case()
    def test_stages_apart(self, case: ContractCase, component: Any) -> None:
        """The same maps where two images take turns at each stage, as the views of one backbone do."""
        straight = self.call(component, case.inputs)
        own, other = case.inputs["image"], case.inputs["image"].flip(3)
        own_extras: Extras = {}
        other_extras: Extras = {}
        for stage in component.stages:
            own, own_extras = _called(stage, own, own_extras)
            other, other_extras = _called(stage, other, other_extras)
        promised = "stages that keep nothing of an image for a later one"
        check_equal(self.component, promised, {f"stage {len(component.stages)}": own}, straight)

    @for_each_case(one=True, costly=True)
    def test_exported(self, case: ContractCase, component: Any) -> None:
        """The same maps and extras from its program exported by torch.export, for any number of exams."""
        check_exported(self.component, Exportable(component, _maps_and_extras), case.inputs["image"])


def _called(stage: Any, maps: Tensor, extras: Extras) -> tuple[Tensor, Extras]:
    """Return the maps and extras of a stage, as the model calls it."""
    result = stage(maps, extras) if getattr(stage, "reads_extras", False) else stage(maps)
    return result if isinstance(result, tuple) else (result, {})


def _maps_and_extras(component: Any, image: Tensor) -> list[Tensor]:
    """Return the last maps, and the extras of every stage."""
    maps, extras, found = image, {}, []  # type: ignore[var-annotated]
    for stage in component.stages:
        maps, extras = _called(stage, maps, extras)
        found += extras.values()
    return [maps, *found]
