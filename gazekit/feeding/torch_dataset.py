"""A prepared data set as a ``torch.utils.data.Dataset``, for training loops of one's own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.arrays import Array, in_unit_range


class ExamDataset(Dataset[dict[str, Any]]):
    """Exams as dictionaries that torch's ``DataLoader`` puts together into batches.

    An item has ``images`` and ``gaze`` (view → float32 ``[1, H, W]``, in colour ``[3, H, W]``, and ``[H, W]`` in
    [0, 1]), ``has_gaze`` (view → bool; gaze is zero where it is false), ``label`` (position in ``prepared.classes``)
    and ``exam_id``.

    Args:
        prepared: the data set.
        exams: positions of the exams to take, such as ``gazekit.prepared.splits.indices_of`` gives; None takes all.

    Example:
        >>> loader = torch.utils.data.DataLoader(ExamDataset(prepared), batch_size=8)  # doctest: +SKIP
    """

    def __init__(
        self, prepared: PreparedDataset, exams: Sequence[int] | NDArray[np.int64] | None = None
    ) -> None:
        self.prepared = prepared
        self.exams = range(len(prepared)) if exams is None else [int(exam) for exam in exams]

    def __len__(self) -> int:
        return len(self.exams)

    def __getitem__(self, position: int) -> dict[str, Any]:
        exam, prepared = self.exams[position], self.prepared
        views = list(enumerate(prepared.views))
        return {
            "images": {
                view: _tensor(prepared.images[exam, column]).view(-1, *prepared.size)
                for column, view in views
            },
            "gaze": {view: torch.from_numpy(prepared.heat_map(exam, view)) for column, view in views},
            "has_gaze": {view: bool(prepared.has_gaze[exam, column]) for column, view in views},
            "label": int(prepared.labels[exam]),
            "exam_id": prepared.exam_ids[exam],
        }


def _tensor(stored: Array) -> Tensor:
    return torch.from_numpy(in_unit_range(stored))
