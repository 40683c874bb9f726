"""A study over several data sets: names of runs, random splits, tests with the data set as the unit, gates."""

import csv
import json
import math
import shutil
from pathlib import Path

import pytest
from command_line import gazekit
from forked import fork_children
from made_preparation import prepare
from made_study import made_result
from tiny import SMALL
from undrawn import leave_undrawn

from gazekit.errors import ConfigurationError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split, read_split
from gazekit.reporting.study import report
from gazekit.study.folder import StudyFolder
from gazekit.study.grid import RunName
from gazekit.study.results.result import StudyResult
from gazekit.study.settings import parse_study

FEW = [*SMALL, "training.batch_size=4", "training.epochs=2"]
STUDY = """
data = ["one", "two"]
folds = {{test = 0.4, val = 0.3}}
repeats = 2
seeds = 2
set = {few}

[[system]]
preset = "late_concat"

[[system]]
name = "control"
preset = "single_cc"
data = ["controls/one", "controls/two"]

[[gate]]
system = "late_concat"
minus = "control"
at_least = -1
at_most = 1

[[gate]]
system = "late_concat"
above = 0
below = 0.001
"""


SIZES = {
    "one": (16, 16),
    "two": (16, 18),
    "controls/one": (18, 16),
    "controls/two": (18, 18),
}
"""The same exams, of a different size in each prepared folder."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, raw_folder, registry):
    folder = tmp_path_factory.mktemp("several")
    (folder / "controls").mkdir()
    source = registry.create("dataset", "folder", gaze_reader="plain")
    for name, size in SIZES.items():
        prepare(
            source,
            raw_folder,
            folder / name,
            size=size,
            crop="none",
            jobs=0,
            gaze_reader=lambda reader: registry.create("gaze_reader", reader),
        )
    (folder / "STUDY.toml").write_text(STUDY.format(few=json.dumps(FEW)))
    return folder


@pytest.fixture(scope="module")
def finished(folder):
    """The study, carried out."""
    with pytest.MonkeyPatch.context() as patch:
        leave_undrawn(patch)
        said = gazekit("benchmark", folder / "STUDY.toml", "--out", folder / "out", "--no-timing")
    return folder / "out", said


def test_every_run_names_its_data_set_split_and_seed(finished, folder, dataset):
    out, said = finished
    assert "2 systems, 2 data sets, 4 splits, 2 seeds: 16 runs" in said.stderr
    names = {f"{d}-split-{s}-seed-{k}" for d in ("one", "two") for s in (1, 2) for k in (0, 1)}
    for system in ("late_concat", "control"):
        assert {path.name for path in (out / "runs" / system).iterdir()} == names
    facts = json.loads((out / "runs/control/two-split-1-seed-0/run.json").read_text())
    assert facts["data"].endswith("controls/two")
    assert facts["fingerprint"] == PreparedDataset.open(folder / "controls/two").fingerprint
    for number in (1, 2):
        split = make_split(dataset, seed=number - 1, test=0.4, val=0.3, anew=True)
        assert read_split(out / "splits" / f"two-split-{number}.csv") == split


def test_the_results_hold_every_run_and_the_tests_over_data_sets(finished, folder):
    out, said = finished
    result = json.loads((out / "results.json").read_text())
    assert [each["name"] for each in result["data_sets"]] == ["one", "two"]
    assert result["data_sets"][1]["fingerprint"] == PreparedDataset.open(folder / "two").fingerprint
    runs = result["run_values"]
    keys = {(run["system"], run["data"], run["split_name"], run["seed"]) for run in runs}
    assert len(runs) == len(keys) == 16
    [one] = [run for run in runs if run["system"] == "control" and run["data"] == "two"][:1]
    path = out / "runs/control" / f"two-{one['split_name']}-seed-{one['seed']}"
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert one["selected_epoch"] == lines[-1]["best_epoch"] and one["curves"]["epoch"] == [1, 2]
    assert one["curves"]["val_loss"] == pytest.approx([line["val_loss"] for line in lines], rel=1e-4)
    evaluation = json.loads((path / "evaluation.json").read_text())
    assert one["metrics"]["auc"] == evaluation["metrics"]["classification"]["auc"]["value"]
    row = result["rows"][1]
    of = {
        name: [
            sum(run["metrics"]["auc"] for run in runs if (run["system"], run["data"]) == (name, data)) / 4
            for data in ("one", "two")
        ]
        for name in ("late_concat", "control")
    }
    over = row["over_data_sets"]
    assert (over["data_sets"], over["compared"]) == (2, 2)
    assert over["difference"]["value"] == pytest.approx((sum(of["control"]) - sum(of["late_concat"])) / 2)
    assert over["p"] >= 2 / 4 and over["holm"] >= over["p"]
    assert set(result["variance"]["systems"]["control"]) == {"data set", "split", "seed", "residual"}
    assert StudyResult.read(out / "results.json").to_json() == result
    assert "Against late_concat, over n data sets" in said.stdout and "Spread of the AUC" in said.stdout


@pytest.mark.usefixtures("undrawn")
def test_a_gate_is_printed_and_changes_the_exit_status_only_when_asked(finished):
    out, said = finished
    for text in (said.stdout, (out / "results.md").read_text().replace("\\", "")):
        assert "gate passed: AUC of late_concat − AUC of control at least -1 and at most 1: " in text
        assert "gate not passed: AUC of late_concat above 0 and below 0.001: " in text
        assert "over 2 data sets" in text
    gates = json.loads((out / "results.json").read_text())["gates"]
    assert [(gate["passed"], gate["data_sets"]) for gate in gates] == [(True, 2), (False, 2)]
    gazekit("benchmark", "--out", out, "--no-timing", "--gate", code=1)
    gazekit("report", out)
    page = (out / "report.html").read_text()
    assert "not passed: AUC of late_concat" in page and "over 2 data sets" in page


@pytest.mark.usefixtures("undrawn")
def test_the_report_of_a_study_goes_where_it_is_asked_to_and_refuses_options_of_runs(
    finished, tmp_path, monkeypatch
):
    out, _ = finished
    gazekit("report", out, "--out", tmp_path / "page.html")
    assert "over 2 data sets" in (tmp_path / "page.html").read_text()
    refused = gazekit("report", out, "--part", "all", "--set", "a=1", code=2).stderr
    assert "the report of a study takes no --part, --set; leave them out" in refused
    assert "takes no --exam; leave it out" in gazekit("report", out, "--exam", "e1", code=2).stderr
    monkeypatch.setattr(report, "study_page", pytest.fail)  # it is said before the work
    assert "is a folder; name a file" in gazekit("report", out, "--out", tmp_path, code=74).stderr


@pytest.mark.usefixtures("undrawn")
def test_a_lost_run_alone_is_done_again_and_missing_ones_are_told(finished, tmp_path, monkeypatch):
    fork_children(monkeypatch)
    out = tmp_path / "out"
    shutil.copytree(finished[0], out, symlinks=True)
    lost = out / "runs" / "control" / "two-split-2-seed-1"
    kept = (lost / "predictions.csv").read_bytes()
    shutil.rmtree(lost)
    so_far = gazekit("benchmark", "--out", out, "--no-timing", "--so-far").stdout
    assert "no variance components of control: 1 of 8 runs have no AUC yet" in so_far
    assert "missing: 1 of 8 runs of control" in so_far
    again = gazekit("benchmark", "--out", out, "--no-timing", "--jobs", 2).stderr
    assert "16 runs, 15 of them done" in again
    assert (lost / "predictions.csv").read_bytes() == kept


def test_the_numbers_over_data_sets_are_in_the_csv(finished):
    with (finished[0] / "results.csv").open() as file:
        rows = {row["system"]: row for row in csv.DictReader(file)}
    assert rows["control"]["data_sets_compared"] == "2"
    assert rows["control"]["data"] == "controls/one, controls/two"
    low, high = (float(rows["control"][f"data_sets_auc_difference_{end}"]) for end in ("low", "high"))
    assert low <= float(rows["control"]["data_sets_auc_difference"]) <= high
    assert float(rows["control"]["variance_residual"]) >= 0


def test_the_command_line_takes_several_data_sets_and_random_splits(folder, tmp_path):
    options = (
        "--data",
        folder / "one",
        "--data",
        folder / "two",
        "--folds",
        "test=0.4,val=0.3",
        "--repeats",
        2,
    )
    changes = [part for item in FEW for part in ("--set", item)]
    started = ("--preset", "late_concat", *options, "--seeds", 1, *changes, "--out", tmp_path / "out")
    said = gazekit("benchmark", *started, "--no-timing", "--so-far", "--json")
    result = json.loads(said.stdout)
    assert [each["name"] for each in result["data_sets"]] == ["one", "two"]
    assert (result["folds"], result["repeats"], result["rows"][0]["planned"]) == (1, 2, 4)
    refused = gazekit("benchmark", "--data", folder / "one", "--out", tmp_path / "out", code=2).stderr
    first, second = (PreparedDataset.open(folder / name).fingerprint[:12] for name in ("one", "two"))
    assert f"belongs to another study: data is {first}…, there {first}…, {second}…; data_names" in refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": ["a/x", "b/x"]}, "data: 2 folders are named 'x'"),
        ({"data": ["a", "b c"]}, "data: the folder name 'b c' cannot be part of a run's name"),
        ({"data": ["a", "repeat-1"]}, "data: runs of the folder 'repeat-1' would have the names of"),
        ({"data": []}, "data: an empty list"),
        ({"data": 3}, "data: expected a prepared folder, or a list of them"),
        (
            {"data": ["a", "b"], "system": [{"preset": "ga_net", "data": "c"}]},
            "system 'ga_net': data: 1 folder, the study has 2 folders",
        ),
        ({"folds": {"test": 1.5}}, "folds: test: "),
        ({"folds": {"test": 0.5, "train": 0.1}}, "folds: train: no such key"),
        ({"folds": {"val": 0.5}}, "folds: test: is needed"),
        ({"gate": [{"system": "ganet", "below": 1}]}, "gate 1: no system 'ganet'; there are ga_net"),
        ({"gate": [{"system": "ga_net"}]}, "gate 1: no bound"),
        (
            {"gate": [{"system": "ga_net", "at_least": math.nan}]},
            "gate 1: at_least: expected a finite number (got nan)",
        ),
        ({"gate": [{"system": "ga_net", "least": 1}]}, "gate 1: least: no such key"),
        (
            {"gate": [{"system": "ga_net", "at_most": 80}]},
            "gate 1: at most 80: expected a number between 0 and 1, as an AUC is",
        ),
        (
            {"gate": [{"system": "ga_net", "at_least": 0.8, "at_most": 0.7}]},
            "gate 1: an AUC cannot be at least 0.8 and",
        ),
        (
            {"gate": [{"system": "ga_net", "at_least": 0.8, "below": 0.8}]},
            "gate 1: an AUC cannot be at least 0.8 and",
        ),
        ({"gate": [{"system": "ga_net", "above": 1}]}, "gate 1: an AUC cannot be above 1"),
        (
            {"gate": [{"system": "ga_net", "minus": "ga_net", "above": -0.1}]},
            "gate 1: minus is the system itself; expected another row",
        ),
    ],
)
def test_faults_of_several_data_sets_and_gates_are_one_problem_each(changes, said, tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        parse_study({"data": "a", "system": [{"preset": "ga_net"}], **changes}, "STUDY.toml", folder=tmp_path)
    assert said in str(refused.value) and "1 problem:" in str(refused.value)


@pytest.mark.parametrize(
    "bounds",
    [{"at_least": 0.8, "at_most": 0.8}, {"above": 0.8, "below": 0.801}, {"below": 0.001}, {"at_least": 1}],
)
def test_a_gate_may_leave_little_room(bounds, tmp_path):
    gate = {"system": "ga_net", **bounds}
    parse_study(
        {"data": "a", "system": [{"preset": "ga_net"}], "gate": [gate]}, "STUDY.toml", folder=tmp_path
    )


def test_a_list_of_one_is_that_one_and_settings_can_be_stored(tmp_path):
    system = [{"preset": "ga_net"}]
    study = parse_study({"data": ["a"], "system": system}, "STUDY.toml", folder=tmp_path)
    assert study == parse_study({"data": "a", "system": system}, "STUDY.toml", folder=tmp_path)
    values = {
        "data": ["a", "b"],
        "folds": {"test": 0.5},
        "gate": [{"system": "ga_net", "below": 0.9}],
        "system": system,
    }
    several = parse_study(values, "STUDY.toml", folder=tmp_path)
    assert parse_study(several.to_toml_values(), "again", folder=tmp_path / "elsewhere") == several


def test_one_data_set_twice_is_refused(folder, tmp_path):
    shutil.copytree(folder / "one", tmp_path / "again")
    command = ("benchmark", "--preset", "late_concat", "--data", folder / "one", "--data", tmp_path / "again")
    refused = gazekit(*command, "--out", tmp_path / "out", code=2).stderr
    assert "one and again have one content" in refused


def test_a_control_in_which_nothing_is_changed_is_refused(folder, tmp_path):
    shutil.copytree(folder / "two", tmp_path / "shuffled")
    text = (
        (folder / "STUDY.toml").read_text().replace('"controls/two"', json.dumps(str(tmp_path / "shuffled")))
    )
    for name in ("one", "two", "controls/one"):
        text = text.replace(f'"{name}"', json.dumps(str(folder / name)))
    (tmp_path / "STUDY.toml").write_text(text)
    refused = gazekit("benchmark", tmp_path / "STUDY.toml", "--out", tmp_path / "out", code=3).stderr
    [line] = refused.splitlines()
    assert "shuffled: data of system 'control': the content of" in line and "nothing is changed" in line
    assert not (tmp_path / "out").exists()


def test_results_and_studies_of_earlier_versions_are_read(tmp_path):
    values = made_result().to_json()
    for key in ("data_sets", "variance", "gates", "run_values"):
        del values[key]
    values["rows"] = [{k: v for k, v in row.items() if k != "over_data_sets"} for row in values["rows"]]
    (tmp_path / "results.json").write_text(json.dumps(values))
    assert StudyResult.read(tmp_path / "results.json") == made_result()
    stored = {
        **{
            "schema": "gazekit.study-folder/1",
            "kind": "benchmark",
            "data": "f" * 64,
            "folds": 5,
            "repeats": 1,
        },
        **{"set": [], "seconds": 1.5},
        "settings": {"data": "/prepared", "seeds": 3, "system": [{"name": "a", "preset": "ga_net"}]},
    }
    (tmp_path / "study.json").write_text(json.dumps(stored))
    assert StudyFolder(tmp_path).settings().data == Path("/prepared")


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("fold-1-seed-0", RunName("", "fold-1", 0)),
        ("repeat-2-fold-1-seed-3", RunName("", "repeat-2-fold-1", 3)),
        ("phantom_1-split-2-seed-10", RunName("phantom_1", "split-2", 10)),
        ("fold-1-fold-2-seed-0", RunName("fold-1", "fold-2", 0)),
        ("a-b-repeat-2-fold-1-seed-3", RunName("a-b", "repeat-2-fold-1", 3)),
    ],
)
def test_the_name_of_a_run_tells_its_factors(name, factors):
    assert RunName.parse(name) == factors
