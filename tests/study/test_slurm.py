"""Runs of a study as jobs of a real Slurm, which ``slurm_cluster`` starts on this machine."""

import subprocess
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from slurm_cluster import missing_programs, slurm_cluster
from test_launch import real_task

from gazekit.errors import ConfigurationError, Preempted
from gazekit.runs.directory import RunDirectory
from gazekit.study.launch.launch import launch

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(missing_programs()), reason=f"not installed: {', '.join(missing_programs())}"),
]
LONG = "training.epochs=150"


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # cores that a job asks for: two jobs fit
        with slurm_cluster(Path(folder) / "slurm") as conf:
            patch.setenv("SLURM_CONF", str(conf))
            yield


def on_slurm(tasks, folder, **options):
    return launch(tasks, launcher="slurm", jobs=2, logs=folder / "logs", **options)


def jobs():
    """Running job ids."""
    command = ["squeue", "--me", "--noheader", "--array", "--states=R", "--format=%i"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def epochs_of(task):
    return len(RunDirectory(task.path).read_metrics()) if (task.path / "metrics.jsonl").exists() else 0


def wait_until(said, seconds=60):
    until = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < until
        time.sleep(0.1)


def while_it_trains(task, *command):
    """In a thread: once the run has some epochs, do this to its job."""

    def act():
        wait_until(lambda: epochs_of(task) >= 3)
        [job] = jobs()
        subprocess.run([*command, job], check=True)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_jobs_give_what_runs_here_give_and_a_failed_one_says_why(tmp_path, dataset, registry):
    here = real_task(tmp_path / "here", dataset, registry, 1)
    assert list(launch([here], launcher="local", jobs=1, logs=tmp_path)) == [(here, None)]
    there = real_task(tmp_path / "there", dataset, registry, 1)
    other = real_task(tmp_path / "there", dataset, registry, 2)
    broken = replace(there, path=tmp_path / "broken", data=tmp_path / "nowhere")
    reasons = dict(on_slurm([there, broken, other], tmp_path))
    assert (reasons[there], reasons[other]) == (None, None)
    assert "nowhere" in reasons[broken] and "\n" not in reasons[broken]
    assert (there.path / "predictions.csv").read_text() == (here.path / "predictions.csv").read_text()


def test_a_job_that_its_time_limit_stops_saves_and_is_submitted_again(tmp_path, dataset, registry):
    """SIGUSR2 is what Slurm sends shortly before the limit."""
    task = real_task(tmp_path / "there", dataset, registry, 1, LONG)
    thread = while_it_trains(task, "scancel", "--signal=USR2")
    assert list(on_slurm([task], tmp_path)) == [(task, None)]
    thread.join()
    submitted = {path.name.partition("_")[0] for path in (tmp_path / "logs" / "slurm").rglob("*_result.pkl")}
    assert len(submitted) == 2
    assert [line["epoch"] for line in RunDirectory(task.path).read_metrics()] == list(range(1, 151))


def test_a_stop_cancels_the_jobs_which_save_and_the_same_study_goes_on(tmp_path, dataset, registry):
    task = real_task(tmp_path / "there", dataset, registry, 1, LONG)
    waiting = [real_task(tmp_path / "there", dataset, registry, seed, LONG) for seed in (2, 3)]
    with pytest.raises(Preempted, match="stopped; 3 runs left"):
        list(on_slurm([task, *waiting], tmp_path, should_stop=lambda: epochs_of(task) >= 3))
    assert jobs() == []
    done = epochs_of(task)
    assert 3 <= done < 150
    assert list(on_slurm([task], tmp_path)) == [(task, None)]
    assert [line["epoch"] for line in RunDirectory(task.path).read_metrics()] == list(range(1, 151))


def test_a_job_that_is_killed_is_noticed(tmp_path, dataset, registry):
    """As by the kernel where memory runs out: there is no result, and nobody saved."""
    task = real_task(tmp_path / "there", dataset, registry, 1, LONG)
    thread = while_it_trains(task, "scancel", "--signal=ABRT")
    [(_, reason)] = on_slurm([task], tmp_path)
    thread.join()
    assert "was lost" in reason


def test_a_job_that_the_cluster_does_not_want_is_refused_with_its_words(
    tmp_path, dataset, registry, monkeypatch
):
    task = real_task(tmp_path / "there", dataset, registry, 1)
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    with pytest.raises(ConfigurationError, match=r"sbatch refuses the job: .*invalid partition"):
        list(on_slurm([task], tmp_path))
