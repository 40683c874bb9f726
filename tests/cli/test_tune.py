"""``gazekit tune``: a grid judged by validation AUC on inner folds, the test part closed."""

import csv
import json
import shlex
import sys
from statistics import fmean

import pytest
from command_line import gazekit
from tiny import SMALL

from gazekit.cli.study.tune import _show as show
from gazekit.errors import ConfigurationError, GazekitError
from gazekit.prepared.splits import make_split, write_split
from gazekit.study.tuning.search import Candidate, Tuning, candidate, choose_of, grid_points, point_name

CHANGES = [
    part for item in (*SMALL, "training.batch_size=4", "training.epochs=2") for part in ("--set", item)
]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, dataset):
    folder = tmp_path_factory.mktemp("tune")
    write_split(folder / "split.csv", dataset, make_split(dataset, test=0.3))
    command = (
        "tune",
        "--preset",
        "ga_net",
        "--data",
        dataset.root,
        "--split",
        folder / "split.csv",
        *CHANGES,
    )
    command += ("--grid", "loss.gaze_weight=0.5,5", "--folds", 2, "--out", folder / "out")
    return folder, command, gazekit(*command, "--json")


def parts_of(path):
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {
        part: {row["exam_id"] for row in rows if row["split"] == part} for part in ("train", "val", "test")
    }


def test_the_inner_folds_are_of_the_training_part_and_the_test_part_stays_closed(tuned):
    folder, _, _ = tuned
    outer = parts_of(folder / "split.csv")
    inner = [parts_of(path) for path in sorted((folder / "out" / "splits").iterdir())]
    assert len(inner) == 2 and all(parts["test"] == outer["test"] for parts in inner)
    assert inner[0]["val"] | inner[1]["val"] == outer["train"] | outer["val"]
    assert not inner[0]["val"] & inner[1]["val"]
    assert len(list((folder / "out").glob("runs/*/*/metrics.jsonl"))) == 4
    assert not list((folder / "out").glob("runs/*/*/predictions.csv"))


def test_the_highest_mean_validation_auc_is_chosen(tuned):
    folder, _, said = tuned
    result = json.loads(said.stdout)
    assert result == json.loads((folder / "out" / "tune.json").read_text())
    assert result["schema"] == "gazekit.tune/1" and result["preset"] == "ga_net"
    for point in result["candidates"]:
        (change,) = point["changes"]
        best = []
        for fold in (1, 2):
            run = folder / "out" / "runs" / point_name([change]) / f"inner-{fold}-seed-0"
            best.append(
                max(json.loads(line)["val_auc"] for line in (run / "metrics.jsonl").read_text().splitlines())
            )
        assert point["mean"] == pytest.approx(fmean(best)) and point["runs"] == 2
    chosen = max(result["candidates"], key=lambda point: point["mean"])
    assert result["chosen"] == chosen["changes"]


def test_the_same_command_again_trains_nothing_and_prints_what_to_set(tuned):
    _, command, said = tuned
    again = gazekit(*command)
    assert "4 runs, 4 of them done" in again.stderr
    chosen = json.loads(said.stdout)["chosen"][0]
    assert f"--set {chosen}" in again.stdout.splitlines()
    assert (
        "each run's AUC is that of its best epoch, and the highest of several means flatters" in again.stderr
    )


def test_without_selection_each_auc_is_that_of_the_last_epoch(tuned, tmp_path):
    _, command, _ = tuned
    base = command[: command.index("--grid")]
    last = ("--set", "training.select=last", "--grid", "loss.gaze_weight=5", "--folds", 2)
    said = gazekit(*base, *last, "--out", tmp_path / "out")
    assert "each run's AUC is that of its last epoch" in said.stderr
    found = json.loads((tmp_path / "out" / "tune.json").read_text())["candidates"][0]["mean"]
    lines = [path.read_text().splitlines()[-1] for path in (tmp_path / "out").glob("runs/*/*/metrics.jsonl")]
    assert found == pytest.approx(fmean(json.loads(line)["val_auc"] for line in lines))


def test_a_point_that_diverges_is_never_chosen_and_hinders_no_other(tuned, tmp_path):
    _, command, _ = tuned
    base = (*command[: command.index("--grid")], "--folds", 2, "--out", tmp_path / "out", "--json")
    rates = ("--grid", "training.learning_rate=1e30,1e-4", "--set", "training.epochs=1")
    first = json.loads(gazekit(*base, *rates, code=1).stdout)
    diverged, sound = first["candidates"]
    assert (diverged["runs"], diverged["planned"], diverged["mean"]) == (0, 2, None)
    assert sound["runs"] == 2 and first["chosen"] == ["training.learning_rate=1e-4"]
    assert json.loads(gazekit(*base, *rates).stdout) == first  # nothing is left to train


@pytest.mark.parametrize(("select", "value"), [("auc", 0.8), ("last", None)])
def test_the_value_is_that_of_the_weights_that_are_used(tmp_path, select, value):
    lines = [{"epoch": 1, "step": 1, "val_auc": 0.8, "best_epoch": 1}]
    lines += [{"epoch": 2, "step": 2, "val_auc": None, "best_epoch": 1}]  # diverged after the first epoch
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = candidate(("a=1",), [tmp_path], 1, select)
    assert (found.mean, found.value) == (value, value)


def test_of_equal_means_the_first_point_with_all_its_runs_is_chosen(tmp_path):
    paths = []
    for number, best in enumerate((0.6, 0.8)):
        paths.append(tmp_path / str(number))
        paths[-1].mkdir()
        line = {"epoch": 1, "step": 1, "val_auc": best, "best_epoch": 1}
        (paths[-1] / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    lower, half, first, second = (
        candidate((f"a={number}",), runs, 2, "auc")
        for number, runs in enumerate((paths[:1] * 2, paths[1:], paths, paths[::-1]))
    )
    assert (first.mean, first.sd) == (pytest.approx(0.7), pytest.approx(0.02**0.5))
    assert (half.value, half.sd) == (None, None)
    tuning = Tuning("p", 2, 1, "f", (lower, half, first, second), ())
    assert choose_of(tuning, tmp_path).chosen == ("a=2",)
    with pytest.raises(GazekitError, match="no point of the grid has a validation AUC from all its runs"):
        choose_of(Tuning("p", 2, 1, "f", (half,), ()), tmp_path)


def test_what_to_set_can_be_given_to_a_shell(capsys):
    chosen = ("backbone.weights=my weights.safetensors", "fusion.vectors.hidden=[4, 6]")
    found = Candidate(chosen, 1, 1, 0.8, None)
    show(Tuning("ga_net", 2, 1, "0123", (found,), chosen), {"auc"}, as_json=False)
    line = next(each for each in capsys.readouterr().out.splitlines() if each.startswith("--set"))
    assert shlex.split(line) == ["--set", chosen[0], "--set", chosen[1]]


def test_a_folder_of_another_kind_is_refused(tuned):
    folder, _, _ = tuned
    assert "kind is benchmark, there tune" in gazekit("benchmark", "--out", folder / "out", code=2).stderr


def test_a_grid_is_every_combination_and_a_list_is_one_value():
    assert grid_points(["a.b=1,2", "c=[4,6],[8]"]) == [
        ("a.b=1", "c=[4,6]"),
        ("a.b=1", "c=[8]"),
        ("a.b=2", "c=[4,6]"),
        ("a.b=2", "c=[8]"),
    ]
    assert (
        point_name(("loss.gaze_weight=0.5", "fusion.vectors.hidden=[4,6]")) == "gaze_weight=0.5,hidden=_4,6_"
    )


def test_a_sampler_tries_the_presets_own_space_and_goes_on_to_more_trials(tuned, dataset, tmp_path):
    _, command, _ = tuned
    base = command[: command.index("--grid")]
    draw = (*base, "--sampler", "random", "--folds", 2, "--json", "--out")
    few = json.loads(gazekit(*draw, tmp_path / "out", "--trials", 2).stdout)
    more = json.loads(gazekit(*draw, tmp_path / "out", "--trials", 3).stdout)
    assert (few["sampler"], few["seed"]) == ("random", 0)
    assert few["candidates"] == more["candidates"][:2] and more["candidates"][2]["runs"] == 2
    assert few["candidates"][0]["changes"] == [
        "training.learning_rate=0.0001",
        "loss.gaze_weight=2",
        "gaze.target=label",
    ]
    refused = gazekit(*draw, tmp_path / "out", "--trials", 3, "--seed", 1, code=2).stderr
    assert "'seed': 1" in refused and "'seed': 0" in refused


def test_a_sampler_that_cannot_draw_is_refused(tuned):
    _, command, _ = tuned
    base = command[: command.index("--grid")]
    assert "expected grid, random, tpe" in gazekit(*base, "--sampler", "best", code=2).stderr
    assert "--sampler grid: expected --grid" in gazekit(*base, code=2).stderr
    few = (*base, "--sampler", "tpe", "--grid", "loss.gaze_weight=1,2", "--trials", 3)
    assert "3 trials, but its space has 2 points" in gazekit(*few, code=2).stderr
    wrong = (*base, "--sampler", "tpe", "--grid", "loss.gaze_weight=1,2,lots", "--trials", 2)
    assert "loss.gaze_weight=lots: " in gazekit(*wrong, code=2).stderr


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_weights_of_a_point_that_are_not_there_are_said_before_the_first_run(tmp_path, dataset, sampler):
    lost = tmp_path / "lost.safetensors"
    options = ("--grid", f"backbone.weights=none,{lost}", "--sampler", sampler, "--folds", 2, "--trials", 2)
    data = ("--preset", "late_concat", "--data", dataset.root, "--out", tmp_path / "out")
    said = gazekit("tune", *data, *options, *CHANGES, code=2).stderr
    assert f"{lost}: no such file; expected the weights that its backbone starts from" in said
    assert not list(tmp_path.rglob("metrics.jsonl"))


@pytest.mark.parametrize(
    "items",
    [
        ["a"],
        ["a="],
        ["=1"],
        ["a=1,,2"],
        ["a=1,1"],
        ["a=1e-2,0.01"],
        ["a=nan,+nan"],
        ["a=[1, 2],[1,2]"],
        ["a=1", "a=2"],
    ],
)
def test_a_grid_that_says_nothing_or_something_twice_is_refused(items):
    with pytest.raises(ConfigurationError, match="--grid"):
        grid_points(items)


@pytest.mark.parametrize(
    "command",
    [
        ("tune", "--sampler", "tpe", "--trials", 2, "--folds", 2),
        ("benchmark", "--tune", "--trials", 2, "--folds", 2, "--seeds", 1),
    ],
)
def test_without_optuna_no_trial_is_trained(command, tmp_path, dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = gazekit(
        *command, "--preset", "ga_net", "--data", dataset.root, *CHANGES, "--out", tmp_path / "out", code=2
    )
    assert "the sampler tpe needs Optuna; install it with: pip install" in said.stderr
    assert not list(tmp_path.rglob("metrics.jsonl"))
