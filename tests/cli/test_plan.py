"""``gazekit plan`` from a study, two runs and a table of readers, and what it refuses."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from command_line import gazekit


def write_predictions(path, seed, lift, exams=80):
    rng, truth = np.random.default_rng(seed), np.random.default_rng(0)
    labels = truth.random(exams) < 0.5
    chances = 1 / (1 + np.exp(-(truth.normal(size=exams) + rng.normal(size=exams) + lift * labels)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["exam_id", "patient_id", "label", "p_benign", "p_malignant"])
        for k, (label, chance) in enumerate(zip(labels, chances, strict=True)):
            writer.writerow([f"e{k}", f"p{k // 2}", ("benign", "malignant")[int(label)], 1 - chance, chance])
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for row, lift in (("ours", 2.0), ("theirs", 1.5)):
        for seed in (0, 1):
            write_predictions(folder / "runs" / row / f"fold-1-seed-{seed}" / "predictions.csv", seed, lift)
    return folder


FEW = ("--difference", 0.1, "--simulations", 200)


def test_a_plan_from_a_study_names_the_size_and_its_curve(study):
    command = ("plan", study, "--system", "ours", "--reference", "theirs", *FEW)
    result = json.loads(gazekit(*command, "--json").stdout)
    assert result["schema"] == "gazekit.plan/1" and result["pilot"] == {"exams": 80, "patients": 40}
    sizes = [each["patients"] for each in result["curve"]]
    assert sizes == sorted(sizes) and result["needed"] in result["curve"]
    assert result["needed"]["low"] <= 0.8 <= result["needed"]["high"]
    assert result["closed_form_low"] < result["closed_form"] < result["closed_form_high"]
    assert result["needed"]["exams"] == 2 * result["needed"]["patients"]
    assert json.loads(gazekit(*command, "--json").stdout) == result  # a function of the seed
    said = gazekit(*command, "--patients", 33)
    assert f"exams of {result['needed']['patients']} patients for a power of 0.8" in said.stdout
    assert " 33 " in said.stdout
    assert re.search(r"over \d+ resampled pilots of 40 patients", said.stderr)


def test_a_difference_that_is_no_number_is_no_matter_of_bounds(study):
    assert (
        "expected a finite number (got 'nan')" in gazekit("plan", study, "--difference", "nan", code=2).stderr
    )


def test_what_is_no_pilot_is_named(study, tmp_path):
    expected = (
        "expected a study directory with --system and --reference, two runs, or a table of readers' scores"
    )
    said = gazekit("plan", tmp_path / "x.csv", *FEW, code=2).stderr
    assert f"error: {tmp_path / 'x.csv'}: there is no such file or folder; {expected}" in said
    assert f"error: {tmp_path}: no pilot; {expected}" in gazekit("plan", tmp_path, *FEW, code=2).stderr
    said = gazekit("plan", study, "--system", "ours", *FEW, code=2).stderr
    assert (
        f"error: {study}: two of its rows are to be compared; there are ours, theirs: choose with --system"
        in said
    )


def test_two_runs_are_a_pilot_too_and_runs_of_a_row_are_averaged(study):
    run = study / "runs" / "ours" / "fold-1-seed-0"
    other = study / "runs" / "theirs" / "fold-1-seed-0" / "predictions.csv"
    one = json.loads(gazekit("plan", run, other, *FEW, "--json").stdout)
    rows = ("--system", "ours", "--reference", "theirs")
    both = json.loads(gazekit("plan", study, *rows, *FEW, "--json").stdout)
    assert one["auc_system"] != both["auc_system"]


def write_readers(path, readers=5, exams=60, lost=False):
    rng = np.random.default_rng(0)
    exam = rng.normal(size=exams)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["reader", "exam_id", "label", "without", "with"])
        for reader in range(readers):
            for k in range(exams - (lost and reader == 3)):
                scores = exam[k] + rng.normal(size=2) + (1.2 + np.array([0, 0.4])) * (k % 2)
                writer.writerow([f"r{reader}", f"e{k}", k % 2, *scores])
    return path


def test_a_table_of_readers_says_how_many_exams_each_number_of_readers_needs(tmp_path):
    path = write_readers(tmp_path / "readers.csv")
    result = json.loads(gazekit("plan", path, "--difference", 0.08, "--json").stdout)
    assert result["schema"] == "gazekit.plan_readers/1" and result["pilot"]["readers"] == 5
    needed = [each["patients"] for each in result["curve"] if each["patients"] is not None]
    assert len(needed) > 3 and needed == sorted(needed, reverse=True)
    said = gazekit("plan", path, "--difference", 0.08)
    assert "readers and exams for a difference of +0.080" in said.stdout and "5 readers" in said.stderr
    assert re.search(r"mean AUC 0\.\d+ by without and 0\.\d+ by with \(p", said.stderr)
    assert result["pilot"]["ways"] == ["without", "with"]


@pytest.mark.parametrize(
    ("column", "where", "said"),
    [
        ("reader", 0, "row 2: reader is empty"),
        ("exam_id", 1, "row 2: exam_id is empty"),
        ("patient_id", 3, "row 2: patient_id is empty"),
    ],
)
def test_an_empty_id_makes_no_reader_exam_or_patient_in_a_table_of_readers(tmp_path, column, where, said):
    path = write_readers(tmp_path / "readers.csv")
    rows = list(csv.reader(path.read_text().splitlines()))
    known = [
        [*row[:3], f"p{row[1]}" if number else "patient_id", *row[3:]] for number, row in enumerate(rows)
    ]
    assert known[0][where] == column
    known[1][where] = ""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(known)
    assert said in gazekit("plan", path, "--difference", 0.05, code=3).stderr


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("e0,p0,", "e0,,"), ("e0,p0,", ",p0,"), ("e1,", "e0,")],
    ids=["patient", "exam", "twice"],
)
def test_predictions_without_an_id_or_with_an_exam_twice_are_no_pilot(study, tmp_path, was, becomes):
    other = write_predictions(tmp_path / "predictions.csv", 0, 1.0)
    text = other.read_text()
    assert text.count(f"\n{was}") == 1
    other.write_text(text.replace(f"\n{was}", f"\n{becomes}"))
    run = study / "runs" / "ours" / "fold-1-seed-0"
    said = gazekit("plan", run, other, *FEW, code=3).stderr
    assert "expected exam_id and patient_id, and each exam once" in said and ": row " in said


def test_what_cannot_be_planned_is_refused(study, tmp_path):
    rows = ("--system", "ours", "--reference", "nobody")
    assert "no row 'nobody' with predictions; there are ours, theirs" in (
        gazekit("plan", study, *rows, *FEW, code=2).stderr
    )
    rows = ("--system", "ours", "--reference", "theirs")
    refused = gazekit("plan", study, *rows, "--difference", 0.4, code=2).stderr
    assert "expected one between 0 and 1: choose a smaller difference" in refused
    lost = write_readers(tmp_path / "readers.csv", lost=True)
    assert "reader r3 lacks exam e59" in gazekit("plan", lost, "--difference", 0.05, code=3).stderr
    refused = gazekit("plan", lost, lost, "--difference", 0.05, code=3).stderr
    assert "no column patient_id" in refused
    other = write_predictions(tmp_path / "predictions.csv", 0, 1.0)
    other.write_text(other.read_text().replace(",p_benign", ",benign"))
    refused = gazekit("plan", other, other, "--difference", 0.05, code=3).stderr
    assert re.search(
        r"row 2: label '\w+', and the columns of probabilities are none; expected those of two", refused
    )
    other.unlink()
    write_predictions(other, 0, 1.0)
    other.write_text(other.read_text().replace("e0,p0", "e0,p9"))
    run = study / "runs" / "ours" / "fold-1-seed-0"
    assert "the same exam has two labels or patients" in gazekit("plan", run, other, *FEW, code=3).stderr
    refused = gazekit("plan", run, run, *rows, *FEW, code=2).stderr
    assert "a pilot of two runs takes no --system, --reference" in refused
    assert "the predictions are the same" in gazekit("plan", run, run, *FEW, code=3).stderr
    readers = write_readers(tmp_path / "all.csv")
    assert "takes no --simulations" in gazekit("plan", readers, *FEW, code=2).stderr
    for option in ("--patients", "--simulations"):
        assert "at most 1000000" in gazekit("plan", study, *rows, *FEW, option, 10**20, code=2).stderr
    copied = shutil.copytree(study, tmp_path / "study")
    shutil.copytree(run, copied / "runs" / "ours" / "fold-1-seed-0 (copy)")
    refused = gazekit("plan", copied, *rows, *FEW, code=3).stderr
    assert "fold-1-seed-0 (copy): no run of a study is named so" in refused
