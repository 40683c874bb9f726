"""Time the step of Mammo-Net in processes that keep the memory of one step for the next, and in ones that do not.

    python benchmarks/allocator.py --size 224 --batch 8 --turns 20

``gazekit train`` on a CPU keeps it, where the C library is glibc. Huge pages are torch's own, by an environment
variable. The processes take turns, a step a turn, so that other load on the machine affects all alike.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import torch
from evidence import Timed, arguments, middle, publish, resident_peak, rows, time_once
from systems import ALL, make_step, noise, preset_of

from gazekit.training.computing.memory import freed_memory_kept

WAYS = {"as the system does": (), "kept": ("kept",), "huge pages": ("huge",), "both": ("kept", "huge")}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--step", choices=("kept", "as it is"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.step:
        answer(asked)
        return
    processes = {name: start(asked, *ways) for name, ways in WAYS.items()}
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in processes}
    for _ in range(asked.turns):
        for name, process in processes.items():
            told[name].append(ask(process))
    for process in processes.values():
        process.communicate()
    timed = {
        name: Timed(
            asked.turns, *middle([each["wall"] for each in steps]), *middle([each["cpu"] for each in steps])
        )
        for name, steps in told.items()
    }
    table = rows(timed, next(iter(WAYS)))
    for row in table:
        row["page_faults"] = round(middle([each["page_faults"] for each in told[row["name"]]])[0])
        row["peak_MB"] = round(told[row["name"]][-1]["peak"] / 1e6)
    publish(
        f"allocator_{asked.size}px_{asked.batch}", "cpu", table, asked.out, size=asked.size, batch=asked.batch
    )


def start(asked: argparse.Namespace, *ways: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--step", "kept" if "kept" in ways else "as it is"]
    for option in ("size", "batch", "threads"):
        command += [f"--{option}", str(getattr(asked, option))]
    environment = os.environ | ({"THP_MEM_ALLOC_ENABLE": "1"} if "huge" in ways else {})
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def ask(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    told: dict[str, Any] = json.loads(process.stdout.readline())
    return told


def answer(asked: argparse.Namespace) -> None:
    """Take a step for each line of the input, after two to warm up, and say what it took."""
    batch = noise(preset_of(ALL).views, asked.batch, asked.size, "cpu")
    with freed_memory_kept(torch.device("cpu")) if asked.step == "kept" else nullcontext():
        step = make_step(ALL, "cpu")
        for _ in range(2):
            step(batch)
        for _ in sys.stdin:
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            wall, cpu = time_once(lambda: step(batch), "cpu")
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
            print(
                json.dumps({"wall": wall, "cpu": cpu, "page_faults": faults, "peak": resident_peak()}),
                flush=True,
            )


if __name__ == "__main__":
    main()
