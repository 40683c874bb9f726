"""Measure how time and memory of a Mammo-Net step grow with image and batch size.

    python benchmarks/scale.py --sizes 224 512 --batches 4 8 --turns 3

Cells are timed and measured one after the other, on a CPU each in a separate process.
"""

import json
import subprocess
import sys
from argparse import Namespace
from typing import Any

import torch
from evidence import Timed, arguments, peak_on_gpu, publish, resident_peak, take_turns
from systems import ALL, make_step, noise, preset_of


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 512, 1024])
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the preset")
    parser.add_argument("--cell", type=int, nargs=2, metavar=("SIZE", "BATCH"), help="only one, as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.cell:
        print(json.dumps(cell(*asked.cell, asked.turns, asked.device, asked.set)))
        return
    table = []
    for size in asked.sizes:
        for batch in asked.batches:
            print(f"{size} px, batch {batch} ...", file=sys.stderr)
            measured = on_gpu if asked.device == "cuda" else in_own_process
            table.append(measured(size, batch, asked))
    name = "_".join(["scale", *(f"{size}px" for size in asked.sizes)])
    name += "" if asked.device == "cpu" else f"_{asked.device}"
    publish(name, asked.device, table, asked.out, set=asked.set)


def in_own_process(size: int, batch: int, asked: Namespace) -> dict[str, Any]:
    command = [sys.executable, sys.argv[0], "--cell", size, batch, "--turns", asked.turns]
    command += ["--device", asked.device, "--threads", asked.threads]
    command += [part for item in asked.set for part in ("--set", item)]
    done = subprocess.run([*map(str, command)], check=False, capture_output=True, text=True)
    if done.returncode:
        return {"size": size, "batch": batch, "failed": done.stderr.strip().splitlines()[-1][:60]}
    return json.loads(done.stdout.splitlines()[-1])


def on_gpu(size: int, batch: int, asked: Namespace) -> dict[str, Any]:
    try:
        return cell(size, batch, asked.turns, asked.device, asked.set)
    except torch.OutOfMemoryError:
        return {"size": size, "batch": batch, "failed": "out of memory"}


def cell(size: int, batch: int, turns: int, device: str, changes: list[str]) -> dict[str, Any]:
    changes = [f"training.batch_size={batch}", *changes]
    preset = preset_of(ALL, *changes)
    timed: dict[str, Timed] = {}

    def work() -> None:
        step = make_step(ALL, device, *changes)
        exams = noise(preset.views, batch, size, device)
        timed.update(take_turns({"step": lambda: step(exams)}, turns=turns, warm_up=1, device=device))

    before = resident_peak()
    if device == "cuda":
        peak = peak_on_gpu(work)
    else:
        work()
        peak = resident_peak() - before
    step = timed["step"]
    return {
        "size": size,
        "batch": batch,
        "n": step.n,
        "wall": step.wall,
        "wall_per_exam": step.wall / batch,
        "cpu": step.cpu,
        "peak_MB": round(peak / 1e6),
    }


if __name__ == "__main__":
    main()
