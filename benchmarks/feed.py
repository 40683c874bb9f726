"""Time batches of a prepared set (held on the device, or streamed from files) and the training step.

    python benchmarks/feed.py PREPARED --batch 8 --turns 20

One turn is an epoch's first ten batches, not augmented.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from evidence import arguments, publish, rows, take_turns
from systems import ALL, make_step, noise, preset_of

from gazekit.feeding.batches import epoch_batches
from gazekit.feeding.feed import prepared_exams
from gazekit.prepared.dataset import PreparedDataset

BATCHES = 10


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=20)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    dataset, device = PreparedDataset.open(asked.prepared), torch.device(asked.device)
    preset = preset_of(ALL)
    order = epoch_batches(len(dataset), asked.batch, seed=0, epoch=0)[:BATCHES]
    places = {
        name: prepared_exams(dataset, np.arange(len(dataset)), preset, device, with_gaze=True, hold=hold)
        for name, hold in (("held on the device", True), ("streamed from files", False))
    }
    things = {
        name: lambda exams=exams: list(itertools.islice(exams.batches(order), BATCHES))
        for name, exams in places.items()
    }
    timed = take_turns(things, turns=asked.turns, device=asked.device)
    step, batch = (
        make_step(ALL, asked.device),
        noise(preset.views, asked.batch, dataset.size[0], asked.device),
    )
    steps = {f"{len(order)} training steps": lambda: [step(batch) for _ in order]}
    timed |= take_turns(steps, turns=3, warm_up=1, device=asked.device)
    size = f"{dataset.size[0]} x {dataset.size[1]}"
    name = "feed" if asked.device == "cpu" else f"feed_{asked.device}"
    table = rows(timed, "held on the device")
    publish(name, asked.device, table, asked.out, exams=len(dataset), size=size, batch=asked.batch)


if __name__ == "__main__":
    main()
