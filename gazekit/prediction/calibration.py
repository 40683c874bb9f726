"""Turn a model's logits into probabilities that mean what they say, as fitted on validation exams."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gazekit.modelling.model import probabilities

Method = Literal["temperature", "platt", "isotonic", "none"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted calibration, and the threshold of a call.

    Args:
        method: ``temperature``: ``softmax(z / T)``, or the sigmoid of two classes. ``platt``: of two classes,
            ``sigmoid(z / T + b)``. ``isotonic``: of two classes, a line through the knots. ``none``: the probabilities
            stay.
        temperature: T.
        knots: for ``isotonic``, uncalibrated and calibrated probability of the second class, both rising.
        threshold: the second of two classes is called above this calibrated probability.
        threshold_origin: a sentence on where it comes from; empty for 0.5.
        shift: b.

    Source: temperature, Guo et al. 2017, arXiv:1706.04599; Platt 1999; isotonic, Zadrozny & Elkan 2002,
        doi:10.1145/775047.775151.
    """

    method: Method = "none"
    temperature: float = 1.0
    knots: tuple[tuple[float, float], ...] = ()
    threshold: float = 0.5
    threshold_origin: str = ""
    shift: float = 0.0

    def probabilities(self, logits: Tensor) -> Tensor:
        """Map logits ``[B, K]`` to calibrated probabilities ``[B, classes]``."""
        if self.method == "platt":
            return probabilities(logits / self.temperature + self.shift)
        if self.method != "isotonic":
            return probabilities(logits / self.temperature if self.method == "temperature" else logits)
        stated = probabilities(logits)[:, 1]
        x, y = (stated.new_tensor(values) for values in zip(*self.knots, strict=True))  # [knots] each
        widths, rises = x[1:] - x[:-1], y[1:] - y[:-1]
        inside = (stated[:, None] - x[:-1]).clamp(min=0)
        positive = y[0] + (torch.minimum(inside, widths) * (rises / widths)).sum(dim=1)
        return torch.stack([1 - positive, positive], dim=1)

    def words(self) -> str:
        """Say how probabilities were calibrated: ``temperature 1.72``."""
        return {
            "temperature": f"temperature {self.temperature:.4g}",
            "platt": f"platt scaling with temperature {self.temperature:.4g} and shift {self.shift:+.4g}",
            "isotonic": f"isotonic regression with {len(self.knots)} knots",
            "none": "none",
        }[self.method]


def in_effect(calibration: str, threshold: float, positive: str) -> str:
    """Say how probabilities and calls differ from those of the network alone; empty if they do not.

    Args:
        calibration: `Calibration.words`.
        threshold: above which the positive class is called.
        positive: its name.
    """
    parts = [f"probabilities are calibrated ({calibration})"] if calibration != "none" else []
    if threshold != UNCALIBRATED.threshold:
        parts.append(f"'{positive}' is called above {threshold:.4g}")
    return ", ".join(parts)


UNCALIBRATED = Calibration()
"""Probabilities as the model states them, and calls above 0.5."""
