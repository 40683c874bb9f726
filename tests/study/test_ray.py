"""Runs of a study as tasks of a Ray cluster, which a process started by these tests holds."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec

import pytest
from command_line import gazekit
from test_launch import real_task

from gazekit.errors import ConfigurationError, Preempted
from gazekit.runs.directory import RunDirectory
from gazekit.study.launch.launch import launch
from gazekit.training.signals import stop_on_signals

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(find_spec("ray") is None, reason="not installed: ray"),
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(900),  # a cluster starts slowly on a busy machine
]
LONG = "training.epochs=60"


def free_ports(number):
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """A cluster with given ports: Ray waits 15 seconds alone for its agents to choose theirs."""
    port, *agents = free_ports(5)
    names = ("dashboard-agent-grpc", "dashboard-agent-listen", "metrics-export", "runtime-env-agent")
    ports = [f"--{name}-port={number}" for name, number in zip(names, agents, strict=True)]
    start = [
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--num-cpus=2",
        "--include-dashboard=false",
    ]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "300")
        patch.setenv("RAY_agent_register_timeout_ms", "300000")
        patch.setenv("RAY_AUTH_MODE", "token")  # read when ray is imported
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # of this cluster alone
        patch.setenv("OMP_NUM_THREADS", "1")  # cores that a task takes: two fit
        patch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        own = [f"--port={port}", "--node-ip-address=127.0.0.1", f"--temp-dir={folder}"]
        command = [sys.executable, *start, *own, *ports, "--object-store-memory=80000000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as head:
            said = ""
            while "Ray runtime started" not in said:
                line = head.stdout.readline()
                assert line, said
                said += line
            yield
            head.terminate()
            head.communicate(timeout=60)


def on_ray(tasks, folder, **options):
    return launch(tasks, launcher="ray", jobs=2, logs=folder / "logs", **options)


def epochs_of(task):
    return len(RunDirectory(task.path).read_metrics()) if (task.path / "metrics.jsonl").exists() else 0


def process_of(task):
    """The process that trains a run, and its parent."""
    listed = subprocess.run(
        ["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout
    for line in listed.split("\n"):
        if str(task.path) in line and "--attached" in line:
            return tuple(map(int, line.split()[:2]))
    return None


def test_tasks_give_what_runs_here_give_and_a_failed_one_says_why(tmp_path, dataset, registry, monkeypatch):
    here = real_task(tmp_path / "here", dataset, registry, 1)
    assert list(launch([here], launcher="local", jobs=1, logs=tmp_path)) == [(here, None)]
    there = real_task(tmp_path / "there", dataset, registry, 1)
    other = real_task(tmp_path / "there", dataset, registry, 2)
    broken = replace(there, seed=3, path=tmp_path / "broken", data=tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    relative = replace(other, path=other.path.relative_to(tmp_path))
    reasons = dict(on_ray([there, broken, relative], tmp_path))
    assert (reasons[there], reasons[relative]) == (None, None)
    assert "nowhere" in reasons[broken] and "\n" not in reasons[broken]
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["tiny-fold-1-seed-3.log"]
    assert (there.path / "predictions.csv").read_text() == (here.path / "predictions.csv").read_text()
    assert RunDirectory(other.path).read_metrics()[-1]["epoch"] == 3


def test_a_stop_cancels_the_tasks_which_save_and_the_same_study_goes_on(tmp_path, dataset, registry):
    task = real_task(tmp_path / "there", dataset, registry, 1, LONG)
    waiting = [real_task(tmp_path / "there", dataset, registry, seed, LONG) for seed in (2, 3)]
    with pytest.raises(Preempted, match="stopped; 3 runs left"):
        list(on_ray([task, *waiting], tmp_path, should_stop=lambda: epochs_of(task) >= 3))
    assert process_of(task) is None
    assert "checkpoint written" in (tmp_path / "logs/tiny-fold-1-seed-1.log").read_text()
    done = epochs_of(task)
    assert 3 <= done < 60
    assert list(on_ray([task], tmp_path)) == [(task, None)]
    assert [line["epoch"] for line in RunDirectory(task.path).read_metrics()] == list(range(1, 61))


@pytest.mark.parametrize("victim", ["run", "worker"])
def test_a_run_or_a_worker_that_is_killed_is_noticed_and_nothing_trains_on(
    tmp_path, dataset, registry, victim
):
    task = real_task(tmp_path / "there", dataset, registry, 1, LONG)

    def kill():
        while epochs_of(task) < 3:
            time.sleep(0.1)
        os.kill(process_of(task)[victim == "worker"], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    [(_, reason)] = on_ray([task], tmp_path)
    thread.join()
    expected = {"run": "its process was killed by SIGKILL", "worker": "its Ray task was lost: "}
    assert reason.startswith(expected[victim])
    until = time.monotonic() + 30
    while process_of(task) is not None:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert 3 <= epochs_of(task) < 60


def test_signals_keep_their_meaning_while_connected(tmp_path, dataset, registry):
    task = real_task(tmp_path / "there", dataset, registry, 1, LONG)
    with stop_on_signals() as signals:

        def should_stop():
            if epochs_of(task) >= 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return signals.asked()

        with pytest.raises(Preempted, match="stopped; 1 run left"):
            list(on_ray([task], tmp_path, should_stop=should_stop))


def test_without_a_cluster_it_says_how_to_start_one(tmp_path, dataset, registry, monkeypatch):
    task = real_task(tmp_path / "there", dataset, registry, 1)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "1")  # else it tries for 20
    with pytest.raises(ConfigurationError, match=r"no connection to a cluster .*ray start --head"):
        list(on_ray([task], tmp_path))


def test_a_study_from_the_command_line(tmp_path, dataset):
    command = ("benchmark", "--preset", "mammonet_small", "--data", dataset.root, "--out", tmp_path / "study")
    options = "--folds 2 --seeds 1 --set training.epochs=1 --set training.batch_size=8 --device cpu"
    done = gazekit(*command, *options.split(), "--launcher", "ray", "--jobs", 2)
    assert "mammonet_small" in done.stdout
    assert len(list((tmp_path / "study/runs").rglob("predictions.csv"))) == 2
