"""A beginner's mistake with tables, data, splits or options is one line that names it and gives what works."""

import csv
import re
import shlex
import shutil
from pathlib import Path

import pytest
from command_line import TINY, Finished, gazekit

from gazekit.prepared.dataset import PreparedDataset

QUICK = ("--size", 16, "--crop", "none", "--jobs", 1)


def changed(raw: Path, out: Path, change, *, name: str = "exams.csv") -> Path:
    """A copy of a raw folder whose rows were changed."""
    shutil.copytree(raw, out)
    with (out / "exams.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows = change(rows) or rows
    (out / "exams.csv").unlink()
    with (out / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return out


def renamed(**names: str):
    return lambda rows: [{names.get(key, key): cell for key, cell in row.items()} for row in rows]


def without(*names: str):
    return lambda rows: [{key: cell for key, cell in row.items() if key not in names} for row in rows]


def with_cells(**cells: str):
    def change(rows):
        rows[2].update(cells)

    return change


def everywhere(**cells: str):
    return lambda rows: [row | cells for row in rows]


def only_images(rows):
    return [{key: cell for key, cell in row.items() if not key.endswith(("_gaze", "_mask"))} for row in rows]


def without_suffixes(rows):
    return [row | {view: row[view][:-4] for view in ("cc", "mlo")} for row in only_images(rows)]


def told(finished: Finished) -> str:
    """The error of a command: its last line, and no traceback."""
    lines = finished.stderr.splitlines()
    assert "Traceback" not in finished.stderr
    (error,) = [line for line in lines if line.startswith("error: ")]
    return error


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (without("patient_id"), "no column patient_id; .*; if each exam is another patient, copy exam_id$"),
        (renamed(patient_id="patient"), "if patient is meant, rename it patient_id$"),
        (renamed(label="diagnosis"), "if diagnosis is meant, rename it label$"),
        (without("label"), "no column label; .*add it, with the class of each exam"),
        (
            with_cells(label="NA"),
            "row 4: label is 'NA', which means missing; .*; fill it in, or remove the row$",
        ),
        (with_cells(patient_id=" "), "row 4: patient_id is empty; .*; fill it in, or remove the row$"),
        (with_cells(exam_id="e000"), "row 4: exam_id 'e000' comes again, first in row 2; expected it once$"),
        (everywhere(label="benign"), "all 24 exams are 'benign'; expected at least two; check their labels$"),
        (everywhere(split="holdout"), "row 2: split is 'holdout'; expected train, .* or no word in any$"),
        (everywhere(laterality="both"), "row 2: laterality is 'both'; expected L, R or nothing$"),
        (
            without_suffixes,
            "cc is no view: 24 of 24 .* there is e000_cc.png: write names with their suffixes",
        ),
        (renamed(mlo="lateral"), "column mlo_gaze belongs to no view; the views are cc, lateral"),
    ],
)
def test_tables(raw_folder, tmp_path, change, expected):
    root = changed(raw_folder, tmp_path / "raw", change)
    said = told(gazekit("data", "prepare", "folder", root, tmp_path / "out", *QUICK, code=3))
    assert re.search(expected, said), said
    assert not (tmp_path / "out").exists()


def test_a_table_of_another_name(raw_folder, tmp_path):
    root = changed(raw_folder, tmp_path / "raw", lambda rows: None, name="my_cases.csv")
    said = told(gazekit("data", "prepare", "folder", root, tmp_path / "out", *QUICK, code=3))
    assert said.endswith("if my_cases.csv is that table, rename it exams.csv")
    (root / "my_cases.csv").rename(root / "exams.csv")
    gazekit("data", "prepare", "folder", root, tmp_path / "out", *QUICK)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (
            ["RAW/exams.csv", "OUT"],
            3,
            "exams.csv: is a file; give its folder, RAW; expected the folder of a data set",
        ),
        (
            ["RAW", "OUT", "--views", "CC,MLO"],
            3,
            "no exam has a view 'CC'; did you mean 'cc'?; there are cc, mlo",
        ),
        (["RAW", "OUT", "--set", "view=cc"], 2, "no such option of Folder; did you mean 'views'?"),
        (["RAW", "OUT", "--set", "postive=malignant"], 2, "and, as for every data set, positive=CLASS"),
        (["RAW", "OUT", "--set", "views=cc,mlo"], 2, """in quotes for the shell: 'views=["cc", "mlo"]'"""),
        (["RAW", "OUT", "--set", "positive=malignnant"], 2, "no such class; did you mean 'malignant'?"),
        (["RAW", "OUT", "--set", "positive"], 2, "--set positive: expected OPTION=VALUE"),
    ],
)
def test_options_of_a_preparation(raw_folder, tmp_path, arguments, code, expected):
    places = {"RAW": str(raw_folder), "OUT": str(tmp_path / "out")}
    given = [re.sub("RAW|OUT", lambda found: places[found[0]], each) for each in arguments]
    said = told(gazekit("data", "prepare", "folder", *given, *QUICK, code=code))
    assert expected.replace("RAW", places["RAW"]) in said


@pytest.mark.parametrize("given", ["", "exams.csv"])
def test_raw_exams_in_place_of_prepared_ones_end_in_a_command_that_works(
    raw_folder, tmp_path, monkeypatch, given
):
    shutil.copytree(raw_folder, tmp_path / "my exams")
    monkeypatch.chdir(tmp_path)
    data = Path("my exams") / given
    said = told(gazekit("train", "mammonet_small", "--data", data, "--epochs", 1, *TINY, code=3))
    (command,) = re.findall(r"gazekit (data prepare folder '[^']+' '[^']+')", said)
    gazekit(*shlex.split(command), *QUICK)
    assert len(PreparedDataset.open(Path(shlex.split(command)[-1]))) == 24


def test_other_things_in_place_of_a_prepared_set(dataset, tiny_run, tmp_path):
    def said_of(data):
        return told(gazekit("data", "split", data, tmp_path / "split.csv", code=3))

    assert said_of(dataset.root / "dataset.json").endswith(f"give its folder, {dataset.root}")
    assert said_of(dataset.root.parent).endswith(f"there is one in {dataset.root}")
    assert said_of(tiny_run).endswith("but a run; give the folder that `gazekit data prepare` wrote")
    assert said_of(tmp_path).endswith("KIND one of gazekit plugins list --kind dataset")
    assert said_of(tmp_path / "x").endswith("there is no such folder; expected a prepared data set")


def test_other_things_in_place_of_a_run(dataset, tiny_run):
    assert "it is a prepared data set; give the run first" in told(gazekit("evaluate", dataset.root, code=3))
    assert told(gazekit("evaluate", tiny_run.parent, code=3)).endswith(
        f"there is one in it, such as {tiny_run}"
    )


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("training.lr=0.1", "training.lr: no such key; did you mean 'training.learning_rate'?"),
        ("epochs=3", "epochs: no such key; did you mean 'training.epochs'?"),
        ("training.optimiser=adam", "did you mean 'training.optimizer'?"),
        ("fusion.maps.head=2", "no such option of CrossAttention; did you mean 'heads'?"),
        ("trainng.epochs=3", "trainng: no such key; did you mean 'training'?"),
        ("seed=3", "seed: no such key; the seed is an option of its command: gazekit train … --seed N"),
        ("heads=2", "did you mean 'fusion.maps.heads'?"),
        ("views=cc,mlo", """expected a list, in quotes for the shell: 'views=["cc", "mlo"]'"""),
        ("fusion.vectors.hidden=64,8", """in quotes for the shell: 'fusion.vectors.hidden=["64", "8"]'"""),
        ("training.epochs=ten", "training.epochs: expected a whole number (got 'ten')"),
        ("gaze=off", "gaze: expected gaze.KEY=VALUE or none (got 'off')"),
        ("training=3", "training: expected training.KEY=VALUE (got 3)"),
        ("colour=red", "colour: no such key; gazekit presets show NAME lists all"),
    ],
)
def test_keys_of_a_preset(item, expected):
    finished = gazekit("presets", "show", "mammonet", "--set", item, code=2)
    assert expected in finished.stderr and "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "mammonet", "--epochs", "1.5"], "'--epochs': expected a whole number (got '1.5')"),
        (["train", "mammonet", "--epochs", "0"], "'--epochs': expected at least 1 (got '0')"),
        (["plan", "pilot", "--difference", "0,05"], "'--difference': expected a number (got '0,05')"),
        (["plan", "pilot", "--difference", "0.9"], "'--difference': expected at most 0.5 (got '0.9')"),
        (
            ["plan", "pilot", "--difference", "0.1", "--patients", "9", "--patients", "x"],
            "'--patients': expected a whole number (got 'x')",
        ),
        (
            ["evaluate", "RUN", "--part", "tst"],
            "'--part': 'tst' is not one of 'test', 'val', 'train', 'all'.",
        ),
    ],
)
def test_a_wrong_value_of_an_option_of_a_command_is_said_in_plain_words(arguments, expected):
    said = " ".join(gazekit(*arguments, code=2).stderr.replace("│", " ").split())
    assert f"Invalid value for {expected}" in said and "Input should" not in said


def test_a_value_that_is_no_part_of_its_option():
    said = told(gazekit("train", "--preset", "mammonet", "--set", "training.epochs", "3", code=2))
    assert said.endswith("--set training.epochs: expected key.path=value, e.g. training.epochs=5")


def test_a_preset_with_a_suffix_it_does_not_have():
    said = told(gazekit("train", "--preset", "mammonet.toml", code=2))
    assert said.endswith("for a preset by name: --preset mammonet")


def test_splits(dataset, raw_folder, tmp_path):
    start = ("train", "mammonet_small", "--data", dataset.root, "--out", tmp_path / "run", *TINY, "--split")
    assert told(gazekit(*start, "test", code=3)).endswith(
        "to choose the part to evaluate: gazekit evaluate RUN --part test"
    )
    said = told(gazekit(*start, raw_folder / "exams.csv", code=3))
    assert "no column split" in said and said.endswith("gazekit data split writes such a table")
    (tmp_path / "split.csv").write_text("exam_id,split\ne000,train\n")
    said = told(gazekit(*start, tmp_path / "split.csv", code=3))
    assert "lacks exam e001 (23 such)" in said and said.endswith("make one with gazekit data split")
    assert not (tmp_path / "run").exists()


def test_other_data_for_a_run_that_goes_on_or_is_evaluated(raw_folder, dataset, tiny_run, tmp_path):
    out = tmp_path / "turned"
    done = gazekit("data", "prepare", "folder", raw_folder, out, *QUICK, "--set", "positive=benign")
    assert "2 classes: 'benign' is positive, 'malignant' negative" in done.stderr
    resumed = told(gazekit("train", "--resume", "--out", tiny_run, "--data", out, code=3))
    assert "a run goes on with its own: resume without --data" in resumed and "--split" not in resumed
    assert str(dataset.root) in resumed
    evaluated = told(gazekit("evaluate", tiny_run, "--data", out, code=3))
    assert evaluated.endswith("prepare them again with --set 'positive=malignant'")
    nothing = told(gazekit("train", "--resume", "--out", tmp_path / "none", code=2))
    assert nothing.endswith(f"to begin one: gazekit train --preset PRESET --out {tmp_path / 'none'}")


def test_data_that_were_moved_are_asked_for(tiny_run, dataset, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run" / "checksums.json").unlink()
    facts = tmp_path / "run" / "run.json"
    facts.write_text(facts.read_text().replace(str(dataset.root), str(tmp_path / "gone")))
    for command in (["evaluate", tmp_path / "run"], ["train", "--resume", "--out", tmp_path / "run"]):
        said = told(gazekit(*command, code=3))
        assert said.endswith("are no longer there; say where they are with --data"), said
    gazekit("evaluate", tmp_path / "run", "--data", dataset.root, "--part", "val")


def test_the_classes_are_said_from_the_first_look_to_the_evaluation(raw_folder, tmp_path):
    """``normal`` sounds like the absence of a finding, and its place in the alphabet makes it positive."""

    def words(rows):
        return [row | {"label": {"benign": "normal", "malignant": "cancer"}[row["label"]]} for row in rows]

    root, out, run = changed(raw_folder, tmp_path / "raw", words), tmp_path / "out", tmp_path / "run"
    line = "2 classes: 'normal' is positive, 'cancer' negative"
    doubt = "the positive class is 'normal', which sounds like the absence of a finding"
    train = ("train", "mammonet_small", "--data", out, "--out", run, "--epochs", 1, *TINY)
    for command in (
        ["data", "validate", "folder", root, "--tables-only"],
        ["data", "prepare", "folder", root, out, *QUICK],
        train,
    ):
        said = gazekit(*command).stderr
        assert line in said and doubt in said, command
    assert line in gazekit("evaluate", run).stderr
    shutil.rmtree(run)
    right = ("--set", "positive=cancer")
    for command in (
        ["data", "validate", "folder", root, "--tables-only", *right],
        ["data", "prepare", "folder", root, out, *QUICK, *right, "--overwrite"],
        train,
    ):
        said = gazekit(*command).stderr
        assert "2 classes: 'cancer' is positive, 'normal' negative" in said and doubt not in said, command
    assert '"positive": "cancer"' in gazekit("evaluate", run, "--json").stdout


def test_slips_in_labels_are_said_before_anything_is_read_and_by_the_split(raw_folder, tmp_path):
    def slip(rows):
        rows[2]["label"] = "malignnant"
        rows[3]["label"] = "Malignant "

    root = changed(raw_folder, tmp_path / "raw", slip)
    said = gazekit("data", "prepare", "folder", root, tmp_path / "out", *QUICK).stderr
    assert "3 classes, none of them the positive one: 'benign', 'malignant', 'malignnant'" in said
    assert "class 'malignnant' (1 exam) is spelled much like 'malignant' (11 exams): did you mean" in said
    assert "1 × note: label 'Malignant' read as 'malignant', which is spelled alike (e003)" in said
    said = told(gazekit("data", "split", tmp_path / "out", tmp_path / "split.csv", code=3))
    assert "class 'malignnant' has 1 patient to split" in said
    assert "did you mean 'malignant' in exam e002? Mend the label and prepare again" in said


def test_the_order_of_the_views_is_that_of_the_columns_though_the_first_exam_lacks_one(raw_folder, tmp_path):
    def first_lacks(rows):
        rows[0] |= {"cc": "NA", "cc_gaze": "", "cc_mask": ""}

    root = changed(raw_folder, tmp_path / "raw", first_lacks)
    gazekit("data", "prepare", "folder", root, tmp_path / "out", *QUICK)
    assert PreparedDataset.open(tmp_path / "out").views == ("cc", "mlo")
