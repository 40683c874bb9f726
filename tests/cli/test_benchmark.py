"""``gazekit benchmark`` as a user meets it: the grid, resuming, failed runs, refused options, written files."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command_line import gazekit
from tiny import SMALL, small_changes

from gazekit.errors import Preempted
from gazekit.modelling.build import build_model
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split, write_split
from gazekit.prepared.verification import seal
from gazekit.runs.directory import RunDirectory
from gazekit.study.folder import StudyFolder

FEW = [*SMALL, "training.batch_size=4", "training.epochs=1"]
MAMMONET = ["fusion.maps.heads=2", "fusion.maps.head_dim=3", "gaze.alignment_loss.levels=2"]


def study_toml(folder, dataset, *rows, head="folds = 2\nseeds = 2"):
    """A study of tiny systems; a row is its preset and its own changes."""
    tables = [f'[[system]]\npreset = "{preset}"\nset = {json.dumps(changes)}' for preset, changes in rows]
    path = folder / "STUDY.toml"
    text = f'title = "Two tiny ones"\ndata = "{dataset.root}"\n{head}\nset = {json.dumps(FEW)}\n'
    path.write_text("\n".join([text, *tables]) + "\n")
    return path


ROWS = (("late_concat", []), ("mammonet_small", MAMMONET))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, dataset):
    """A study of two systems, two folds and two seeds that was carried out, and what it printed."""
    folder = tmp_path_factory.mktemp("study")
    said = gazekit("benchmark", study_toml(folder, dataset, *ROWS), "--out", folder / "out")
    return folder / "out", said


def predictions(out):
    return {path: path.stat().st_mtime_ns for path in sorted(out.glob("runs/*/*/predictions.csv"))}


def test_every_system_is_trained_on_every_fold_with_every_seed(finished, dataset):
    out, said = finished
    assert "8 runs, 0 of them done" in said.stderr and "0 left: mammonet_small fold-2-seed-1" in said.stderr
    names = {str(path.parent.relative_to(out / "runs")) for path in predictions(out)}
    grid = {f"fold-{fold}-seed-{seed}" for fold in (1, 2) for seed in (0, 1)}
    assert names == {f"{preset}/{name}" for preset, _ in ROWS for name in grid}
    tested = []
    for fold in (1, 2):
        per_system = []
        for preset, _ in ROWS:
            with (out / "runs" / preset / f"fold-{fold}-seed-1" / "predictions.csv").open() as file:
                per_system.append([row["exam_id"] for row in csv.DictReader(file)])
        assert per_system[0] == per_system[1]
        tested += per_system[0]
    assert sorted(tested) == sorted(dataset.exam_ids)


def test_the_table_and_its_files_say_the_same(finished):
    out, said = finished
    result = json.loads((out / "results.json").read_text())
    assert result["schema"] == "gazekit.study/1"
    assert [(row["name"], row["runs"], row["planned"]) for row in result["rows"]] == [
        ("late_concat", 4, 4),
        ("mammonet_small", 4, 4),
    ]
    auc = result["rows"][1]["metrics"]["auc"]
    shown = f"{auc['mean']:.3f} ± {auc['sd']:.3f}"
    assert shown in said.stdout and shown in (out / "results.md").read_text()
    assert "2-fold cross-validation by patient" in said.stdout
    last = "\n".join(said.stdout.splitlines()[-20:])  # in sight in a terminal of 24 lines
    assert shown in last and "AUC difference" in last
    assert result["rows"][1]["comparison"]["exams"] == 24 and result["rows"][0]["comparison"] is None
    assert {path.name for path in out.glob("results.*")} == {
        f"results.{s}" for s in ("json", "md", "csv", "tex")
    }
    for figure in ("auc.png", "roc.png", "differences.png", "attention.png"):
        assert (out / figure).stat().st_size > 5000


@pytest.mark.usefixtures("undrawn")
def test_a_look_at_a_study_keeps_its_step_times(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out, symlinks=True)

    def times(*options):
        rows = json.loads(gazekit("benchmark", "--out", out, "--json", *options).stdout)["rows"]
        return [row["step_ratio"] for row in rows]

    measured = [row["step_ratio"] for row in json.loads((out / "results.json").read_text())["rows"]]
    assert measured[0] == 1 and measured[1] > 0
    assert times("--so-far") == measured == times("--no-timing")
    (out / "results.json").write_text("{")
    assert times("--so-far") == [None, None]


@pytest.mark.usefixtures("undrawn")
def test_the_same_command_again_trains_nothing_and_a_lost_run_alone_is_done_again(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out, symlinks=True)
    before = predictions(out)
    again = gazekit("benchmark", "--out", out, "--no-timing")
    assert "8 runs, 8 of them done" in again.stderr and predictions(out) == before
    lost = out / "runs" / "late_concat" / "fold-2-seed-0"
    kept = (lost / "predictions.csv").read_bytes()
    shutil.rmtree(lost)
    so_far = gazekit("benchmark", "--out", out, "--no-timing", "--so-far", "--json")
    rows = {row["name"]: row for row in json.loads(so_far.stdout)["rows"]}
    assert [(row["runs"], row["planned"]) for row in rows.values()] == [(3, 4), (4, 4)]
    assert not lost.exists()
    assert "8 runs, 7 of them done" in gazekit("benchmark", "--out", out, "--no-timing").stderr
    assert (lost / "predictions.csv").read_bytes() == kept
    del before[lost / "predictions.csv"]
    assert before.items() < predictions(out).items()


@pytest.mark.usefixtures("undrawn")
def test_so_far_works_while_another_process_carries_out_the_study_and_changes_nothing_of_it(
    finished, tmp_path
):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out, symlinks=True)
    shutil.rmtree(out / "runs" / "late_concat" / "fold-2-seed-0")
    facts, command = (out / "study.json").read_bytes(), ("benchmark", "--out", out, "--no-timing")
    with StudyFolder(out).lock():
        assert "another process is carrying out this study" in gazekit(*command, code=2).stderr
        rows = json.loads(gazekit(*command, "--so-far", "--json").stdout)["rows"]
        assert [row["runs"] for row in rows] == [3, 4]
        more = (("--preset", "single_cc"), ("--seeds", 3))
        refused = [gazekit(*command, "--so-far", *option, code=2).stderr for option in more]
    refused += [
        gazekit(*command, "--so-far", *option, code=2).stderr for option in more
    ]  # nor without the other
    assert all("so nothing can be added to it" in " ".join(each.split()) for each in refused)
    assert (out / "study.json").read_bytes() == facts
    assert [row["runs"] for row in json.loads((out / "results.json").read_text())["rows"]] == [3, 4]


@pytest.mark.usefixtures("undrawn")
def test_a_report_of_results_that_are_older_than_the_runs_says_how_to_collect_them(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out, symlinks=True)
    result = json.loads((out / "results.json").read_text())
    result["rows"][1] |= {"runs": 0, "metrics": {}, "comparison": None}
    (out / "results.json").write_text(json.dumps(result))
    said = gazekit("report", out)
    page = (out / "report.html").read_text()
    for text, study in ((said.stderr, out), (page, "out")):  # a page that is handed on shows no folders
        assert (
            f"4 runs are newer than these results; collect them: gazekit benchmark --out {study} --so-far"
            in text
        )
    assert "ROC curve of late_concat" in page and "ROC curve of mammonet_small" not in page
    assert "newer" not in gazekit("report", finished[0]).stderr


def test_a_study_whose_weights_were_removed_keeps_its_table(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out, symlinks=True)
    (out / "attention.png").unlink()
    shutil.rmtree(out / "runs" / "late_concat" / "fold-1-seed-0" / "checkpoints")
    again = gazekit("benchmark", "--out", out, "--no-timing")
    assert "8 runs, 8 of them done" in again.stderr
    left_out = [line for line in again.stderr.splitlines() if "no attention of" in line]
    assert len(left_out) == 1 and "no attention of late_concat:" in left_out[0]
    assert (out / "attention.png").stat().st_size > 5000  # of the other system
    for name in ("metrics", "comparison"):
        before, after = (json.loads((place / "results.json").read_text()) for place in (finished[0], out))
        assert [row[name] for row in before["rows"]] == [row[name] for row in after["rows"]]


@pytest.mark.usefixtures("undrawn")
def test_a_row_is_added_and_what_would_mix_two_studies_is_refused(finished, dataset, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out, symlinks=True)
    more = ("benchmark", "--out", out, "--no-timing", "--json")
    rows = json.loads(gazekit(*more, "--preset", "single_cc", "--paper", "inbreast").stdout)["rows"]
    assert [(row["name"], row["runs"]) for row in rows] == [
        ("late_concat", 4),
        ("mammonet_small", 4),
        ("single_cc", 4),
    ]
    assert all(row["reported"] is None for row in rows)  # the study's recipe is not that of the paper
    refused = gazekit(*more, "--folds", 3, "--seeds", 1, code=2).stderr
    assert "folds is 3, there 2" in refused and "seeds are 1, there 2 (they may only grow)" in refused
    refused = gazekit(*more, "--paper", "cbis", code=2).stderr
    assert "no preset of this study has figures of that name; there are cbis_ddsm, inbreast" in refused
    both = gazekit("benchmark", study_toml(tmp_path, dataset, *ROWS), "--seeds", 3, code=2).stderr
    assert "write seeds into it and leave out the options" in both


@pytest.mark.usefixtures("undrawn")
def test_a_row_is_added_to_a_study_that_names_its_reference(finished, dataset, tmp_path):
    folder = tmp_path / "study"
    head = 'folds = 2\nseeds = 1\nreference = "late_concat"'
    folder.mkdir()
    gazekit(
        "benchmark", study_toml(folder, dataset, ROWS[0], head=head), "--out", folder / "out", "--no-timing"
    )
    more = ("benchmark", "--out", folder / "out", "--no-timing", "--json")
    result = json.loads(gazekit(*more, "--preset", "single_cc").stdout)
    assert result["reference"] == "late_concat"
    assert [row["name"] for row in result["rows"]] == ["late_concat", "single_cc"]
    comparison = result["rows"][1]["comparison"]
    assert 0 < comparison["runs_p"] <= comparison["runs_holm"] <= 1


@pytest.mark.usefixtures("undrawn")
def test_a_system_keeps_the_data_it_began_with(finished, dataset, tmp_path):
    """One that is moved is the same; one with other content is not."""
    first = shutil.copytree(dataset.root, tmp_path / "first")
    np.save(first / "images.npy", np.array(dataset.images)[:, ::-1])
    seal(first)
    for name in ("moved", "other"):
        shutil.copytree(first, tmp_path / name)
    manifest = tmp_path / "other" / "dataset.json"
    manifest.write_text(manifest.read_text().replace(PreparedDataset.open(first).fingerprint, "f" * 64))

    def carried_out(name, code=0):
        text = study_toml(tmp_path, dataset, ROWS[0], head="folds = 2\nseeds = 1")
        text.write_text(text.read_text() + f'\ndata = "{name}"\n')
        return gazekit("benchmark", text, "--out", tmp_path / "out", "--no-timing", code=code).stderr

    assert "2 runs, 0 of them done" in carried_out("first")
    assert "2 runs, 2 of them done" in carried_out("moved")
    refused = carried_out("other", code=2)
    assert "system 'late_concat' has other data than it began with (fff" in refused


@pytest.mark.usefixtures("undrawn")
def test_evaluating_another_part_leaves_the_study_as_it_is(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out, symlinks=True)
    run, before = out / "runs" / "late_concat" / "fold-1-seed-0", predictions(out)
    gazekit("evaluate", run, "--part", "val")
    assert (run / "evaluation_val.json").exists() and (run / "predictions_val.csv").exists()
    assert predictions(out) == before
    RunDirectory.check_free(run, overwrite=True)  # it is still a run and nothing else
    assert "8 runs, 8 of them done" in gazekit("benchmark", "--out", out, "--no-timing").stderr


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("late_concat/fold-2-seed-0", r"began with another split than .*fold-1\.csv; a run that was moved"),
        ("late_concat/fold-1-seed-1", r"began with seed 1, not 0; a run that was moved"),
        ("mammonet_small/fold-1-seed-0", r"these keys differ: .*fusion\.maps\.use.*; a run that was moved"),
    ],
)
def test_the_run_of_another_place_is_not_taken_for_the_one_that_belongs_there(
    finished, tmp_path, other, said
):
    """Also if it is finished, and nothing is left to train."""
    out = tmp_path / "out"
    shutil.copytree(finished[0], out, symlinks=True)
    run = out / "runs" / "late_concat" / "fold-1-seed-0"
    shutil.rmtree(run)
    shutil.copytree(out / "runs" / other, run)
    for options in ((), ("--so-far",)):
        failed = gazekit("benchmark", "--out", out, "--no-timing", *options, code=2).stderr
        assert re.search(f"{re.escape(str(run))}: .*{said}", failed), failed


@pytest.mark.usefixtures("undrawn")
def test_a_row_without_its_system_may_still_be_the_reference_and_have_a_gate(finished, dataset, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out, symlinks=True)
    study = study_toml(tmp_path, dataset, ROWS[1], head='folds = 2\nseeds = 2\nreference = "late_concat"')
    study.write_text(study.read_text() + '[[gate]]\nsystem = "late_concat"\nabove = 0\n')
    result = json.loads(gazekit("benchmark", study, "--out", out, "--so-far", "--json").stdout)
    assert result["reference"] == "late_concat" and result["gates"][0]["passed"]
    assert "no system 'late_concat'" in gazekit("benchmark", study, "--out", tmp_path / "new", code=2).stderr


@pytest.mark.usefixtures("undrawn")
def test_a_table_says_which_runs_are_calibrated_and_warns_if_others_are_not(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out, symlinks=True)
    run = out / "runs" / "late_concat" / "fold-1-seed-0"
    gazekit("calibrate", run)
    gazekit("evaluate", run)
    said = " ".join(gazekit("benchmark", "--out", out, "--so-far").stdout.split())
    assert "the probabilities of 1 of its 4 runs are calibrated" in said
    assert "warning: the probabilities of 1 of 8 runs are calibrated" in said
    assert "calibrated" not in finished[1].stdout


def test_parameters_are_counted_in_the_model_of_these_images(dataset, registry, tmp_path):
    """A Vision Transformer learns a position for each patch of an image."""
    changes = small_changes("eg_vit")
    command = [
        "benchmark",
        "--preset",
        "eg_vit",
        "--data",
        dataset.root,
        "--out",
        tmp_path / "out",
        "--so-far",
    ]
    said = gazekit(*command, *(part for item in changes for part in ("--set", item)), "--json")
    preset = registry.preset("eg_vit", overrides=changes)
    counts = [
        sum(each.numel() for each in build_model(preset, registry, classes=2, size=size).parameters())
        for size in (dataset.size, None)
    ]
    assert json.loads(said.stdout)["rows"][0]["parameters"] == counts[0] != counts[1]


def test_of_several_classes_only_auc_and_accuracy_have_no_paired_test(raw_folder, tmp_path):
    raw = tmp_path / "raw"
    shutil.copytree(raw_folder, raw)
    with (raw / "exams.csv").open(newline="") as file:
        rows = [row | {"label": "abc"[number // 2 % 3]} for number, row in enumerate(csv.DictReader(file))]
    with (raw / "exams.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    gazekit("data", "prepare", "folder", raw, tmp_path / "three", "--size", 16, "--crop", "none", "--jobs", 1)
    options = (
        "--preset",
        "late_concat",
        "--data",
        tmp_path / "three",
        "--folds",
        2,
        "--out",
        tmp_path / "out",
    )
    said = json.loads(gazekit("benchmark", *options, "--so-far", "--json").stdout)
    assert said["notes"] == ["AUCs and ACCs are compared in pairs only for two classes"]


def test_what_publications_report_stands_beside_untouched_presets_alone(dataset, tmp_path):
    text = study_toml(tmp_path, dataset, ("mammonet", []), ("single_cc", ["training.epochs=3"]))
    text.write_text(text.read_text().replace(f"set = {json.dumps(FEW)}\n", "", 1))
    said = gazekit(
        "benchmark",
        text,
        "--out",
        tmp_path / "out",
        "--so-far",
        "--no-timing",
        "--paper",
        "inbreast",
        "--json",
    )
    mammonet, changed = json.loads(said.stdout)["rows"]
    assert mammonet["reported"]["auc"] == 0.889 and changed["reported"] is None
    assert (mammonet["runs"], mammonet["planned"]) == (0, 4)


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_fails_has_its_reason_in_the_table_and_the_rest_is_finished(dataset, tmp_path):
    """Two exams have no gaze, which the double model needs at inference too."""
    study = study_toml(
        tmp_path, dataset, ("late_concat", []), ("double_model", []), head="folds = 2\nseeds = 1"
    )
    said = gazekit("benchmark", study, "--out", tmp_path / "out", "--no-timing", code=1)
    assert "double_model fold-1-seed-0 failed" in said.stderr and "Traceback" not in said.stderr
    for text in (said.stdout, (tmp_path / "out" / "results.md").read_text()):
        assert "has no gaze on view" in text and "Jiang et al. 2023" in text
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert [(row["name"], row["runs"]) for row in rows] == [("late_concat", 2), ("double_model", 0)]
    so_far = gazekit("benchmark", "--out", tmp_path / "out", "--no-timing", "--so-far", "--json")
    assert json.loads(so_far.stdout)["rows"] == rows


def test_weights_that_are_not_there_are_said_before_the_first_run(dataset, tmp_path):
    lost = tmp_path / "lost.safetensors"
    rows = [("late_concat", []), ("mammonet_small", [*MAMMONET, f'backbone.weights="{lost}"'])]
    study = study_toml(tmp_path, dataset, *rows)
    said = gazekit("benchmark", study, "--out", tmp_path / "out", code=2).stderr
    assert said == (
        f"error: system 'mammonet_small': {lost}: no such file; expected the weights that its backbone starts from: "
        "put them there, or change its backbone.weights\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_split_file_says_who_is_tested_and_a_wrong_one_is_refused(dataset, tmp_path):
    split = make_split(dataset, seed=3, test=0.5)
    write_split(tmp_path / "mine.csv", dataset, split)
    head = 'folds = "mine.csv"\nseeds = 1'
    study = study_toml(tmp_path, dataset, ("late_concat", []), head=head)
    said = gazekit("benchmark", study, "--out", tmp_path / "out", "--no-timing")
    assert "the split mine.csv" in said.stdout
    with (tmp_path / "out/runs/late_concat/fold-1-seed-0/predictions.csv").open() as file:
        tested = {row["exam_id"] for row in csv.DictReader(file)}
    assert tested == {exam for exam, part in split.items() if part == "test"}

    again = ("benchmark", study, "--out", tmp_path / "out", "--so-far")
    (tmp_path / "mine.csv").rename(tmp_path / "moved.csv")
    study.write_text(study.read_text().replace("mine.csv", "moved.csv"))
    assert "the split moved.csv" in gazekit(*again).stdout
    write_split(tmp_path / "moved.csv", dataset, make_split(dataset, seed=4, test=0.5))
    assert "belongs to another study: the split fold-1 is another" in gazekit(*again, code=2).stderr

    (tmp_path / "moved.csv").rename(tmp_path / "mine.csv")
    study.write_text(study.read_text().replace("moved.csv", "mine.csv"))
    rows = (tmp_path / "mine.csv").read_text().splitlines()
    (tmp_path / "mine.csv").write_text("\n".join(rows[:-1]) + "\n")
    refused = gazekit("benchmark", study, "--out", tmp_path / "other", code=3).stderr
    assert "the split lacks exam" in refused and not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_killed_study_goes_on_where_it_was_and_ends_as_if_nothing_had_been(finished, dataset, tmp_path):
    study, out = study_toml(tmp_path, dataset, *ROWS), tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "gazekit",
        "benchmark",
        study,
        "--out",
        out,
        "--jobs",
        "2",
        "--no-timing",
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while len(predictions(out)) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(3)  # its children see that it is gone, save and end
    before = predictions(out)
    assert 3 <= len(before) < 8
    gazekit("benchmark", study, "--out", out, "--no-timing")
    assert before.items() < predictions(out).items() and len(predictions(out)) == 8
    for path in predictions(finished[0]):
        assert (out / path.relative_to(finished[0])).read_bytes() == path.read_bytes()


def test_a_stopped_study_says_how_to_go_on_where_its_runs_were_carried_out(dataset, tmp_path, monkeypatch):
    def stopped(*_tasks, **_options):
        raise Preempted("stopped; 4 runs left")

    monkeypatch.setattr("gazekit.study.study.launch", stopped)
    study, out = study_toml(tmp_path, dataset, ROWS[0]), tmp_path / "out"
    command = ("benchmark", study, "--out", out)
    assert gazekit(*command, code=75).stderr.endswith(f"go on with: gazekit benchmark --out {out}\n")
    there = ("--launcher", "slurm", "--jobs", "2", "--device", "cpu")
    said = gazekit(*command, *there, code=75).stderr
    assert said.endswith(f"go on with: gazekit benchmark --out {out} {' '.join(there)}\n")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--seeds", 0, "Invalid value for '--seeds'"),
        ("--repeats", 0, "Invalid value for '--repeats'"),
        ("--folds", "²", "a split file *.csv (got '²')"),
        ("--folds", 0, "folds"),
    ],
)
def test_a_number_that_means_no_runs_or_is_none_is_refused(dataset, tmp_path, option, value, said):
    command = ("benchmark", "--preset", "late_concat", "--data", dataset.root, "--out", tmp_path / "out")
    refused = gazekit(*command, "--so-far", option, value, code=2).stderr
    assert said in refused and "Traceback" not in refused and not (tmp_path / "out").exists()
