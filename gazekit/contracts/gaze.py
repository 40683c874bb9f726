"""The gaze on the images of a batch: fixations of each reader, and heat maps made from them where one asks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gazekit.contracts.precision import full_precision

X, Y, ONSET, DURATION, READER, SIGMA_X, SIGMA_Y, SLOT = range(8)
"""The columns of ``Gaze.fixations``."""
COLUMNS = 8
REACH = 3.0
"""Sigmas within which a fixation outside the image still counts as looking at it."""


@dataclass(frozen=True, slots=True, eq=False)
class Gaze(Mapping[str, Tensor]):
    """Where readers looked on the images of a batch. As a mapping: view → heat map ``[B, H, W]`` in [0, 1].

    Args:
        fixations: per view ``[B, F, 8]``, in the order in which they happened, reader after reader: x and y in pixels
            of the image as the model sees it ((0, 0) is the outer corner of the first pixel), onset and duration in
            ms, the reader as a position in ``readers``, sigma across and down in pixels, and the reader's number
            among those of this image. Unused rows are NaN; an onset or sigma that is not known is NaN, too.
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
        return self.heat_map(view)

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
        """The heat map of each reader, ``[B, slots, H, W]`` in [0, 1]; zero where a reader did not look.

        ``R = Gy' diag(w) Gx`` with ``Gx[k, j] = exp(-(j + ½ - x_k)² / 2σ_x²)``, ``Gy`` alike and the durations as
        weights, divided by its maximum.
        """
        return self._of_view("readers", view)

    def scanpaths(self, view: str, grid: tuple[int, int]) -> Tensor:
        """The fixations with x and y in cells of a grid laid over the image, ``[B, F, 8]``; see ``fixations``.

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
            rows = torch.stack(list(self.fixations.values()))  # [V, B, F, 8]
            if what == "present":
                of_slots = self._of_slots(rows)
                self._made[what] = (self._reaching(rows)[..., None] & of_slots).any(dim=2)  # [V, B, slots]
            elif what == "readers":
                self._made[what] = self._rendered(rows)  # [V, B, slots, H, W]
            else:
                maps = self._made.get("readers")
                maps = self._rendered(rows) if maps is None else maps
                self._made[what] = maps[:, :, 0] if self.slots == 1 else _scaled(maps.sum(dim=2))
        return self._made[what][list(self.fixations).index(view)]

    def _rendered(self, rows: Tensor) -> Tensor:
        """The heat map of each reader on each image, ``[V, B, slots, H, W]``."""
        height, width = self.size
        down = _gaussian(rows[..., Y], rows[..., SIGMA_Y], height)  # [V, B, F, H]
        across = _gaussian(rows[..., X], rows[..., SIGMA_X], width)  # [V, B, F, W]
        reaching = torch.where(self._reaching(rows), rows[..., DURATION], 0)
        weights = reaching[..., None] * self._of_slots(rows)  # [V, B, F, slots]
        with full_precision(rows.device):
            maps = [(down * weights[..., slot, None]).mT @ across for slot in range(self.slots)]
        return _scaled(torch.stack(maps, dim=2))

    def _of_slots(self, rows: Tensor) -> Tensor:
        """Whose fixation each row is, ``[..., F, slots]`` bool."""
        return rows[..., SLOT, None] == torch.arange(self.slots, device=rows.device, dtype=rows.dtype)

    def _reaching(self, rows: Tensor) -> Tensor:
        """Fixations with a duration that lie on the image or within reach of it, ``[..., F]``; NaN does not."""
        height, width = self.size
        beside = _outside(rows[..., X], rows[..., SIGMA_X], width)
        above = _outside(rows[..., Y], rows[..., SIGMA_Y], height)
        return (torch.hypot(beside, above) <= REACH) & (rows[..., DURATION] > 0)


def _outside(place: Tensor, sigma: Tensor, size: int) -> Tensor:
    """How many sigmas a place lies outside ``[0, size]`` along an axis; on the image 0, whatever sigma is."""
    centre = size / 2
    beyond = ((place - centre).abs() - centre).clamp(min=0)
    return torch.where(beyond == 0, 0, beyond / sigma)


def _gaussian(centre: Tensor, sigma: Tensor, size: int) -> Tensor:
    """``exp(-(i + ½ - c)² / 2σ²)`` for every pixel i of an axis, ``[..., F, size]``; zero for NaN."""
    pixels = torch.arange(size, device=centre.device, dtype=centre.dtype) + 0.5
    distance = (pixels - centre[..., None]) / sigma[..., None]
    return torch.exp(-0.5 * distance.square()).nan_to_num(0.0)


def _scaled(maps: Tensor) -> Tensor:
    """Each map divided by its largest value; one of zeros stays."""
    largest = maps.amax(dim=(-2, -1), keepdim=True)
    return maps / torch.where(largest > 0, largest, 1.0)
