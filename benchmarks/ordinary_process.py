"""Train as one of the systems of ``ordinary.py`` does, and wait for a word before each epoch but the first.

Imports nothing that the system itself does not, because the seconds to the first step count imports.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

Report = Callable[[int, int | None, float], None]
SHORT = "typical, gradient at the features"
NAMES = ("typical", SHORT, "careful", "gazekit")
PRESET, SET = "ga_net", ("attention_map=grad_cam", "backbone.pretrained=false", "training.select=loss")
ENDLESS = 10**6
"""Epochs of a training that ends when it is told to."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=NAMES)
    for option, kind in (
        *(("--prepared", Path), ("--files", Path), ("--began", float)),
        *(("--batch", int), ("--workers", int), ("--threads", int), ("--loss", str), ("--device", str)),
    ):
        parser.add_argument(option, type=kind, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    train = {
        "typical": train_typical,
        SHORT: partial(train_typical, whole=False),
        "careful": train_careful,
        "gazekit": train_gazekit,
    }[asked.name]
    with tempfile.TemporaryDirectory() as out:
        train(asked, Path(out), Told(asked))


class Told:
    """Say when the first step and each epoch have ended, and wait for a word before the next epoch."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.began: float = asked.began
        self.cuda = asked.device == "cuda"
        self.begun = False
        self.last = time.perf_counter()

    def __call__(self, _epoch: int, step: int | None, _loss: float) -> None:
        """Take note of a step, or with None of the end of an epoch."""
        if step is not None:
            if not self.begun:
                self.begun = True
                self.finish()
                say({"first_step": time.time() - self.began})
            return
        self.finish()
        on_gpu = {"peak_on_gpu": torch.cuda.max_memory_allocated()} if self.cuda else {}
        say({"epoch": time.perf_counter() - self.last} | on_gpu)
        if not sys.stdin.readline():
            raise SystemExit
        self.last = time.perf_counter()

    def finish(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


def say(numbers: dict[str, float]) -> None:
    print(json.dumps(numbers), flush=True)


def train_typical(asked: argparse.Namespace, out: Path, report: Report, *, whole: bool = True) -> None:
    from ordinary_typical import Settings, train

    settings = Settings(ENDLESS, asked.batch, asked.workers, asked.device, asked.loss, whole)
    train(asked.files / "png", out, settings, report)


def train_careful(asked: argparse.Namespace, out: Path, report: Report) -> None:
    from ordinary_careful import Settings, train

    settings = Settings(ENDLESS, asked.batch, asked.workers, asked.device, asked.loss)
    train(asked.files / "arrays", out, settings, report)


def train_gazekit(asked: argparse.Namespace, out: Path, report: Report) -> None:
    import gazekit
    from gazekit.prepared.dataset import PreparedDataset
    from gazekit.training.run import continue_run
    from gazekit.training.start import StartSettings, start_run

    registry, dataset = gazekit.load_registry(), PreparedDataset.open(asked.prepared)
    training = {
        "epochs": ENDLESS,
        "batch_size": asked.batch,
        "amp": "bf16" if asked.device == "cuda" else "off",
    }
    overrides = [*SET, f"gaze.alignment_loss={asked.loss}"]
    overrides += [f"training.{key}={value}" for key, value in training.items()]
    preset = registry.preset(PRESET, overrides=overrides)
    parts = json.loads((asked.files / "parts.json").read_text())
    settings = StartSettings(seed=0, device=torch.device(asked.device))
    run = start_run(out / "run", preset, registry, dataset, parts, settings)
    nothing = float("nan")
    continue_run(
        run,
        registry,
        dataset,
        report=lambda state, _batches: report(state.epoch, state.batch or None, nothing),
    )


if __name__ == "__main__":
    main()
