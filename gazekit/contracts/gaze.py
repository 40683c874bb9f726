"""The gaze on the images of a batch: the fixations of each reader, and heat maps rendered from them on request."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gazekit.contracts.heat_map import COLUMNS, X, Y, is_looking, normalised, of_slots, render


@dataclass(frozen=True, slots=True, eq=False)
class Gaze(Mapping[str, Tensor]):
    """Where readers looked on the images of a batch. As a mapping: view → heat map ``[B, H, W]`` in [0, 1].

    Args:
        fixations: per view ``[B, F, 9]``, in the order in which they happened, reader after reader: x and y in pixels
            of the image as the model sees it ((0, 0) is the outer corner of the first pixel), onset and duration in
            ms, the reader as a position in ``readers``, sigma across and down in pixels, the reader's number
            among those of this image, and the recording's among those of the reader on it. Unused rows are NaN; an
            onset or sigma that is not known is NaN, too.
        size: height and width of the images in pixels.
        readers: their names.
        slots: the most readers that an image of the data has.
        layers: per view ``[B, H, W]`` in [0, 1], a finished heat map where the data have that and no fixations, zero
            elsewhere; empty where no exam of the data has one.
    """

    fixations: dict[str, Tensor]
    size: tuple[int, int]
    readers: tuple[str, ...] = ("1",)
    slots: int = 1
    layers: dict[str, Tensor] = field(default_factory=dict)
    _made: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of_heat_maps(cls, heat_maps: Mapping[str, Tensor]) -> "Gaze":
        """Gaze that is known as finished heat maps ``[B, H, W]`` only; a map of zeros is an exam without gaze."""
        nowhere = {view: maps.new_empty(len(maps), 0, COLUMNS) for view, maps in heat_maps.items()}
        height, width = next(iter(heat_maps.values())).shape[1:]
        return cls(nowhere, (height, width), layers=dict(heat_maps))

    def __getitem__(self, view: str) -> Tensor:
        if view not in self.fixations:
            raise KeyError(view)
        return self.heat_map(view)

    def __contains__(self, view: object) -> bool:
        return view in self.fixations  # Mapping's own would render the heat map

    def __iter__(self) -> Iterator[str]:
        return iter(self.fixations)

    def __len__(self) -> int:
        return len(self.fixations)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Gaze":
        """The gaze with a function applied to each tensor: a slice of exams, a copy, another device."""
        made = (
            {view: function(each) for view, each in part.items()} for part in (self.fixations, self.layers)
        )
        fixations, layers = made
        return Gaze(fixations, self.size, self.readers, self.slots, layers)

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor."""
        yield from self.fixations.values()
        yield from self.layers.values()

    def present(self, view: str) -> Tensor:
        """Which exams have gaze on the image, ``[B]`` bool: a fixation on it or within 3 sigma, or a finished map."""
        if not self._longest:
            return self.heat_map(view).amax(dim=(1, 2)) > 0
        found = self.present_readers(view).any(dim=1)
        return found | (self.layers[view].amax(dim=(1, 2)) > 0) if view in self.layers else found

    def present_readers(self, view: str) -> Tensor:
        """Which readers of an exam looked at the image, ``[B, slots]`` bool."""
        return self._of_view("present", view)

    def heat_map(self, view: str) -> Tensor:
        """The mean of the readers' heat maps, scaled to a maximum of 1, ``[B, H, W]``; zero where there is no gaze.

        A finished heat map stands in where an exam has no fixations with a sigma.
        """
        if not self._longest and view in self.layers:
            return self.layers[view]
        heat = self._of_view("mean", view)
        if view in self.layers:
            alone = heat.amax(dim=(1, 2), keepdim=True) == 0
            heat = torch.where(alone, self.layers[view], heat)
        return heat

    def heat_maps(self, view: str) -> Tensor:
        """The heat map of each reader, ``[B, slots, H, W]`` in [0, 1]; zero where a reader did not look."""
        return self._of_view("readers", view)

    def scanpaths(self, view: str, grid: tuple[int, int]) -> Tensor:
        """The fixations with x and y in cells of a grid laid over the image, ``[B, F, 9]``; see ``fixations``.

        Args:
            view: of the image.
            grid: rows and columns, such as an attention map ``[h, w]`` has.
        """
        rows, (height, width) = self.fixations[view].clone(), self.size
        rows[:, :, X] *= grid[1] / width
        rows[:, :, Y] *= grid[0] / height
        return rows

    @property
    def _longest(self) -> int:
        """F."""
        return next(iter(self.fixations.values())).shape[1]

    def _of_view(self, what: str, view: str) -> Tensor:
        """One of the tensors made from fixations: of all views at once, when one is first asked for."""
        if what not in self._made:
            rows = torch.stack(list(self.fixations.values()))  # [V, B, F, 9]
            if what == "present":
                looking = is_looking(rows, self.size)[..., None] & of_slots(rows, self.slots)
                self._made[what] = looking.any(dim=2)  # [V, B, slots]
            elif what == "readers":
                self._made[what] = render(rows, self.size, self.slots)  # [V, B, slots, H, W]
            else:
                maps = self._made.get("readers")
                maps = render(rows, self.size, self.slots) if maps is None else maps
                self._made[what] = maps[:, :, 0] if self.slots == 1 else normalised(maps.sum(dim=2))
        return self._made[what][list(self.fixations).index(view)]
