"""The exams of a part of a data set, held on a GPU if they fit there."""

import json
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from gazekit.errors import ConfigurationError, DataError
from gazekit.feeding.batches import Exams, ResidentExams, StoredLayer
from gazekit.feeding.stored_gaze import stored_gaze
from gazekit.feeding.streamed import StreamedExams, read_pixels
from gazekit.prepared.dataset import PreparedDataset
from gazekit.presets.preset import Preset

_SHARE = 0.5
"""Of the free memory that exams may take."""


def prepared_exams(
    dataset: PreparedDataset,
    indices: NDArray[np.int64],
    preset: Preset,
    device: torch.device,
    *,
    with_gaze: bool,
    with_masks: bool = False,
    needs_gaze: bool = False,
    hold: bool | Literal["auto"] = "auto",
) -> Exams:
    """Some exams of a prepared data set, with their gaze if asked for, or needed at inference.

    Args:
        dataset, indices: the exams.
        preset: names the views, and says whose gaze is read how.
        device: where batches go.
        with_gaze, needs_gaze: whether gaze is read, and whether every exam must have some.
        with_masks: whether lesion masks are read.
        hold: all on the device; ``"auto"``: on a GPU, if they take at most half of its free memory; never on a CPU,
            where the system caches the files already.

    Raises:
        ConfigurationError: the data lack a view of the preset, or a reader.
        DataError: an exam lacks gaze that is needed.
    """
    check_views(dataset, preset)
    if needs_gaze:
        check_gaze_of_all(dataset, indices, preset)
    with_gaze = with_gaze or needs_gaze
    columns = [dataset.views.index(view) for view in preset.views]
    layers: list[StoredLayer] = ["image"] * dataset.settings.channels
    layers += ["heat_map"] if with_gaze and dataset.layers is not None else []
    layers += ["mask"] if with_masks else []
    gaze = stored_gaze(dataset, indices, preset, device) if with_gaze else None
    streamed = StreamedExams(dataset, columns, preset, device, indices=indices, layers=layers, gaze=gaze)
    if not (_fits(streamed, device) if hold == "auto" else hold):
        return streamed
    pixels = np.empty((len(indices), *streamed.shape), streamed.dtype)
    read_pixels(dataset, indices, columns, layers, pixels)
    facts = streamed.facts
    return ResidentExams(pixels, preset, device, indices=indices, facts=facts, layers=layers, gaze=gaze)


def _fits(exams: Exams, device: torch.device) -> bool:
    if device.type == "cuda":
        return exams.nbytes <= _SHARE * torch.cuda.mem_get_info(device)[0]
    return device.type != "cpu"  # of others nothing says what is free


def check_views(dataset: PreparedDataset, preset: Preset) -> None:
    """Raise ConfigurationError if the data lack a view of the preset."""
    missing = [view for view in preset.views if view not in dataset.views]
    if missing:
        raise ConfigurationError(
            f"{dataset.root}: no view '{missing[0]}', which preset '{preset.name}' reads; the data have "
            f"{', '.join(dataset.views)}: choose with "
            f"--set 'views={json.dumps(dataset.views, ensure_ascii=False)}'"
        )


def check_gaze_of_all(dataset: PreparedDataset, indices: NDArray[np.int64], preset: Preset) -> None:
    """Raise DataError if an exam lacks gaze, or loses all of it, on a view; for models that read gaze at inference."""
    columns = [dataset.views.index(view) for view in preset.views]
    without = np.argwhere(~dataset.has_gaze[indices][:, columns])  # [n, (exam, view)]
    if len(without):
        exam, view = without[0]
        raise DataError(
            f"{dataset.root}: exam {dataset.exam_ids[indices[exam]]} has no gaze on view '{preset.views[view]}' (and "
            f"{len(np.unique(without[:, 0]))} exams in all), which preset '{preset.name}' reads at inference too; "
            "leave such exams out of the data"
        )
    if preset.gaze is None:
        return
    looked = dataset.fixation_table
    had = np.zeros(dataset.has_gaze.shape, dtype=np.bool_)
    had[looked.exam, looked.view] = True
    left = stored_gaze(dataset, indices, preset, torch.device("cpu")).number.numpy() > 0
    lost = np.argwhere(had[indices][:, columns] & ~left)
    if len(lost):
        exam, view = lost[0]
        raise DataError(
            f"{dataset.root}: the table gaze of preset '{preset.name}' leaves exam {dataset.exam_ids[indices[exam]]} "
            f"no fixation on view '{preset.views[view]}' (and {len(np.unique(lost[:, 0]))} exams in all), and it reads "
            "gaze at inference too; look at gaze.readers, gaze.window_ms and gaze.minimum_duration_ms"
        )
