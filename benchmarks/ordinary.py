"""Time gazekit beside the scripts that people would write instead: the same training, in turns.

    python benchmarks/ordinary.py --exams 60 --size 224 --turns 5
    python benchmarks/ordinary.py --exams 15 --size 64 --turns 1 --starts 1    # a quick try

- typical: ``ordinary_typical.py`` (DataLoader on 16-bit PNG, torchvision v2, Grad-CAM by hooks and a second backward
  pass), and the same with the gradient of the last features alone, which such scripts also use;
- careful: ``ordinary_careful.py`` (cached arrays, batched augmentation, one graph, channels last; on CUDA bf16 and
  ``torch.compile``);
- gazekit: the preset ``ga_net`` with Grad-CAM, an ordinary run with its checkpoints; on CUDA bf16.

On CUDA the typical script computes in float32, as such scripts do: its time is not that of the same arithmetic.

All have two ResNet-18 branches, the losses, augmentation, optimiser and batch size of that preset, validate after each
epoch and keep the weights with the least validation loss. Each is a process. First each starts alone, trains an epoch
and ends, several times: the seconds from its start to the end of its first step, and its peak memory. Then all start,
train an epoch to warm up, and take turns, an epoch a turn. An epoch counts its validation and whatever it writes.
"""

import argparse
import csv
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tokenize
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import ordinary_careful as careful
import ordinary_typical as typical
import torch
from evidence import Timed, arguments, middle, publish, rows
from ordinary_process import NAMES, PRESET, SET
from PIL import Image

from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.index import FIXATIONS

PROCESS = Path(__file__).parent / "ordinary_process.py"
BETWEEN_LOOKS = 0.2
"""Seconds between two looks at the memory of a training."""

SHARED_LOSSES = (typical.mse, typical.pyramid, typical.positive_part, typical.alignment)
PARTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "typical": {
        "data and augmentation": (typical.ExamFiles, typical.read, typical.augmentation),
        "network and attention map": (typical.TwoViews, typical.GradCAM),
        "losses": (*SHARED_LOSSES, typical.batch_loss),
        "training": (typical.Settings, typical.train, typical.validate),
    },
    "careful": {
        "data and augmentation": (careful.CachedExams, careful.loader_of, careful.augmented),
        "network and attention map": (careful.TwoViews, careful.grad_cam),
        "losses": (*SHARED_LOSSES, careful.batch_loss),
        "training": (careful.Settings, careful.train, careful.validate),
    },
}
"""Parts of the scripts, and the code in each."""
COMMANDS = (
    "gazekit data prepare phantom RAW PREPARED --size 224 --dtype uint16",
    " ".join(
        ["gazekit train --preset", PRESET, *(f"--set {each}" for each in SET), "--data PREPARED --out RUN"]
    ),
)
"""The same, with gazekit."""


def main() -> None:
    asked = parser().parse_args()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as folder:
        asked.files = Path(folder)
        if asked.prepared is None:
            asked.prepared = draw(asked.files, asked.exams, asked.size)
        dataset = PreparedDataset.open(asked.prepared)
        parts = parts_of(dataset)
        write_files(dataset, parts, asked.files / "png")
        write_arrays(dataset, parts, asked.files / "arrays")
        (asked.files / "parts.json").write_text(json.dumps(parts))
        started: dict[str, list[Start]] = {name: [] for name in asked.only or NAMES}
        for _ in range(asked.starts):
            for name, starts in started.items():
                starts.append(start_alone(name, asked))
        timed = take_turns_in_processes(list(started), asked)
        training = sum(part == "train" for part in parts.values())
        disk = sizes(dataset, asked.files)
    reference = "gazekit" if "gazekit" in timed else next(iter(timed))
    table = rows(timed, reference)
    for row in table:
        row.update(facts_of(row, started[row["name"]], training))
        row.update(disk[script_of(row["name"])])
    publish(
        f"ordinary_{dataset.size[0]}px"
        + ("" if asked.device == "cpu" else f"_{asked.device}")
        + asked.suffix,
        asked.device,
        table,
        asked.out,
        exams=f"{training} to train on, {len(parts) - training} to validate on, {len(dataset.views)} views",
        batch=asked.batch,
        loss=asked.loss,
        workers=asked.workers,
        load=f"{asked.note or 'not noted'}; load average at the end {os.getloadavg()[2]:.1f}",
        lines=lines_of_parts(),
    )


def parser() -> argparse.ArgumentParser:
    found = arguments(__doc__.splitlines()[0])
    found.add_argument("prepared", nargs="?", type=Path, help="prepared set; default: a phantom is drawn")
    found.add_argument("--exams", type=int, default=60, help="of the phantom")
    found.add_argument("--size", type=int, default=224, help="of its images, px")
    found.add_argument("--batch", type=int, default=8)
    found.add_argument("--loss", choices=("mse", "pyramid"), default="mse")
    found.add_argument("--workers", type=int, default=2, help="of the ordinary scripts' DataLoader")
    found.add_argument("--turns", type=int, default=5, help="epochs of each")
    found.add_argument("--starts", type=int, default=2, help="of each alone")
    found.add_argument("--only", action="append", choices=NAMES, help="default: all")
    found.add_argument("--note", default="", help="on the machine's load, for the JSON file")
    found.add_argument("--suffix", default="", help="of the JSON file's name")
    return found


# Measuring


class Start:
    """A training in a process that waits for a word before each epoch but the first.

    Args:
        name: of the system.
        asked: the options of this script.
    """

    def __init__(self, name: str, asked: argparse.Namespace) -> None:
        command = [sys.executable, PROCESS, name, "--prepared", asked.prepared, "--files", asked.files]
        for option in ("batch", "loss", "workers", "device", "threads"):
            command += [f"--{option}", getattr(asked, option)]
        command += ["--began", time.time()]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([str(each) for each in command], **pipes)
        with watched(self.process.pid) as peak:
            self.first_step = self.told("first_step")
            self.told("epoch")
        self.peak = peak[0]
        print(f"{name}: first step after {self.first_step:.1f} s", flush=True)

    def told(self, word: str) -> float:
        """Wait for a number, of which the training says a line of JSON."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{") and word in (said := json.loads(line)):
                self.said = said
                return float(said[word])
        raise SystemExit(f"a training ended with code {self.process.wait()}; its message is above")

    def epoch(self) -> tuple[float, float]:
        """Let it train an epoch; its seconds, and those of processors in it and its workers."""
        assert self.process.stdin is not None
        before = processor_seconds(self.process.pid)
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        seconds = self.told("epoch")
        return seconds, processor_seconds(self.process.pid) - before

    @property
    def peak_on_gpu(self) -> int | None:
        """Bytes of its tensors on the GPU at the most, so far."""
        return self.said.get("peak_on_gpu")

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def start_alone(name: str, asked: argparse.Namespace) -> Start:
    started = Start(name, asked)
    started.end()
    return started


def take_turns_in_processes(names: list[str], asked: argparse.Namespace) -> dict[str, Timed]:
    """Time an epoch of each per turn, in order, so that other load on the machine affects all alike."""
    trainings = {name: Start(name, asked) for name in names}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(asked.turns):
        for name, training in trainings.items():
            found[name].append(training.epoch())
            print(f"{name}: an epoch in {found[name][-1][0]:.1f} s", flush=True)
    for training in trainings.values():
        training.end()
    timed = {}
    for name, epochs in found.items():
        wall, cpu = (list(numbers) for numbers in zip(*epochs, strict=True))
        timed[name] = Timed(asked.turns, *middle(wall), *middle(cpu))
    return timed


def facts_of(row: Mapping[str, Any], starts: list[Start], training: int) -> dict[str, Any]:
    """What a row says of a system besides the seconds of an epoch."""
    first_step, spread = middle([start.first_step for start in starts])
    on_gpu = starts[-1].peak_on_gpu
    parts = PARTS.get(script_of(row["name"]))
    return {
        "exams_per_s": training / row["wall"],
        "n_starts": len(starts),
        "first_step": first_step,
        "first_step_spread": spread,
        "peak_MB": round(max(start.peak for start in starts) / 1e6),
        "peak_on_gpu_MB": None if on_gpu is None else round(on_gpu / 1e6),
        "lines": len(COMMANDS) if parts is None else sum(lines_of_parts()[script_of(row["name"])].values()),
    }


def script_of(name: str) -> str:
    return name.partition(",")[0]


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """Look at the memory of a process and its workers within the block; the list holds the peak, in bytes."""
    peak, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(BETWEEN_LOOKS):
            peak[0] = max(peak[0], memory_of(pid))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def memory_of(pid: int) -> int:
    """Resident bytes of a process, and those of its workers that they do not share with it."""
    total = _kilobytes(pid, ("Rss",))
    for worker in workers_of(pid):
        total += _kilobytes(worker, ("Private_Clean", "Private_Dirty"))
    return 1024 * total


def _kilobytes(pid: int, names: tuple[str, ...]) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.partition(":")[0] in names)


def workers_of(pid: int) -> list[int]:
    """The processes below a process."""
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [each for child in children for each in (child, *workers_of(child))]


def processor_seconds(pid: int) -> float:
    """Seconds of processors in a process, in the workers it has and in those it had."""
    ticks = 0
    for each in (pid, *workers_of(pid)):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])  # own and of ended children, user and system
    return ticks / os.sysconf("SC_CLK_TCK")


def lines_of_parts() -> dict[str, dict[str, int]]:
    """Lines of code of each part of the scripts, and the commands that stand for them."""
    found = {
        script: {part: sum(map(lines_of, things)) for part, things in parts.items()}
        for script, parts in PARTS.items()
    }
    return found | {"gazekit": {"commands": len(COMMANDS)}}


def lines_of(thing: Any) -> int:
    """Lines with code: no blank ones, comments or docstrings."""
    source = inspect.getsource(thing)
    kept: set[int] = set()
    begins_statement = True
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            begins_statement = True
        elif token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER):
            if not (begins_statement and token.type == tokenize.STRING):
                kept.update(range(token.start[0], token.end[0] + 1))
            begins_statement = False
    return len(kept)


# Data


def draw(folder: Path, exams: int, size: int) -> Path:
    """Draw a phantom and prepare it, with 16 bits a pixel as the PNG files have."""
    raw, prepared = folder / "raw", folder / "prepared"
    command = (sys.executable, "-m", "gazekit", "data")
    height = str(-(-size * 8 // 7))
    options = ("--exams", str(exams), "--seed", "0", "--image-height", height)
    subprocess.run((*command, "phantom", raw, *options), check=True, stdout=subprocess.DEVNULL)
    into = ("--size", str(size), "--dtype", "uint16")
    subprocess.run(
        (*command, "prepare", "phantom", raw, prepared, *into), check=True, stdout=subprocess.DEVNULL
    )
    shutil.rmtree(raw)
    return prepared


def parts_of(dataset: PreparedDataset) -> dict[str, str]:
    """Every fifth patient is for validation."""
    patients = {name: number for number, name in enumerate(dict.fromkeys(dataset.patient_ids))}
    parts = ("val" if patients[patient] % 5 == 4 else "train" for patient in dataset.patient_ids)
    return dict(zip(dataset.exam_ids, parts, strict=True))


def write_files(dataset: PreparedDataset, parts: Mapping[str, str], folder: Path) -> None:
    """Write images and heat maps as 16-bit PNG files, and the table of exams."""
    folder.mkdir()
    full = np.iinfo(dataset.images.dtype).max
    found = []
    for number, exam in enumerate(dataset.exam_ids):
        row = {"exam_id": exam, "part": parts[exam], "label": str(dataset.labels[number])}
        for column, view in enumerate(dataset.views):
            row |= {view: f"{exam}_{view}.png", f"{view}_gaze": ""}
            write_png(folder / row[view], dataset.images[number, column] / full)
            if dataset.has_gaze[number, column]:
                row[f"{view}_gaze"] = f"{exam}_{view}_gaze.png"
                write_png(folder / row[f"{view}_gaze"], dataset.heat_map(number, view))
        found.append(row)
    with (folder / "exams.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(found[0]))
        writer.writeheader()
        writer.writerows(found)


def write_png(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    Image.fromarray(np.rint(pixels * 65535).astype(np.uint16)).save(path)


def write_arrays(dataset: PreparedDataset, parts: Mapping[str, str], folder: Path) -> None:
    """Write images and heat maps as arrays of one type, and labels and parts beside them."""
    folder.mkdir()
    full = np.iinfo(dataset.images.dtype).max
    np.save(folder / "images.npy", dataset.images)
    maps = [[dataset.heat_map(exam, view) for view in dataset.views] for exam in range(len(dataset))]
    np.save(folder / "heat_maps.npy", np.rint(np.array(maps) * full).astype(dataset.images.dtype))
    known = {"label": dataset.labels, "part": [parts[exam] for exam in dataset.exam_ids]}
    np.savez(folder / "exams.npz", has_gaze=dataset.has_gaze, **known)


def sizes(dataset: PreparedDataset, folder: Path) -> dict[str, dict[str, float]]:
    """Megabytes on disk of images and gaze, of each script."""
    png, arrays = folder / "png", folder / "arrays"
    found = {
        "typical": ([p for p in png.glob("*.png") if "gaze" not in p.name], list(png.glob("*_gaze.png"))),
        "careful": ([arrays / "images.npy"], [arrays / "heat_maps.npy"]),
        "gazekit": ([dataset.root / "images.npy"], [dataset.root / FIXATIONS]),
    }
    return {
        name: {
            "images_MB": sum(path.stat().st_size for path in images) / 1e6,
            "gaze_MB": sum(path.stat().st_size for path in gaze) / 1e6,
        }
        for name, (images, gaze) in found.items()
    }


if __name__ == "__main__":
    main()
