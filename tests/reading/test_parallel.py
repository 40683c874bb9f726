"""The ordered map over processes: order, bounds, limits, dying workers, the keyboard."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest
from pebble import ProcessPool

from gazekit.errors import DataError
from gazekit.reading.parallel import Limits, ordered_map
from gazekit.training.signals import ended_by_sigterm


def slow_at_first(number):
    time.sleep(0.2 if number == 0 else 0)
    return number**2, os.getpid()


def misbehave(number):
    """By number: killed, no end, too much memory, an error of its own; others are fine."""
    if number == 1:
        os._exit(9)
    if number == 2:
        time.sleep(60)
    if number == 3:
        return len(np.zeros(2**32, dtype=np.uint8))
    return number


def fail(number):
    raise DataError(f"task {number} fails")


def test_results_come_in_order_from_other_processes_and_little_is_taken_ahead():
    taken = []

    def tasks():
        for number in range(20):
            taken.append(number)
            yield number

    results = ordered_map(slow_at_first, tasks(), jobs=2)
    first = next(results)
    assert len(taken) <= 8
    everything = [first, *results]
    assert [square for square, _ in everything] == [number**2 for number in range(20)]
    assert os.getpid() not in {process for _, process in everything}


def test_no_jobs_work_in_this_process_and_one_in_another():
    assert {process for _, process in ordered_map(slow_at_first, range(3), jobs=0)} == {os.getpid()}
    (other,) = {process for _, process in ordered_map(slow_at_first, range(3), jobs=1)}
    assert other != os.getpid()


def parent(_number):
    return os.getppid()


def no_socket():
    raise OSError("AF_UNIX path too long")


@pytest.mark.skipif(sys.platform == "win32", reason="there each worker is a new Python")
def test_workers_are_forked_from_one_server_and_started_by_this_process_where_it_cannot_be_reached(
    monkeypatch,
):
    pools = [set(ordered_map(parent, range(3), jobs=1)) for _ in range(2)]
    assert pools[0] == pools[1] and os.getpid() not in pools[0]
    monkeypatch.setattr(forkserver, "ensure_running", no_socket)
    assert set(ordered_map(parent, range(3), jobs=1)) == {os.getpid()}


@pytest.mark.parametrize(("jobs", "server"), [(1, True), (2, True), (2, False)])
def test_a_worker_that_dies_hangs_or_swells_costs_its_own_task_only(monkeypatch, jobs, server):
    if not server:
        monkeypatch.setattr(forkserver, "ensure_running", no_socket)
    limits = Limits(seconds=1.5, mebibytes=512)
    results = ordered_map(misbehave, range(6), jobs=jobs, limits=limits, lost=lambda task, why: (task, why))
    zero, died, hung, swelled, *rest = results
    assert (zero, *rest) == (0, 4, 5)
    assert died == (1, died[1]) and "exit code 9" in died[1]
    assert hung == (2, "took longer than 1.5 s and was stopped")
    if sys.platform == "linux":
        assert swelled == (3, "needs more than the 512 MiB of memory that a worker may take")


@pytest.mark.parametrize("times", [1, 2])
def test_a_pool_that_breaks_is_started_anew_and_no_task_is_lost(monkeypatch, times):
    schedule, calls = ProcessPool.schedule, []

    def breaks(pool, *args, **kwargs):
        calls.append(pool)
        if len(calls) in (3, 11)[:times]:
            raise RuntimeError("pool is broken")
        return schedule(pool, *args, **kwargs)

    monkeypatch.setattr(ProcessPool, "schedule", breaks)
    results = [square for square, _ in ordered_map(slow_at_first, range(12), jobs=1)]
    assert results == [number**2 for number in range(12)]
    assert len(set(map(id, calls))) == 1 + times


def test_a_pool_that_never_works_is_an_error(monkeypatch):
    def breaks(pool, *args, **kwargs):
        raise RuntimeError("pool is broken")

    monkeypatch.setattr(ProcessPool, "schedule", breaks)
    with pytest.raises(DataError, match="no worker process can be started"):
        list(ordered_map(slow_at_first, range(12), jobs=1))


def test_what_a_task_raises_is_raised_here_and_a_lost_one_is_an_error_unless_it_has_a_substitute():
    with pytest.raises(DataError, match="task 0 fails"):
        list(ordered_map(fail, range(6), jobs=1))
    with pytest.raises(DataError, match=r"was lost: its worker process died"):
        list(ordered_map(misbehave, [1], jobs=1))


SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
from pathlib import Path
from gazekit.reading.parallel import ordered_map
sys.path.insert(0, {tests!r})
from test_parallel import note_and_sleep
if {guard}:
    list(ordered_map(note_and_sleep, [Path({out!r})] * 4, jobs=2))
"""


def note_and_sleep(folder):
    (folder / str(os.getpid())).touch()
    time.sleep(30)


def start(tmp_path, guard='__name__ == "__main__"'):
    folder = tmp_path / "workers"
    folder.mkdir()
    (tmp_path / "script.py").write_text(
        SCRIPT.format(tests=str(Path(__file__).parent), out=str(folder), guard=guard)
    )
    process = subprocess.Popen(
        [sys.executable, tmp_path / "script.py"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    return process, folder


def gone(pid):
    """Within seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
            if "Z" in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]:
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_the_keyboard_and_a_killed_parent_end_the_workers_quietly(tmp_path, ending):
    process, folder = start(tmp_path)
    while process.poll() is None and len(list(folder.iterdir())) < 2:
        time.sleep(0.02)
    if ending == signal.SIGINT:
        os.killpg(process.pid, ending)  # a terminal sends it to the whole group
    else:
        process.kill()
    _, said = process.communicate(timeout=60)
    assert all(gone(int(path.name)) for path in folder.iterdir())
    assert said.count("Traceback") <= (ending == signal.SIGINT)  # of the parent only


def test_a_script_without_a_main_guard_is_told_so(tmp_path):
    process, _ = start(tmp_path, guard="True")
    _, said = process.communicate(timeout=30)
    assert "DataError: no worker process can be started" in said
    assert "__main__" in said


@pytest.mark.parametrize("server", [True, False])
def test_workers_that_are_still_starting_at_the_end_go_silently(server):
    code = """if __name__ == "__main__":
        from multiprocessing import forkserver
        from gazekit.reading.parallel import ordered_map
        def no_socket():
            raise OSError
        if not {server}:
            forkserver.ensure_running = no_socket
        for _ in range(2):
            assert list(ordered_map(abs, [-1], jobs=6)) == [1]
    """
    ended = subprocess.run(
        [sys.executable, "-c", code.format(server=server)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_request_to_stop_waits_until_the_workers_have_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Amid their start it took their locks away, and each printed a traceback."""
    started, schedule = [], ProcessPool.schedule

    def asked_to_stop_meanwhile(*arguments: object, **options: object) -> object:
        signal.raise_signal(signal.SIGTERM)
        started.append(schedule(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(ProcessPool, "schedule", asked_to_stop_meanwhile)
    with ended_by_sigterm(), pytest.raises(SystemExit):
        list(ordered_map(abs, [1], jobs=1))
    assert len(started) == 1
