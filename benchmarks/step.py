"""Measure how much time and memory each part of Mammo-Net adds to the plain training step.

    python benchmarks/step.py --size 224 --batch 8 --turns 20

The step is that of ``gazekit train`` without augmentation: forward, losses, backward, optimiser.
"""

from argparse import Namespace

import torch
from evidence import arguments, peak_memory, peak_on_gpu, print_peak, publish, rows, take_turns
from systems import ALL, PRODUCTS, SYSTEMS, make_step, noise, preset_of, with_bare_products

from gazekit.contracts.types import Batch


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--system", choices=SYSTEMS, action="append", help="default: all")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of the preset, for all systems"
    )
    parser.add_argument(
        "--also", action="append", default=[], metavar="KEY=VALUE", help="all of Mammo-Net with this, too"
    )
    parser.add_argument("--suffix", default="", help="of the JSON file's name")
    parser.add_argument(
        "--floor", action="store_true", help="also the plain step and attention's matrix products alone"
    )
    parser.add_argument("--no-memory", action="store_true", help="time only")
    parser.add_argument(
        "--peak-of", choices=SYSTEMS, help="only print the peak memory of one system, in bytes"
    )
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    batch = noise(preset_of("plain").views, asked.batch, asked.size, asked.device)
    if asked.peak_of:
        print_peak(lambda: some_steps(asked.peak_of, batch, asked))
        return
    names = list(dict.fromkeys(["plain", *(asked.system or SYSTEMS)]))
    steps = {name: make_step(name, asked.device, *asked.set) for name in names}
    if asked.floor:
        steps[PRODUCTS] = with_bare_products(asked.device, batch, *asked.set)
    for value in asked.also:
        steps[f"{ALL}, {value}"] = make_step(ALL, asked.device, *asked.set, value)
    table = rows(
        take_turns(
            {name: lambda step=step: step(batch) for name, step in steps.items()},
            turns=asked.turns,
            device=asked.device,
        ),
        "plain",
    )
    del steps
    for row in () if asked.no_memory else table:
        if row["name"] not in SYSTEMS:
            continue
        row["peak_MB"] = round(peak_of(row["name"], batch, asked) / 1e6)
    name = f"step_{asked.size}px_{asked.batch}" + ("" if asked.device == "cpu" else f"_{asked.device}")
    name += asked.suffix
    publish(name, asked.device, table, asked.out, size=asked.size, batch=asked.batch, set=asked.set)


def some_steps(name: str, batch: Batch, asked: Namespace) -> None:
    """Two steps; on a GPU as many as it takes to record one, and one more."""
    step = make_step(name, asked.device, *asked.set)
    for _ in range(2 if asked.device == "cpu" else 5):
        step(batch)


def peak_of(name: str, batch: Batch, asked: Namespace) -> int:
    if asked.device == "cuda":
        return peak_on_gpu(lambda: some_steps(name, batch, asked))
    same = ["--size", asked.size, "--batch", asked.batch, "--threads", asked.threads]
    same += [item for value in asked.set for item in ("--set", value)]
    return peak_memory(["--peak-of", name, *same])


if __name__ == "__main__":
    main()
