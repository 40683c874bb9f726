"""Time a whole training of Mammo-Net: seconds for all epochs, their breakdown, and device utilisation.

    python benchmarks/training.py --size 224 --exams 80 --epochs 300 --device cuda --set training.amp=bf16

The exams are noise, with a quarter as many to validate. It is an ordinary run with checkpoints, in a temporary folder.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from evidence import arguments, publish
from systems import preset_of
from torch.profiler import ProfilerActivity, profile

import gazekit
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.fixation_table import FixationTable
from gazekit.prepared.settings import PreparationSettings
from gazekit.presets.preset import Preset
from gazekit.training.loop import State
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, start_run

WARM_UP, WATCHED = 5, 4
"""Epochs before the device is profiled, and number of profiled epochs."""


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--exams", type=int, default=80)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the preset")
    parser.add_argument("--name", default="training", help="of the JSON file")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    dataset = noise(asked.exams, asked.size)
    preset = preset_of("all (Mammo-Net)", f"training.epochs={asked.epochs}", *asked.set)
    ends: list[float] = []
    seconds = run(preset, dataset, asked.device, lambda _: ends.append(time.perf_counter()))
    epochs = np.diff(ends)[WARM_UP:]
    row = {
        "name": f"{asked.exams} exams, {asked.size} px, {asked.epochs} epochs",
        "n": 1,
        "wall": seconds,
        "epoch_median": float(np.median(epochs)) if len(epochs) else None,
        "epoch_spread": float(np.subtract(*np.percentile(epochs, [75, 25]))) if len(epochs) else None,
        "busy": busy(preset, dataset) if asked.device == "cuda" else None,
        "peak_MB": round(torch.cuda.max_memory_allocated() / 1e6) if asked.device == "cuda" else None,
    }
    publish(
        f"{asked.name}_{asked.size}px" + ("" if asked.device == "cpu" else f"_{asked.device}"),
        asked.device,
        [row],
        asked.out,
        set=asked.set,
        batch=preset.training.batch_size,
    )


def run(preset: Preset, dataset: PreparedDataset, device: str, ended: Callable[[State], None]) -> float:
    """Train and return the seconds from the first step on, including checkpoints and validation."""
    registry = gazekit.load_registry()
    split = {exam: "val" if number % 5 == 4 else "train" for number, exam in enumerate(dataset.exam_ids)}
    with tempfile.TemporaryDirectory() as folder:
        settings = StartSettings(seed=0, device=torch.device(device))
        started = start_run(Path(folder) / "run", preset, registry, dataset, split, settings)
        begin = time.perf_counter()
        continue_run(
            started, registry, dataset, report=lambda state, _: ended(state) if state.batch == 0 else None
        )
        return time.perf_counter() - begin


def busy(preset: Preset, dataset: PreparedDataset) -> float | None:
    """Return the share of some epochs' time, including checkpoints, in which a kernel or copy ran on the device."""
    few = replace_epochs(preset, WARM_UP + WATCHED)
    watch = profile(activities=[ProfilerActivity.CUDA])
    times: list[float] = []

    def look(state: State) -> None:
        if state.epoch == WARM_UP:
            torch.cuda.synchronize()
            watch.start()
            times.append(time.perf_counter())
        elif state.epoch == WARM_UP + WATCHED:
            torch.cuda.synchronize()
            times.append(time.perf_counter())
            watch.stop()

    run(few, dataset, "cuda", look)
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in watch.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    )
    covered, until = 0.0, -np.inf
    for start, end in spans:
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered / 1e6 / (times[1] - times[0]) if spans else None


def replace_epochs(preset: Preset, epochs: int) -> Preset:
    training = preset.training.model_copy(update={"epochs": epochs})
    return preset.model_copy(update={"training": training})


def noise(training: int, size: int) -> PreparedDataset:
    """Make exams of random pixels, four in five for training."""
    random, views = np.random.default_rng(0), ("cc", "mlo")
    count = training * 5 // 4
    shape = (count, len(views), size, size)
    flags = np.ones(shape[:2], dtype=bool)
    dataset = PreparedDataset(
        root=Path(),
        settings=PreparationSettings(views, (size, size)),
        classes=("benign", "malignant"),
        images=random.integers(0, 256, shape, dtype=np.uint8),
        masks=np.zeros(shape, dtype=np.uint8),
        has_gaze=flags,
        has_mask=~flags,
        has_image=flags,
        labels=np.arange(count) // 2 % 2,
        exam_ids=tuple(f"exam-{number}" for number in range(count)),
        patient_ids=tuple(f"patient-{number}" for number in range(count)),
        parts=None,
        datasets=("",) * count,
        fingerprint=hashlib.sha256(b"noise").hexdigest(),
    )
    fixations = 40 * count * len(views)
    place = np.arange(fixations) // 40
    numbers = random.random((3, fixations))
    sigma = np.full(fixations, size / 27)
    dataset.__dict__["fixation_table"] = FixationTable(
        ("reader",),
        *(place // len(views), place % len(views), np.zeros(fixations, dtype=np.int64)),
        *(
            numbers[0] * size,
            numbers[1] * size,
            np.full(fixations, np.nan),
            100 + 400 * numbers[2],
            sigma,
            sigma,
            np.ones(fixations, dtype=np.int64),
        ),
    )
    return dataset


if __name__ == "__main__":
    main()
