"""Runs carried out here and in child processes: order, faults, limits, stopping, environment."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from types import ModuleType, SimpleNamespace

import pytest
from forked import fork_children
from tiny import tiny

from gazekit.errors import ConfigurationError, DataError, Preempted
from gazekit.machine import available_cores
from gazekit.prepared.splits import make_split, write_split
from gazekit.runs.directory import RunDirectory
from gazekit.study.grid import RunTask
from gazekit.study.launch import launch as launching
from gazekit.study.launch import processes, slurm
from gazekit.study.launch.child import Child
from gazekit.study.launch.launch import launch
from gazekit.study.launch.launchers import LAUNCHERS, Launcher, device_of_runs
from gazekit.study.launch.processes import in_processes, slot_environments
from gazekit.study.results.outcome import STOPPED, in_one_line
from gazekit.training.signals import stop_on_signals


@dataclass(frozen=True)
class Script(RunTask):
    """A run whose process is a few lines of Python, started in the folder of its path."""

    code: str = ""

    def command(self):
        return [sys.executable, "-c", f"import os, sys, time\nos.chdir({str(self.path)!r})\n{self.code}"]


def script(folder, number, code):
    unused = folder / "unused"
    return Script("made_up", f"fold-{number}", 0, folder, unused, unused, unused, "cpu", code=code)


def local(tasks, folder, jobs=2, **options):
    return launch(tasks, launcher="local", jobs=jobs, logs=folder / "logs", **options)


def fails(tmp_path, code):
    """The reason of a run whose process does this."""
    [(_, reason)] = local([script(tmp_path, 1, code)], tmp_path)
    return reason


def test_runs_are_yielded_as_they_end_and_no_more_are_at_work_than_asked_for(tmp_path):
    note = "open('{0}', 'a').write(f'{{time.time()}}\\n')\n"
    until = ["while sum(os.path.exists(f'yielded-fold-{n}') for n in '123') < 3:\n    time.sleep(0.05)\n"]
    until += ["time.sleep(0.1)\n"] * 3
    tasks = [script(tmp_path, i, note.format(i) + wait + note.format(i)) for i, wait in enumerate(until)]
    ended = []
    for task, reason in local(tasks, tmp_path):
        ended.append((task, reason))
        (tmp_path / f"yielded-{task.fold}").touch()
    assert [reason for _, reason in ended] == [None] * 4
    assert ended[-1][0] == tasks[0] and {task for task, _ in ended} == set(tasks)
    spans = [tuple(map(float, (tmp_path / str(i)).read_text().split())) for i in range(4)]
    at_work = [sum(a <= moment < b for a, b in spans) for moment, _ in spans]
    assert max(at_work) == 2
    assert not list((tmp_path / "logs").iterdir())


def test_a_run_that_fails_says_why_in_its_last_line_and_the_others_go_on(tmp_path):
    bad = script(tmp_path, 1, "print('on the way')\nsys.exit('the scan is empty\\n')")
    good = script(tmp_path, 2, "")
    assert dict(local([bad, good], tmp_path)) == {bad: "the scan is empty", good: None}
    [log] = (tmp_path / "logs").iterdir()
    assert log.name == "made_up-fold-1-seed-0.log"
    assert "on the way" in log.read_text()


def test_a_process_that_says_nothing_is_killed_or_stopped_has_a_reason_too(tmp_path):
    assert fails(tmp_path, "sys.exit(9)") == "ended with exit code 9"
    assert (
        fails(tmp_path, "os.kill(os.getpid(), 9)")
        == "its process was killed by SIGKILL: memory may have run out"
    )
    assert fails(tmp_path, "os.kill(os.getpid(), 11)") == "its process was killed by SIGSEGV"
    assert fails(tmp_path, "sys.exit(75)") == STOPPED
    assert fails(tmp_path, "1 / 0") == "ZeroDivisionError: division by zero"


TRAINS = """
import signal
def save(*_):
    open('saved-{0}', 'w').close()
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
open('began-{0}', 'w').close()
time.sleep(60)
"""


def test_a_stop_lets_every_child_save_and_starts_no_other(tmp_path):
    tasks = [script(tmp_path, i, TRAINS.format(i)) for i in range(3)]

    def should_stop():
        return len(list(tmp_path.glob("began-*"))) == 2

    began = time.monotonic()
    with pytest.raises(Preempted, match="stopped; 3 runs left"):
        list(local(tasks, tmp_path, should_stop=should_stop))
    assert time.monotonic() - began < 20
    assert sorted(path.name for path in tmp_path.glob("saved-*")) == ["saved-0", "saved-1"]
    assert not (tmp_path / "began-2").exists()


def test_children_are_stopped_when_nobody_wants_their_results_any_more(tmp_path):
    outcomes = local([script(tmp_path, 1, ""), script(tmp_path, 2, TRAINS.format(2))], tmp_path)
    next(outcomes)
    while not (tmp_path / "began-2").exists():
        time.sleep(0.02)
    outcomes.close()
    assert (tmp_path / "saved-2").exists()


def test_cores_are_shared_out_unless_the_user_has_said_how():
    cores = available_cores()
    assert [e["OMP_NUM_THREADS"] for e in slot_environments(1, {}, gpus=[])] == [str(cores)]
    assert {e["OMP_NUM_THREADS"] for e in slot_environments(10 * cores, {}, gpus=[])} == {"1"}
    assert (
        slot_environments(2, {"OMP_NUM_THREADS": "7", "HOME": "x"}, gpus=[])
        == [{"OMP_NUM_THREADS": "7", "HOME": "x"}] * 2
    )


def test_several_gpus_are_dealt_round_and_a_single_one_is_shared():
    def named(slots, gpus):
        return [e.get("CUDA_VISIBLE_DEVICES") for e in slot_environments(slots, {}, gpus=gpus)]

    assert named(5, ["0", "3"]) == ["0", "3", "0", "3", "0"]
    assert named(2, ["0"]) == [None, None]


def test_a_row_that_asks_for_deterministic_algorithms_may_follow_one_that_does_not():
    def said(environment, gpus):
        [found] = slot_environments(1, environment, gpus=gpus)
        return found.get("CUBLAS_WORKSPACE_CONFIG")

    assert (said({}, ["0"]), said({}, [])) == (":4096:8", None)
    assert said({"CUBLAS_WORKSPACE_CONFIG": ":16:8"}, ["0"]) == ":16:8"


def real_task(folder, dataset, registry, seed, *overrides) -> RunTask:
    """A training of three epochs of a tiny model."""
    folder.mkdir(exist_ok=True)
    preset = tiny(registry, "training.epochs=3", "training.batch_size=4", *overrides)
    (folder / "system.toml").write_text(preset.to_toml())
    write_split(folder / "split.csv", dataset, make_split(dataset))
    return RunTask(
        "tiny",
        "fold-1",
        seed,
        folder / f"seed-{seed}",
        folder / "system.toml",
        dataset.root,
        folder / "split.csv",
        "cpu",
    )


def test_a_child_whose_parent_is_gone_saves_and_the_same_run_goes_on_to_the_same_end(
    tmp_path, dataset, registry
):
    here = real_task(tmp_path / "here", dataset, registry, 1)
    assert list(launch([here], launcher="local", jobs=1, logs=tmp_path)) == [(here, None)]

    there = real_task(tmp_path / "there", dataset, registry, 1)
    orphan = subprocess.Popen(
        [*there.command(), "--attached", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not (there.path / "run.json").exists():
        assert orphan.poll() is None
        time.sleep(0.01)
    _, said = orphan.communicate()  # closes its standard input
    if orphan.returncode:  # it may have been done before it noticed
        assert orphan.returncode == 75
        assert b"checkpoint written" in said
    assert list(launch([there], launcher="local", jobs=1, logs=tmp_path)) == [(there, None)]
    for name in ("predictions.csv", "split.csv"):
        assert (there.path / name).read_text() == (here.path / name).read_text()
    assert RunDirectory(there.path).read_metrics()[-1]["epoch"] == 3


@pytest.fixture
def children(monkeypatch):
    """The child processes that are started, as forks of this process."""
    started: list[Child] = []

    class Noted(Child):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self)

    monkeypatch.setattr(processes, "Child", Noted)
    fork_children(monkeypatch)
    return started


def one_child(tasks, folder):
    return in_processes(tasks, jobs=1, logs=folder / "logs", should_stop=lambda: False)


def test_a_child_carries_out_run_after_run_until_one_fails_and_each_is_as_in_this_process(
    tmp_path, dataset, registry, children
):
    short = "training.epochs=1"
    tasks = [real_task(tmp_path / "there", dataset, registry, seed, short) for seed in (1, 2, 3)]
    lost = replace(tasks[0], seed=9, path=tmp_path / "lost", data=tmp_path / "nowhere")
    order = [tasks[0], lost, tasks[1], tasks[2]]
    ended = list(one_child(order, tmp_path))
    assert [task for task, reason in ended] == order and len(children) == 2
    assert [reason is None for _, reason in ended] == [True, False, True, True]
    [log] = (tmp_path / "logs").iterdir()
    assert log.name == "tiny-fold-1-seed-9.log"
    assert "nowhere" in ended[1][1] and "Traceback" not in ended[1][1]
    assert ended[1][1] in log.read_text() and "\0" not in log.read_text()
    here = [real_task(tmp_path / "here", dataset, registry, seed, short) for seed in (1, 2, 3)]
    assert list(launch(here, launcher="local", jobs=1, logs=tmp_path)) == [(task, None) for task in here]
    for one, other in zip(tasks, here, strict=True):
        assert (one.path / "predictions.csv").read_text() == (other.path / "predictions.csv").read_text()
        environment = json.loads((one.path / "environment.json").read_text())
        assert RunTask.from_text(environment["command"][1]).seed == one.seed


def test_a_child_that_is_gone_while_it_rests_is_replaced_and_nobody_misses_a_log(
    tmp_path, dataset, registry, children
):
    tasks = [real_task(tmp_path, dataset, registry, seed, "training.epochs=1") for seed in (1, 2)]
    lost = replace(tasks[0], seed=9, path=tmp_path / "lost", data=tmp_path / "nowhere")
    outcomes = one_child([*tasks, lost], tmp_path)
    assert next(outcomes) == (tasks[0], None)
    children[0].process.kill()
    children[0].process.wait()
    assert next(outcomes) == (tasks[1], None)
    shutil.rmtree(tmp_path / "logs")  # somebody makes room
    assert next(outcomes) == (lost, "ended with exit code 3")
    assert len(children) == 2


def test_in_this_process_a_fault_costs_its_own_run_only(tmp_path, monkeypatch):
    tasks = [script(tmp_path, i, "") for i in range(4)]
    faults = {tasks[0]: DataError("two\n  lines"), tasks[1]: RuntimeError("out of memory\nlong advice")}

    def carry_out(task, registry, *, should_stop):
        if task in faults:
            raise faults[task]

    monkeypatch.setattr(launching, "carry_out", carry_out)
    ended = list(local(tasks[:3], tmp_path, jobs=1))
    assert ended == [(tasks[0], "two lines"), (tasks[1], "RuntimeError: out of memory"), (tasks[2], None)]

    faults[tasks[2]] = Preempted("checkpoint written")
    with pytest.raises(Preempted, match="checkpoint written"):
        list(local(tasks[2:], tmp_path, jobs=1))
    with pytest.raises(Preempted, match="stopped; 2 runs left"):
        list(local(tasks[2:], tmp_path, jobs=1, should_stop=lambda: True))


def test_a_reason_is_one_line_without_the_path_of_its_run(tmp_path):
    task = script(tmp_path, 1, "")
    assert in_one_line(MemoryError(), task) == "MemoryError"
    assert in_one_line(DataError(f"{tmp_path}: no epoch\n  yet"), task) == "no epoch yet"


def test_what_cannot_launch_says_what_is_missing(tmp_path, monkeypatch):
    def wanted(launcher):
        return list(launch([script(tmp_path, 1, "")], launcher=launcher, jobs=1, logs=tmp_path))

    with pytest.raises(ConfigurationError, match="launcher cloud: expected local or slurm or ray"):
        wanted("cloud")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="srun not found"):
        wanted("slurm")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigurationError, match="pip install 'submitit>="):
        wanted("slurm")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match="needs ray; install it with: pip install "):
        wanted("ray")


def test_the_keyboards_interrupt_is_not_sent_to_children(tmp_path):
    """A child is in a session of its own, so that what stops it is our signal, after its step."""
    [(_, reason)] = local([script(tmp_path, 1, "print(os.getpgid(0), file=open('group', 'w'))")], tmp_path)
    assert reason is None
    assert int((tmp_path / "group").read_text()) != os.getpgid(0)


def test_a_terminal_that_closes_asks_to_stop_unless_that_is_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with stop_on_signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.asked()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        with stop_on_signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not signals.asked()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_jobs_of_a_cluster_have_its_gpus_and_not_those_of_the_login_node(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert device_of_runs("cuda", "slurm").type == "cuda"
    assert device_of_runs("auto", "slurm").type == "cpu"
    with pytest.raises(ConfigurationError, match="sees no CUDA device here"):
        device_of_runs("cuda", "local")


def test_no_more_jobs_than_asked_for_are_submitted_also_if_a_time_limit_stops_some(tmp_path, monkeypatch):
    """Each job of the imagined cluster is stopped once before it ends."""
    submitted, most = [], []

    def submit(_executor, tasks):
        submitted.extend(tasks)
        return dict.fromkeys(tasks, "job")

    def ended(left, _folder):
        most.append(len(left))
        return [(task, STOPPED if submitted.count(task) == 1 else None) for task in list(left)[:1]]

    monkeypatch.setattr(slurm, "_executor", lambda *_: SimpleNamespace(folder=tmp_path))
    monkeypatch.setattr(slurm, "_submit", submit)
    monkeypatch.setattr(slurm, "_ended", ended)
    monkeypatch.setattr(slurm, "_cancel", lambda left: None)
    monkeypatch.setattr(slurm, "_LOOK_SECONDS", 0)
    tasks = [script(tmp_path, number, "") for number in range(5)]
    found = launch(tasks, launcher="slurm", jobs=2, logs=tmp_path)
    assert sorted(task.name for task, reason in found if reason is None) == [task.name for task in tasks]
    assert max(most) == 2
    assert [submitted.count(task) for task in tasks] == [2] * 5


def test_a_launcher_is_a_file_and_a_line_of_the_table(tmp_path, monkeypatch):
    module = ModuleType("gazekit.study.launch.imagined")
    module.imagined = lambda tasks, *, jobs, logs, should_stop: iter(
        [(task, f"{jobs} jobs") for task in tasks]
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(LAUNCHERS, "imagined", Launcher("imagined", "imagined", elsewhere=True))
    assert list(launch(["run"], launcher="imagined", jobs=3, logs=tmp_path)) == [("run", "3 jobs")]
    assert device_of_runs("cuda", "imagined").type == "cuda"
    with pytest.raises(
        ConfigurationError, match=r"launcher imagine: expected local or .*slurm or .*imagined"
    ):
        launch(["run"], launcher="imagine", jobs=1, logs=tmp_path)
