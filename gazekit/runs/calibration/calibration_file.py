"""Keep the calibration of a run, with the weights that it was fitted for."""

import hashlib
import itertools
import os
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import pydantic
import torch
from pydantic import Field
from torch import Tensor

from gazekit.disk.own_files import MIB, FileKind, read_model
from gazekit.prediction.calibration import Calibration, Method
from gazekit.runs.directory import RunDirectory
from gazekit.runs.files import Real, StoredPart, Text, Whole

SCHEMA: Final = "gazekit.calibration/1"
NAME = "calibration.json"
_KIND = FileKind("the calibration of a run", 4 * MIB, "fit it again with gazekit calibrate")


class StoredCalibration(StoredPart):
    """``calibration.json``: the calibration, the exams it was fitted on, and how well it does on them."""

    schema_: Annotated[Literal["gazekit.calibration/1"], Field(alias="schema")] = SCHEMA
    method: Method
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    shift: Real = 0.0
    knots: Annotated[
        list[Annotated[list[Real], Field(min_length=2, max_length=2)]], Field(max_length=100_000)
    ] = []
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    threshold_origin: Text = ""
    weights: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    epoch: Whole
    exams: Whole
    patients: Whole
    before: dict[str, Real] = {}
    after: dict[str, Real] = {}

    @property
    def calibration(self) -> Calibration:
        """The calibration itself."""
        return Calibration(
            self.method,
            self.temperature,
            tuple((stated, observed) for stated, observed in self.knots),
            self.threshold,
            self.threshold_origin,
            self.shift,
        )

    @pydantic.model_validator(mode="after")
    def _check_knots(self) -> "StoredCalibration":
        places = [place for place, _ in self.knots]
        rising = all(a < b for a, b in itertools.pairwise(places))
        if self.method == "isotonic" and not (len(places) > 1 and rising and self._are_shares()):
            raise ValueError("expected two knots or more, with rising places and shares from 0 to 1")
        return self

    def _are_shares(self) -> bool:
        return all(0 <= observed <= 1 for _, observed in self.knots)


def read_calibration(run: RunDirectory) -> StoredCalibration | None:
    """Read the calibration of a run; None if it has none. Raises DataError: it is damaged."""
    path = run.path / NAME
    if not os.path.lexists(path):
        return None
    found: StoredCalibration = read_model(path, _KIND, StoredCalibration)
    return found


def checksum(weights: Mapping[str, Tensor]) -> str:
    """Identify the weights of a model by their values."""
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(name.encode())
        total.update(weights[name].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()[:16]
