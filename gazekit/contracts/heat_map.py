"""Render heat maps from fixations on the device, one small matrix product per map."""

import torch
from torch import Tensor

from gazekit.contracts.precision import full_precision

X, Y, ONSET, DURATION, READER, SIGMA_X, SIGMA_Y, SLOT, RECORDING = range(9)
"""Columns of a table of fixations ``[..., F, 9]``; see ``contracts.gaze``."""
COLUMNS = 9
REACH = 3.0
"""Distance in sigmas at which a fixation outside the image still counts as looking at it."""


def render(rows: Tensor, size: tuple[int, int], slots: int) -> Tensor:
    """Render the heat map of each reader of each image, ``[..., slots, H, W]`` in [0, 1].

    ``R = Gy' diag(w) Gx`` with ``Gx[k, j] = exp(-(j + ½ - x_k)² / 2σ_x²)``, ``Gy`` alike and the durations as weights,
    divided by its maximum; zero where a reader did not look at the image.

    Args:
        rows: fixations ``[..., F, 9]``.
        size: (H, W).
        slots: number of readers of an image at most.
    """
    height, width = size
    down = _gaussian(rows[..., Y], rows[..., SIGMA_Y], height)  # [..., F, H]
    across = _gaussian(rows[..., X], rows[..., SIGMA_X], width)  # [..., F, W]
    own = of_slots(rows, slots)  # [..., F, slots]
    looked = (is_looking(rows, size)[..., None] & own).any(dim=-2, keepdim=True)
    weights = rows[..., DURATION, None].nan_to_num(0.0) * (own & looked)
    with full_precision(rows.device):
        maps = [(down * weights[..., slot, None]).mT @ across for slot in range(slots)]
    return normalised(torch.stack(maps, dim=-3))


def of_slots(rows: Tensor, slots: int) -> Tensor:
    """Tell whose fixation each row is, ``[..., F, slots]`` bool."""
    return rows[..., SLOT, None] == torch.arange(slots, device=rows.device, dtype=rows.dtype)


def goes_on(rows: Tensor) -> Tensor:
    """Tell which fixations are of the recording of the one before them, ``[..., F]`` bool; the first is not."""
    reader, recording = (rows[..., column].nan_to_num(-1.0) for column in (SLOT, RECORDING))
    same = torch.zeros_like(reader, dtype=torch.bool)
    same[..., 1:] = (reader[..., 1:] == reader[..., :-1]) & (recording[..., 1:] == recording[..., :-1])
    return same


def is_looking(rows: Tensor, size: tuple[int, int]) -> Tensor:
    """Find the fixations with a duration on an image or within reach of it, ``[..., F]`` bool; NaN is none."""
    height, width = size
    beside = _outside(rows[..., X], rows[..., SIGMA_X], width)
    above = _outside(rows[..., Y], rows[..., SIGMA_Y], height)
    return (torch.hypot(beside, above) <= REACH) & (rows[..., DURATION] > 0)


def normalised(maps: Tensor) -> Tensor:
    """Divide each map by its maximum; one of zeros stays."""
    largest = maps.amax(dim=(-2, -1), keepdim=True)
    return maps / torch.where(largest > 0, largest, 1.0)


def _outside(place: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Measure in sigmas how far a place lies outside ``[0, size]`` along an axis; on the image 0, whatever sigma is."""
    centre = size / 2
    beyond = ((place - centre).abs() - centre).clamp(min=0)
    return torch.where(beyond == 0, 0, beyond / sigma)


def _gaussian(centre: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Evaluate ``exp(-(i + ½ - c)² / 2σ²)`` for every pixel i of an axis, ``[..., F, size]``; zero for NaN."""
    pixels = torch.arange(size, device=centre.device, dtype=centre.dtype) + 0.5
    distance = (pixels - centre[..., None]) / sigma[..., None]
    return torch.exp(-0.5 * distance.square()).nan_to_num(0.0)
