"""In a run or a study that a stranger made, gazekit writes, removes and starts nothing outside it."""

import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from command_line import TINY, gazekit
from gazekit_components.trackers.tensorboard_tracker import TensorBoard
from PIL import Image
from tiny import tiny

from gazekit.contracts.tracking import TrackedRun
from gazekit.disk.atomic import (
    append_line,
    disk_errors,
    forget_partial,
    new_folder,
    opened_to_change,
    whole_name,
    write_atomically,
)
from gazekit.errors import ConfigurationError, DataError, StorageError
from gazekit.exporting import program_files
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.reporting.study.page import StudyPicture
from gazekit.runs.checkpoints import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.trained import Trained
from gazekit.study.folder import StudyFolder
from gazekit.study.launch import slurm as launch_slurm
from gazekit.training.start import StartSettings, start_run

THEIRS = "# start-up file of a shell\n"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A file outside of every run."""
    file = tmp_path / "home" / ".bashrc"
    file.parent.mkdir()
    file.write_text(THEIRS)
    return file


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_run, tmp_path / "run")


def damaged_checkpoint(run: Path, schema: str) -> None:
    """A second selected checkpoint, whose manifest says what ends up in messages."""
    [good] = (run / "checkpoints" / "best").iterdir()
    bad = shutil.copytree(good, good.with_name("999999"))
    (bad / "manifest.json").write_text(json.dumps({"schema": schema, "files": {}}))


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to], ids=["link", "second name"])
def test_evaluating_a_strangers_run_writes_nothing_into_a_file_elsewhere(
    run: Path, theirs: Path, link, raw_folder: Path
) -> None:
    damaged_checkpoint(run, "x\ntouch /tmp/theirs #")
    (run / "log.txt").unlink()
    link(run / "log.txt", theirs)
    said = gazekit("evaluate", run, "--resamples", 100).stderr
    assert "999999" in said and "using the one before it" in said
    assert "\ntouch" not in said, "no line of its own"
    gazekit("predict", run, raw_folder / "e005_cc.png", raw_folder / "e005_mlo.png")
    assert theirs.read_text() == THEIRS


def test_a_line_is_not_added_through_a_link_and_not_to_a_pipe_or_a_device(
    tmp_path: Path, theirs: Path
) -> None:
    (tmp_path / "link").symlink_to(theirs)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/full")
    is_what = {"link": "it is a link", "pipe": "", "device": "it is a link"}
    for name, cause in is_what.items():
        said = f"{name}: cannot write 2 bytes: {cause}.*; remove it or choose another folder$"
        with pytest.raises(StorageError, match=said):
            append_line(tmp_path / name, "x")
    (tmp_path / "name").hardlink_to(theirs)
    append_line(tmp_path / "name", "x")
    assert (tmp_path / "name").read_text() == f"{THEIRS}x\n" and theirs.read_text() == THEIRS


@pytest.mark.parametrize("name", ["report.html", "predictions.csv", "evaluation.json", "attention.png"])
def test_a_file_of_the_run_is_replaced_and_not_what_a_link_of_its_name_leads_to(
    run: Path, theirs: Path, name: str
) -> None:
    for link in (run / name, run / f".{name}.partial"):
        link.symlink_to(theirs)
    write_atomically(run / name, b"ours")
    assert (run / name).read_bytes() == b"ours" and not (run / name).is_symlink()
    assert theirs.read_text() == THEIRS


def test_the_log_has_a_line_per_message(run: Path) -> None:
    before = (run / "log.txt").read_text()
    RunDirectory(run).log("a\r\nb\x1b[2Jc\u202ed")
    assert (run / "log.txt").read_text() == before + r"a\r\nb\x1b[2Jc\u202ed" + "\n"


@pytest.mark.parametrize("name", ["checkpoints", "checkpoints/best"])
def test_checkpoints_elsewhere_are_neither_read_nor_removed(run: Path, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(run / name, elsewhere)
    for step in (100000, 200000, 300000, 400000):
        (elsewhere / str(step)).mkdir()
    (run / name).symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir())
    for command in (["train", "--out", run, "--resume"], ["evaluate", run]):
        assert f"{run / name}: is a link" in gazekit(*command, code=3).stderr
    assert sorted(elsewhere.iterdir()) == before
    with pytest.raises(DataError, match="is a link"):
        checkpoint.save_step(run / name, 1, {"w": torch.zeros(1)}, {})


def test_a_run_that_is_overwritten_loses_its_links_and_nothing_behind_them(
    run: Path, theirs: Path, dataset: PreparedDataset
) -> None:
    shutil.rmtree(run / "tensorboard", ignore_errors=True)
    (run / "tensorboard").symlink_to(theirs.parent)
    (run / "log.txt").unlink()
    (run / "log.txt").symlink_to(theirs)
    common = ["--data", dataset.root, "--out", run, "--epochs", 1, *TINY]
    gazekit("train", "--preset", "mammonet_small", *common, "--overwrite")
    assert theirs.read_text() == THEIRS and not (run / "tensorboard").exists()


def test_event_files_are_not_written_into_another_folder(run: Path, theirs: Path) -> None:
    pytest.importorskip("tensorboard")
    (run / "tensorboard").symlink_to(theirs.parent)
    with pytest.raises(DataError, match="tensorboard: is a link"):
        TensorBoard().begin(TrackedRun("run", run, run / "trackers", {}, {}), None)
    assert [file.name for file in theirs.parent.iterdir()] == [".bashrc"]


def test_a_lock_that_is_a_link_is_refused(run: Path, theirs: Path) -> None:
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").symlink_to(theirs)
    assert ".lock: is not a regular file" in gazekit("train", "--out", run, "--resume", code=3).stderr
    assert theirs.read_text() == THEIRS


@pytest.mark.parametrize("name", ["runs", "splits", "systems"])
def test_a_study_does_not_write_where_a_link_leads(
    tmp_path: Path, dataset: PreparedDataset, name: str
) -> None:
    elsewhere, study = tmp_path / "elsewhere", tmp_path / "study"
    elsewhere.mkdir()
    few = ["--preset", "late_concat", "--data", dataset.root, "--folds", 2, "--seeds", 1, "--out", study]
    gazekit("benchmark", *few, "--so-far", "--no-timing")
    shutil.rmtree(study / name)
    (study / name).symlink_to(elsewhere)
    assert f"{name}: is a link" in gazekit("benchmark", "--out", study, "--no-timing", code=3).stderr
    assert list(elsewhere.iterdir()) == []


def test_the_loser_of_two_studies_leaves_the_winners_folder(tmp_path: Path) -> None:
    """Both begin within a moment: the winner has its lock, but has not yet written what the study is."""
    study = StudyFolder(tmp_path / "study")
    with study.lock():
        with pytest.raises(ConfigurationError, match="another process is carrying out"), study.lock():
            raise AssertionError("two at once")
        assert (study.path / ".lock").exists()
        with pytest.raises(ConfigurationError, match="another process is carrying out"), study.lock():
            raise AssertionError("two at once")
    assert not study.path.exists(), "a study that could not begin leaves nothing"


def begin(path: Path, root: Path, barrier, ended) -> None:
    """In a process: make a new run, as ``train --resume`` does."""
    import gazekit as package

    registry = package.load_registry()
    dataset = PreparedDataset.open(root)
    barrier.wait()
    try:
        start_run(
            *(path, tiny(registry), registry, dataset, make_split(dataset)),
            StartSettings(seed=0, device=torch.device("cpu"), leftovers=True),
        )
    except ConfigurationError as error:
        ended.put(str(error))
    else:
        ended.put("")


def test_of_two_that_begin_one_run_at_once_one_does(tmp_path: Path, dataset: PreparedDataset) -> None:
    context = multiprocessing.get_context("fork")
    barrier, ended = context.Barrier(2), context.Queue()
    both = [
        context.Process(target=begin, args=(tmp_path / "run", dataset.root, barrier, ended)) for _ in range(2)
    ]
    for process in both:
        process.start()
    said = sorted(ended.get(timeout=120) for _ in both)
    for process in both:
        process.join()
    assert said[0] == "" and "another process" in said[1]
    assert RunDirectory.open(tmp_path / "run").facts().seed == 0


def test_what_a_kill_left_half_written_is_cleared_away_later(tmp_path: Path) -> None:
    old, new = tmp_path / ".run.json.0a1b2c3d.partial", tmp_path / ".run.json.ffffffff.partial"
    for file in (old, new):
        file.write_text("{")
    os.utime(old, (0, 0))
    (tmp_path / ".x.partial").symlink_to(old)
    forget_partial(tmp_path, now=new.stat().st_mtime)
    assert not old.exists() and new.exists() and (tmp_path / ".x.partial").is_symlink()
    assert whole_name(old.name) == "run.json" and whole_name(".run.json.partial") == "run.json"
    assert whole_name("run.json") == "run.json"


def test_a_read_only_run_with_one_damaged_checkpoint_still_predicts(run: Path, raw_folder: Path) -> None:
    """The log cannot be written to, here as it is a folder; for root there is no read-only file."""
    damaged_checkpoint(run, "gazekit.checkpoint/1")
    (run / "log.txt").unlink()
    (run / "log.txt").mkdir()
    said = gazekit("predict", run, raw_folder / "e005_cc.png", raw_folder / "e005_mlo.png")
    assert "999999" in said.stderr and "malignant" in said.stdout


def test_a_phantom_is_not_drawn_where_a_link_leads(tmp_path: Path) -> None:
    elsewhere, phantom = tmp_path / "elsewhere", tmp_path / "phantom"
    elsewhere.mkdir()
    gazekit("data", "phantom", phantom, "--exams", 1)
    shutil.rmtree(phantom / "images")
    (phantom / "images").symlink_to(elsewhere)
    assert "images: is a link" in gazekit("data", "phantom", phantom, "--exams", 1, code=3).stderr
    assert list(elsewhere.iterdir()) == []
    (phantom / "phantom.json").unlink()
    os.mkfifo(phantom / "phantom.json")
    assert "phantom.json: is a pipe" in gazekit("data", "phantom", phantom, "--exams", 1, code=3).stderr


def test_an_array_that_has_a_second_name_elsewhere_is_not_changed(tmp_path: Path, theirs: Path) -> None:
    (tmp_path / "images.npy").hardlink_to(theirs)
    with pytest.raises(OSError, match="second name"):
        opened_to_change(tmp_path / "images.npy")
    assert theirs.read_text() == THEIRS


def test_a_picture_of_a_study_is_a_png_file_in_it(tmp_path: Path, theirs: Path) -> None:
    private = tmp_path / "private.png"
    Image.new("RGB", (4, 4)).save(private)
    path = tmp_path / "attention.png"
    picture = StudyPicture("title", path, "alt", "text")
    path.symlink_to(private)
    with pytest.raises(DataError, match=r"attention\.png: is a link"):
        picture.shown()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match=r"attention\.png: is a pipe"):
        picture.shown()
    path.unlink()
    Image.new("1", (10_000, 5_000)).save(path)
    with pytest.raises(DataError, match="10000 × 5000 pixels, expected at most 40000000"):
        picture.shown()
    Image.new("RGB", (4, 4)).save(path, format="JPEG")
    with pytest.raises(DataError, match="not a readable picture"):
        picture.shown()


def test_results_of_jobs_are_read_from_a_folder_that_was_not_there(tmp_path: Path, theirs: Path) -> None:
    """They are pickles: one that came with a study must never be opened."""
    first, second = launch_slurm._new_folder(tmp_path / "logs"), launch_slurm._new_folder(tmp_path / "logs")
    assert first != second and not list(first.iterdir())
    shutil.rmtree(tmp_path / "logs" / "slurm")
    (tmp_path / "logs" / "slurm").symlink_to(theirs.parent)
    with pytest.raises(DataError, match="slurm: is a link"):
        launch_slurm._new_folder(tmp_path / "logs")


def test_what_a_killed_export_left_is_cleared_away_and_no_other_file(tmp_path: Path) -> None:
    with new_folder(tmp_path / "model.onnx") as left:
        kept = shutil.copytree(left, left.with_name(".model.onnx.0a1b2c3d.partial"))
    others = [tmp_path / ".model.onnx.partial-notes", tmp_path / ".other.0a1b2c3d.partial"]
    for other in others:
        other.mkdir()
    for path in (kept, *others):
        os.utime(path, (0, 0))
    assert not left.exists() and whole_name(left.name) == "model.onnx"
    forget_partial(tmp_path, now=time.time(), of="model.onnx")
    assert not kept.exists() and all(other.exists() for other in others)


def test_a_run_with_what_a_killed_export_left_can_be_begun_again(run: Path, dataset: PreparedDataset) -> None:
    (run / ".model.onnx.0a1b2c3d.partial").mkdir()
    common = ["--data", dataset.root, "--out", run, "--epochs", 1, *TINY]
    gazekit("train", "--preset", "mammonet_small", *common, "--overwrite")
    assert not (run / ".model.onnx.0a1b2c3d.partial").exists()


@pytest.mark.parametrize("name", ["preset.toml", "split.csv"])
def test_no_file_of_a_run_leads_to_one_elsewhere(
    run: Path, tmp_path: Path, raw_folder: Path, name: str
) -> None:
    """A stranger's run would else show what another file of the reader's holds."""
    (run / name).rename(tmp_path / name)
    (run / name).symlink_to(tmp_path / name)
    images = [raw_folder / "e005_cc.png", raw_folder / "e005_mlo.png"]
    for command in (["evaluate", run], ["predict", run, *images], ["runs", "verify", run]):
        assert f"{name}: is a link" in gazekit(*command, code=3).stderr
    assert f"{name}: is a link" in gazekit("runs", "list", run.parent).stderr


def test_a_log_that_is_a_link_or_a_pipe_is_a_fault_of_the_run(run: Path, theirs: Path) -> None:
    (run / "log.txt").unlink()
    assert "log.txt" not in gazekit("runs", "verify", run).stderr
    (run / "log.txt").symlink_to(theirs)
    assert "log.txt: is a link; expected the log" in gazekit("runs", "verify", run, code=3).stderr
    (run / "log.txt").unlink()
    os.mkfifo(run / "log.txt")
    assert "log.txt: is a pipe; expected the log" in gazekit("runs", "verify", run, code=3).stderr


def test_a_file_does_not_take_the_place_of_a_device_or_a_pipe(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    """As root, ``--out /dev/null`` would otherwise leave a file there for every program of the machine."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    for name in ("pipe", "device"):
        before = (tmp_path / name).lstat()
        with pytest.raises(StorageError, match=f"{name}: is a device or a pipe"):
            write_atomically(tmp_path / name, "text")
        said = gazekit("data", "split", dataset.root, tmp_path / name, code=74).stderr
        assert f"error: {tmp_path / name}: is a device or a pipe, which a file would replace" in said
        assert (tmp_path / name).lstat() == before


def test_a_file_is_not_written_in_the_place_of_a_folder_nor_in_a_missing_one(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    export = ("export", tiny_run, "--format", "torch-export", "--no-attention", "--overwrite", "--out")
    report = ("report", tiny_run, "--out")
    monkeypatch.setattr(program_files, "torch_program", pytest.fail)  # it is said before the work
    for command, out in ((report, "."), (report, "there"), (export, "there"), (export, ".")):
        said = gazekit(*command, out, code=74).stderr
        assert f"error: {out}: is a folder; name a file in it" in said
    said = gazekit(*report, "new/page.html", code=74).stderr
    assert "error: new: there is no such folder to write page.html in; make it, or choose another" in said
    assert [path.name for path in tmp_path.iterdir()] == ["there"] and not list(
        (tmp_path / "there").iterdir()
    )
    for place, cause in ((Path(), "is a folder"), (Path("new/page.html"), "no such folder")):
        with pytest.raises(StorageError, match=cause):
            write_atomically(place, "text")
    with (
        pytest.raises(StorageError, match=r"^there/page: cannot write: No such file"),
        disk_errors(Path("there/page")),
    ):
        Path(
            "there/.page.0a1b2c3d.partial"
        ).read_bytes()  # as where its folder has gone; the name is none to show


def test_a_place_that_cannot_be_written_is_said_before_the_work(
    tiny_run: Path, raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page_cases").write_text("a file")
    (tmp_path / "sub" / "attention.png").mkdir(parents=True)
    gaze = tmp_path / "not_read.csv"
    report, found = ("report", tiny_run, "--out"), ("gaze", "fixations", gaze, "--out")
    joined = ("gaze", "import", gaze, "--dataset", "folder", "--source", raw_folder)
    monkeypatch.setattr(Trained, "predict", pytest.fail)
    for option in ("--overlays", "--dicom-out"):
        predict = ("predict", tiny_run, raw_folder, option, tmp_path / "page_cases")
        assert "page_cases: is no folder to write files in" in gazekit(*predict, code=74).stderr
    drawn = ("gaze", "validate", gaze, *joined[3:], "--overlays", tmp_path / "page_cases")
    assert "page_cases: is no folder to write files in" in gazekit(*drawn, code=74).stderr
    for command in (report, found, joined):
        said = gazekit(*command, tmp_path / "page_cases" / "x" / "out.csv", code=74).stderr
        assert (
            f"page_cases{'' if command is joined else '/x'}: " in said
            and " folder to write out.csv in" in said
        )
    assert "attention.png: is a folder" in gazekit(*report, tmp_path / "sub" / "page.html", code=74).stderr
    assert "page_cases: is not a folder" in gazekit(*report, tmp_path / "page.html", code=3).stderr
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)
    for command in (report, found):
        said = gazekit(*command, tmp_path / "out.csv", code=74).stderr
        assert f"error: {tmp_path}: you may not write out.csv in this folder; choose another" in said
