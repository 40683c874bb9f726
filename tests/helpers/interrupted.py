"""Runs in child processes, interrupted at an exact operation on the disk or an exact step."""

import contextlib
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tiny import tiny

from gazekit.errors import GazekitError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.registry.registry import Registry
from gazekit.runs.directory import RunDirectory
from gazekit.training.checkpoint_writer import CheckpointWriter
from gazekit.training.run import continue_run
from gazekit.training.signals import stop_on_signals
from gazekit.training.start import StartSettings, start_run

Tell = Callable[[str], None]
SETTINGS = (
    "training.epochs=2",
    "training.batch_size=7",
    "training.checkpoint_every=1",
    "fusion.vectors.dropout=0.2",
)


class AtEvent:
    """Does something at one event: an operation on the disk (before, during or after it) or the end of a step."""

    def __init__(self, number: int, act: Callable[[], None]) -> None:
        self.number, self.act, self.seen = number, act, 0
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.names.append(name)
        self.seen += 1
        if self.seen == self.number:
            self.act()


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watch_disk(patch: pytest.MonkeyPatch, tell: Tell) -> None:
    """Tell of every operation that changes what is on the disk."""

    def watched(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def operation(*arguments: Any, **options: Any) -> Any:
            tell(f"before {name}")
            result = (
                None if name == "fsync" else original(*arguments, **options)
            )  # a kill spares what is cached
            tell(f"after {name}")
            return result

        return operation

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            tell("before write")
            half = super().write(bytes(data[: len(data) // 2]))
            tell("during write")
            return half + super().write(bytes(data[len(data) // 2 :]))

    original_open = io.open

    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode in ("xb", "ab"):
            tell("before open")
            return io.BufferedWriter(Raw(file if isinstance(file, int) else os.fspath(file), mode))
        return original_open(file, mode, *arguments, **options)

    for name in ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir"):
        patch.setattr(os, name, watched(name))
    patch.setattr(io, "open", opened)


def wait_for_checkpoints(patch: pytest.MonkeyPatch) -> None:
    """Let a training wait for each checkpoint, so that what happens, happens in the same order every time."""
    begin = CheckpointWriter.begin

    def begin_and_wait(writer: CheckpointWriter, write: Callable[[], None], *, timed: bool = True) -> None:
        begin(writer, write, timed=timed)
        writer.wait()

    patch.setattr(CheckpointWriter, "begin", begin_and_wait)


def carry_out(
    path: Path, registry: Registry, dataset: PreparedDataset, tell: Tell, *, in_order: bool = True
) -> None:
    """What ``gazekit train --resume`` does; ``in_order``: waiting for each checkpoint."""
    with pytest.MonkeyPatch.context() as patch, stop_on_signals() as signals:
        watch_disk(patch, tell)
        if in_order:
            wait_for_checkpoints(patch)
        if (path / "run.json").exists():
            run = RunDirectory.open(path)
        else:
            preset = tiny(registry, *SETTINGS)
            cpu = torch.device("cpu")
            if not dist.is_initialized():
                settings = StartSettings(seed=1, device=cpu, overwrite=True)
                run = start_run(path, preset, registry, dataset, make_split(dataset), settings)
        continue_run(run, registry, dataset, should_stop=signals.asked, report=lambda *_: tell("step"))


def in_child(work: Callable[[], None], said: Path | None = None) -> Callable[[], int]:
    """Start ``work`` in a fork of this process; the function returned waits and gives its exit code (-9 = killed)."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            work()
            code = 0
        except GazekitError as error:
            code = error.exit_code
            if said:
                with contextlib.suppress(OSError):
                    said.write_text(str(error))
        finally:
            os._exit(code)
    return lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def together(processes: int, folder: Path, work: Callable[[int], None]) -> list[int]:
    """Start ``work(rank)`` in some processes that have joined; their exit codes."""

    def joined(number: int) -> None:
        store = (folder / "store").as_uri()
        dist.init_process_group("gloo", init_method=store, rank=number, world_size=processes)
        work(number)

    (folder / "store").unlink(missing_ok=True)
    waits = [in_child(lambda number=number: joined(number)) for number in range(processes)]  # type: ignore[misc]
    return [wait() for wait in waits]


def outcome(path: Path) -> dict[str, bytes]:
    """Every byte of the checkpoints and the metrics of a run."""
    files = [*(path / "checkpoints").rglob("*"), path / "metrics.jsonl"]
    return {str(file.relative_to(path)): file.read_bytes() for file in files if file.is_file()}
