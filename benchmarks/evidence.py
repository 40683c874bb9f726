"""Support the benchmarks: take turns in one process; write a result's header, table and JSON file."""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import gazekit

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Timed:
    """Seconds of a candidate over its turns: medians and interquartile ranges; CPU is user plus system time."""

    n: int
    wall: float
    wall_spread: float
    cpu: float
    cpu_spread: float


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file", default=None)
    return parser


def take_turns(
    things: Mapping[str, Callable[[], object]], *, turns: int, warm_up: int = 2, device: str = "cpu"
) -> dict[str, Timed]:
    """Time each candidate once per turn, in order, so that other load on the machine affects all alike.

    On CUDA a step is recorded in its fourth turn, so there are more warm-up turns.
    """
    warm_up += 4 if device == "cuda" else 0
    wall: dict[str, list[float]] = {name: [] for name in things}
    cpu: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(warm_up + turns):
        for name, thing in things.items():
            seconds = time_once(thing, device)
            wall[name].append(seconds[0])
            cpu[name].append(seconds[1])
    return {
        name: Timed(turns, *middle(wall[name][warm_up:]), *middle(cpu[name][warm_up:])) for name in things
    }


def time_once(thing: Callable[[], object], device: str) -> tuple[float, float]:
    """Return wall seconds and those of processors that a call takes, with what it leaves to the device."""
    _finish(device)
    begin = time.perf_counter(), time.process_time()
    thing()
    _finish(device)
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


def rows(timed: Mapping[str, Timed], reference: str) -> list[dict[str, Any]]:
    """Make one row per candidate, with its ratios to the reference in the same run."""
    base = timed[reference]
    return [
        {"name": name, **asdict(each), "wall_ratio": each.wall / base.wall, "cpu_ratio": each.cpu / base.cpu}
        for name, each in timed.items()
    ]


def peak_on_gpu(work: Callable[[], object]) -> int:
    """Measure peak device memory during the work, in bytes above the level before it."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return torch.cuda.max_memory_allocated() - before


def peak_memory(arguments: Sequence[str]) -> int:
    """Run this script with ``arguments`` in a separate CPU process and return the bytes it prints."""
    command = [sys.executable, sys.argv[0], *map(str, arguments)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def print_peak(work: Callable[[], object]) -> None:
    """Print, for ``peak_memory``, the peak memory of the work above the level before it."""
    before = resident_peak()
    work()
    print(resident_peak() - before)


def resident_peak() -> int:
    """Return this process's peak memory so far, in bytes; ``getrusage`` would include its parent's at the start."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(
        int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM")
    )


def header(device: str) -> dict[str, Any]:
    """Describe where and with which versions the numbers were measured."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "device": torch.cuda.get_device_name() if device == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "numpy", "pillow", "timm")}
        | {"gazekit": gazekit.__version__},
        "command": "python " + " ".join([Path(sys.argv[0]).as_posix(), *_measured(sys.argv[1:])]),
    }


def _measured(arguments: Sequence[str]) -> list[str]:
    """Drop the path of the JSON file, and shorten other paths to their last name."""
    place = arguments.index("--out") if "--out" in arguments else len(arguments)
    kept = [*arguments[:place], *arguments[place + 2 :]]
    return [Path(each).name if Path(each).is_absolute() else each for each in kept]


def publish(
    name: str, device: str, table: Sequence[Mapping[str, Any]], out: Path | None, **more: Any
) -> None:
    """Print the header and the table, and write both to ``benchmarks/results/``."""
    head = header(device) | more
    versions = ", ".join(f"{key} {value}" for key, value in head["versions"].items())
    print(f"{head['date']} · {head['device']} · {head['threads']} thread(s) · {versions}")
    for key, value in more.items():
        print(f"{key}: {value}")
    columns = list(dict.fromkeys(key for row in table for key in row))
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in table)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print(
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
        )
    path = out or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"benchmark": name, **head, "rows": list(table)}, indent=2) + "\n")
    print(f"written to {path}")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def middle(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], 0.0
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return median, high - low


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
