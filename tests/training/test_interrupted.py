"""A run that is killed, stopped or cut off from its disk goes on as if nothing had happened, bit for bit."""

import errno
import os
import signal
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest
import torch
from interrupted import AtEvent, Tell, carry_out, in_child, kill, outcome, together
from tiny import tiny

from gazekit.errors import Preempted, StorageError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.registry.registry import Registry
from gazekit.runs.checkpoints import checkpoint
from gazekit.training.start import StartSettings, start_run

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="forks, which CUDA does not survive")
Run = Callable[[Path, Tell], None]
_PARTS = 16
"""Tests into which a slow one over all events is cut, so that each ends within its time on a busy machine."""


@pytest.fixture(scope="module")
def run(registry: Registry, dataset: PreparedDataset) -> Run:
    return lambda path, tell: carry_out(path, registry, dataset, tell)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, run: Run) -> tuple[dict[str, bytes], list[str]]:
    """What the uninterrupted run leaves, and all that happened in it."""
    path = tmp_path_factory.mktemp("straight") / "run"
    events = path.with_name("events")

    def work() -> None:
        tell = AtEvent(0, kill)
        run(path, tell)
        events.write_text("\n".join(tell.names))

    assert in_child(work)() == 0
    return outcome(path), events.read_text().split("\n")


def points(events: list[str], number: int) -> list[int]:
    """Some events from first to last, counted from 1."""
    return sorted({1 + round(index * (len(events) - 1) / (number - 1)) for index in range(number)})


def resumed(path: Path, run: Run) -> dict[str, bytes]:
    assert in_child(lambda: run(path, AtEvent(0, kill)))() == 0
    return outcome(path)


def killed_at(number: int, path: Path, run: Run) -> None:
    assert in_child(lambda: run(path, AtEvent(number, kill)))() == -signal.SIGKILL


def check_kills(numbers: list[int], folder: Path, run: Run, expected: dict[str, bytes]) -> None:
    for number in numbers:
        path = folder / str(number)
        killed_at(number, path, run)
        assert resumed(path, run) == expected, number


def test_a_run_killed_within_a_checkpoint(
    tmp_path: Path, run: Run, straight: tuple[dict[str, bytes], list[str]]
) -> None:
    expected, events = straight
    last = len(events) - events[::-1].index("before rename")
    half = max(number for number in range(last) if events[number] == "during write") + 1
    check_kills([half, last], tmp_path, run, expected)


def test_a_run_killed_while_it_trains_and_writes(
    tmp_path: Path,
    registry: Registry,
    dataset: PreparedDataset,
    run: Run,
    straight: tuple[dict[str, bytes], list[str]],
) -> None:
    """Which operation a number means depends on which thread is first; the end does not."""
    expected, events = straight
    for number in points(events, 4)[1:3]:
        path = tmp_path / str(number)
        work = lambda: carry_out(path, registry, dataset, AtEvent(number, kill), in_order=False)  # noqa: B023, E731
        assert in_child(work)() == -signal.SIGKILL
        assert in_child(lambda: carry_out(path, registry, dataset, AtEvent(0, kill), in_order=False))() == 0  # noqa: B023
        assert outcome(path) == expected, number


@pytest.mark.slow
@pytest.mark.parametrize("part", range(_PARTS))
def test_a_run_killed_at_every_operation_on_the_disk_and_after_every_step(
    tmp_path: Path, run: Run, straight: tuple[dict[str, bytes], list[str]], part: int
) -> None:
    expected, events = straight
    assert {"before fsync", "during write", "after rename", "step", "before rmdir"} <= set(events)
    check_kills(list(range(1 + part, len(events) + 1, _PARTS)), tmp_path, run, expected)


def test_killed_again_and_again_it_still_ends(
    tmp_path: Path, run: Run, straight: tuple[dict[str, bytes], list[str]]
) -> None:
    """Each life ends at its third step or validation, and still the run gets on: no more than one interval is lost."""
    path = tmp_path / "run"
    lives = [in_child(lambda: run(path, third_step(kill)))() for _ in range(6)]
    assert lives == [-signal.SIGKILL] * 3 + [0] * 3
    assert outcome(path) == straight[0]


def third_step(act: Callable[[], None]) -> Tell:
    seen = iter(range(10**9))
    return lambda name: act() if name == "step" and next(seen) == 2 else None


def fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


def check_faults(numbers: list[int], folder: Path, run: Run, expected: dict[str, bytes], fault: int) -> None:
    for number in numbers:
        path, said = folder / str(number), folder / f"{number}.txt"
        code = in_child(lambda: run(path, AtEvent(number, partial(fail, fault))), said)()  # noqa: B023
        if code != 0:  # what only clears away may fail
            assert code == StorageError.exit_code, number
            message = said.read_text()
            assert str(path) in message and os.strerror(fault) in message, message
        assert resumed(path, run) == expected, number


def test_a_failing_disk_ends_the_run_and_the_last_checkpoint_is_whole(
    tmp_path: Path, run: Run, straight: tuple[dict[str, bytes], list[str]]
) -> None:
    expected, events = straight
    last = len(events) - events[::-1].index("during write")
    check_faults([last], tmp_path, run, expected, errno.ENOSPC)
    assert " bytes: No space left on device (" in (tmp_path / f"{last}.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_at_every_operation(
    tmp_path: Path, run: Run, straight: tuple[dict[str, bytes], list[str]], fault: int, part: int
) -> None:
    expected, events = straight
    numbers = [number for number, name in enumerate(events, 1) if name != "step"]
    check_faults(numbers[part::_PARTS], tmp_path, run, expected, fault)


def check_signals(numbers: list[int], folder: Path, run: Run, expected: dict[str, bytes]) -> None:
    for number, sent in zip(numbers, cycle([signal.SIGTERM, signal.SIGINT]), strict=False):
        path = folder / str(number)
        tell = AtEvent(number, lambda: os.kill(os.getpid(), sent))  # noqa: B023
        assert in_child(lambda: run(path, tell))() == Preempted.exit_code, number  # noqa: B023
        assert checkpoint.load_latest(path / "checkpoints", pytest.fail) is not None
        assert resumed(path, run) == expected, number


def test_a_run_asked_to_stop_writes_a_checkpoint(
    tmp_path: Path, run: Run, straight: tuple[dict[str, bytes], list[str]]
) -> None:
    check_signals([points(straight[1], 3)[1]], tmp_path, run, straight[0])


@pytest.mark.slow
def test_a_run_asked_to_stop_anywhere(
    tmp_path: Path, run: Run, straight: tuple[dict[str, bytes], list[str]]
) -> None:
    expected, events = straight
    reports = [number for number, name in enumerate(events, 1) if name == "step"]
    asked = reports[
        -3
    ]  # a step, the last step, the last validation: it is asked before the last step, then it ends
    check_signals([number for number in points(events, 40) if number <= asked], tmp_path, run, expected)


def check_peers(
    at: list[tuple[int, int]], folder: Path, registry: Registry, dataset: PreparedDataset, run: Run
) -> None:
    """Kill process ``rank`` of two at an event; started again, they end as two that nobody killed."""

    def begin(path: Path) -> Path:
        cpu = torch.device("cpu")
        preset = tiny(registry, "training.epochs=2", "training.batch_size=7")
        start_run(path, preset, registry, dataset, make_split(dataset), StartSettings(seed=1, device=cpu))
        return path

    whole, events = begin(folder / "whole"), folder / "events"

    def straight(own: int) -> None:
        tell = AtEvent(0, kill)
        run(whole, tell)
        if own == 0:
            events.write_text("\n".join(tell.names))

    assert together(2, folder, straight) == [0, 0]
    names = events.read_text().split("\n")
    *_, trained, _validated = (number for number, name in enumerate(names, 1) if name == "step")
    for number, rank in at:
        path = begin(folder / f"{number}-{rank}")
        work = lambda own: run(path, AtEvent(number if own == rank else 0, kill))  # noqa: B023, E731
        codes = together(2, folder, work)
        assert codes[rank] == -signal.SIGKILL
        if (
            number <= trained
        ):  # the last validation is the last that they do together; later one writes, one ends
            assert codes[1 - rank] == 1  # told by a typed error
        assert together(2, folder, lambda _: run(path, AtEvent(0, kill))) == [0, 0]  # noqa: B023
        assert outcome(path) == outcome(whole)


def test_one_of_two_processes_is_killed_and_both_go_on(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, run: Run
) -> None:
    check_peers([(3, 1)], tmp_path, registry, dataset, run)


@pytest.mark.slow
def test_either_of_two_processes_is_killed_anywhere(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, run: Run
) -> None:
    check_peers(
        [(step, 1) for step in (1, 2, 4)] + [(n, 0) for n in range(8, 90, 9)],
        tmp_path,
        registry,
        dataset,
        run,
    )
