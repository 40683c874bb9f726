"""Every run of a study is tuned on the training part of its fold, with one budget, and the test part stays closed."""

import csv
import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from command_line import gazekit
from made_data import make_folder
from made_preparation import prepare
from tiny import SMALL

from gazekit.errors import ConfigurationError, DataError, Preempted
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split, write_split
from gazekit.presets.tables import ValueRange
from gazekit.registry.registry import Registry
from gazekit.study.folder import StudyFolder
from gazekit.study.results.collect import collect
from gazekit.study.settings import StudySettings, parse_study
from gazekit.study.study import open_study
from gazekit.study.tuning.nested import check_spaces, finish_tuned, trial_runs
from gazekit.study.tuning.sampling import values_to_check
from gazekit.study.tuning.search import Tuning

RECIPE = [*SMALL, "training.batch_size=4", "training.epochs=2", "data.val=0.3"]
CPU = torch.device("cpu")


def settings_of(
    root: Path, split: Path, *, rows: tuple[str, ...] = ("late_concat", "ga_net"), **tune: object
) -> StudySettings:
    values = {
        "data": str(root),
        "folds": str(split),
        "seeds": 1,
        "set": RECIPE,
        "tune": {"trials": 3, **tune},
        "system": [{"preset": name} for name in rows],
    }
    return parse_study(values, "the study of a test", folder=Path())


def carry_out(out: Path, settings: StudySettings, registry: Registry, *, stop_after: int = 10**6):
    """Carry out the study, stopping after some runs; what it chose, and its result."""
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > stop_after

    folder = StudyFolder(out)
    with folder.lock():
        study = open_study(folder, settings, registry, device=CPU)
        failures = finish_tuned(study, should_stop=should_stop)
        return study, failures, collect(study, failures)[0]


def tried(out: Path) -> dict[str, dict]:
    """Row → its tuning."""
    paths = sorted(out.glob("tuning/*/*/tune.json"))
    return {path.parts[-3]: json.loads(path.read_text()) for path in paths}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory, dataset: PreparedDataset) -> Path:
    path = tmp_path_factory.mktemp("split") / "split.csv"
    write_split(path, dataset, make_split(dataset, test=0.3, val=0.3))
    return path


@pytest.fixture(scope="module")
def tuned(
    tmp_path_factory: pytest.TempPathFactory, dataset: PreparedDataset, split: Path, registry: Registry
):
    out = tmp_path_factory.mktemp("tuned") / "out"
    return out, *carry_out(out, settings_of(dataset.root, split), registry)


def test_every_row_has_the_same_trials_and_its_run_the_values_with_the_highest_validation_auc(tuned) -> None:
    out, study, failures, result = tuned
    assert not failures
    for row in result.rows:
        tuning = tried(out)[row.name]
        assert [each["runs"] for each in tuning["candidates"]] == [1, 1, 1] and row.runs == 1
        best = max(tuning["candidates"], key=lambda each: each["mean"])
        assert tuning["chosen"] == best["changes"]
        (run,) = row.tuned
        assert (run.run, list(run.changes), run.val_auc, run.trials) == (
            "fold-1-seed-0",
            best["changes"],
            best["mean"],
            3,
        )
        trained = study.registry.preset(str(out / "runs" / row.name / "fold-1-seed-0" / "preset.toml"))
        for item in best["changes"]:
            assert item in {
                f"training.learning_rate={trained.training.learning_rate}",
                f"loss.gaze_weight={trained.loss.gaze_weight:g}",
                f"gaze.target={trained.gaze.target if trained.gaze else ''}",
            }
    assert tried(out)["ga_net"]["candidates"][0]["changes"] == [
        "training.learning_rate=0.0001",
        "loss.gaze_weight=2",
        "gaze.target=label",
    ]  # the preset's own
    lengths = {len(path.read_text().splitlines()) for path in out.glob("tuning/*/*/*/*/metrics.jsonl")}
    assert lengths == {2} and len(list(out.glob("tuning/*/*/*/*/metrics.jsonl"))) == 6


def test_the_value_of_a_trial_is_that_of_the_weights_that_would_be_used(tuned) -> None:
    out, *_ = tuned
    for path in out.glob("tuning/*/*/trial-*/inner-1/metrics.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        number = int(path.parts[-3].removeprefix("trial-"))
        selected = lines[lines[-1]["best_epoch"] - 1]["val_auc"]
        assert Tuning.read(path.parents[2] / "tune.json").candidates[number - 1].mean == selected


def test_a_damaged_tuning_is_made_again_as_the_message_says(
    tuned, tmp_path: Path, dataset: PreparedDataset, split: Path, registry: Registry
) -> None:
    out = shutil.copytree(tuned[0], tmp_path / "out")
    folder = out / "tuning" / "ga_net" / "fold-1-seed-0"
    (folder / "tune.json").write_text("{}")
    settings = settings_of(dataset.root, split)
    with pytest.raises(DataError, match=r"remove its folder and that of the run, and repeat the command"):
        carry_out(out, settings, registry)
    shutil.rmtree(folder)
    shutil.rmtree(out / "runs" / "ga_net" / "fold-1-seed-0")
    assert [row.tuned for row in carry_out(out, settings, registry)[2].rows] == [
        row.tuned for row in tuned[3].rows
    ]


def test_a_point_that_was_tried_twice_may_be_chosen(
    tuned, tmp_path: Path, dataset, split: Path, registry
) -> None:
    """There may be more trials than numbers in a narrow range."""
    out = shutil.copytree(tuned[0], tmp_path / "out")
    path = out / "tuning" / "ga_net" / "fold-1-seed-0" / "tune.json"
    values = json.loads(path.read_text())
    (best,) = (each for each in values["candidates"] if each["changes"] == values["chosen"])
    path.write_text(json.dumps(values | {"candidates": [best, best, *values["candidates"][:1]]}))
    *_, result = carry_out(out, settings_of(dataset.root, split), registry)
    assert result.rows[1].tuned == tuned[3].rows[1].tuned


def test_the_result_and_its_table_say_what_was_chosen(tuned) -> None:
    from gazekit.reporting.study.formats import markdown, tidy_csv
    from gazekit.reporting.study.table import study_table

    *_, result = tuned
    values = result.to_json()
    assert values["rows"][1]["space"]["loss.gaze_weight"] == [0.5, 2, 10, 50]
    assert values["rows"][0]["space"] == {"training.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
    assert "each run was tuned first: 3 trials (tpe, seed 0)" in values["tuning"]
    shown = markdown(study_table(result))
    assert "the test part stayed closed" in shown and "tuned to training.learning" in shown.replace("\\", "")
    rows = list(csv.DictReader(tidy_csv(result).splitlines()))
    assert rows[1]["tuned"].startswith("fold-1-seed-0: training.learning_rate=")


def test_labels_of_the_test_part_change_nothing_that_is_chosen(
    tuned, tmp_path: Path, registry: Registry, split: Path
) -> None:
    raw = make_folder(tmp_path / "raw")
    with split.open() as file:
        tested = {row["exam_id"] for row in csv.DictReader(file) if row["split"] == "test"}
    text = (raw / "exams.csv").read_text()
    other = {"benign": "malignant", "malignant": "benign"}
    for row in csv.DictReader(text.splitlines()):
        if row["exam_id"] in tested:
            before, after = (
                f"{row['exam_id']},{row['patient_id']},{label}"
                for label in (row["label"], other[row["label"]])
            )
            text = text.replace(before, after)
    (raw / "exams.csv").write_text(text)
    source = registry.create("dataset", "folder", gaze_reader="plain")
    root = tmp_path / "prepared"
    reader = {"gaze_reader": lambda name: registry.create("gaze_reader", name)}
    prepare(source, raw, root, size=(16, 16), crop="none", jobs=0, **reader)
    assert len(tested) > 4

    *_, result = carry_out(tmp_path / "out", settings_of(root, split, rows=("ga_net",)), registry)
    before, after = (tried(out)["ga_net"] for out in (tuned[0], tmp_path / "out"))
    assert (after["candidates"], after["chosen"]) == (before["candidates"], before["chosen"])
    changed, original = (row.metrics["auc"].mean for row in (result.rows[0], tuned[3].rows[1]))
    assert changed == pytest.approx(1 - original)  # so the labels did change


@pytest.mark.parametrize("stop_after", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 1, 3))])
def test_a_stopped_tuning_goes_on_to_the_same_trials(
    tuned, tmp_path: Path, dataset: PreparedDataset, split: Path, registry: Registry, stop_after: int
) -> None:
    settings = settings_of(dataset.root, split, rows=("ga_net",))
    with pytest.raises(
        Preempted, match="in all 4 runs of the study left"
    ):  # three trials, and the run itself
        carry_out(tmp_path / "out", settings, registry, stop_after=stop_after)
    *_, result = carry_out(tmp_path / "out", settings, registry)
    assert tried(tmp_path / "out")["ga_net"] == tried(tuned[0])["ga_net"]
    (row,), there = result.rows, tuned[3].rows[1]
    assert (row.tuned, row.metrics["auc"]) == (there.tuned, there.metrics["auc"])


def test_a_trial_that_failed_is_never_chosen_and_a_row_without_trials_fails_alone(
    tmp_path: Path, dataset: PreparedDataset, split: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gazekit.study.launch import launch

    def fail(task, _registry, **options):
        number = next((part for part in task.path.parts if part.startswith("trial-")), "")
        if task.system == "late_concat" or number == "trial-02":
            raise RuntimeError("no luck")
        return carry_out_run(task, _registry, **options)

    carry_out_run = launch.carry_out
    monkeypatch.setattr(launch, "carry_out", fail)
    settings = settings_of(dataset.root, split, sampler="random")
    study, failures, result = carry_out(tmp_path / "out", settings, registry)
    assert {task.system: reason for task, reason in failures.items()} == {
        "late_concat": "all of its trials failed: RuntimeError: no luck"
    }
    (tuning,) = tried(tmp_path / "out").values()
    assert [each["runs"] for each in tuning["candidates"]] == [1, 0, 1]
    assert tuning["chosen"] != tuning["candidates"][1]["changes"]
    assert [(row.name, row.runs) for row in result.rows] == [("late_concat", 0), ("ga_net", 1)]
    assert result.rows[1].tuned[0].trials == 2
    assert {run.system for run in trial_runs(study)} == {"late_concat"}  # tried again by the same command


def test_a_trial_that_diverged_is_never_chosen_and_a_row_of_such_trials_fails_again_with_its_reason(
    tmp_path: Path, dataset: PreparedDataset, split: Path, registry: Registry
) -> None:
    space = {"training.learning_rate": [1e30, 1e-4]}
    settings = settings_of(dataset.root, split, rows=("late_concat",), trials=2, space=space)
    *_, result = carry_out(tmp_path / "out", settings, registry)
    (tuning,) = tried(tmp_path / "out").values()
    assert sorted(each["runs"] for each in tuning["candidates"]) == [0, 1]
    assert tuning["chosen"] == ["training.learning_rate=0.0001"]
    assert result.rows[0].tuned[0].trials == 1

    space = {"training.learning_rate": [1e30]}
    settings = settings_of(dataset.root, split, rows=("late_concat",), trials=1, space=space)
    for _ in ("first", "again"):
        _, failures, _ = carry_out(tmp_path / "none", settings, registry)
    (reason,) = failures.values()
    assert "all of its trials failed: " in reason and "has a validation AUC from all its runs" in reason


def test_inner_folds_are_of_the_exams_outside_the_test_part(
    tmp_path: Path, dataset: PreparedDataset, split: Path, registry: Registry
) -> None:
    settings = settings_of(
        dataset.root, split, folds=2, trials=2, space={"training.learning_rate": [1e-4, 1e-3]}
    )
    settings = settings.model_copy(update={"systems": settings.systems[:1]})
    carry_out(tmp_path / "out", settings, registry)

    def parts(path: Path) -> dict[str, set[str]]:
        with path.open() as file:
            rows = list(csv.DictReader(file))
        return {part: {r["exam_id"] for r in rows if r["split"] == part} for part in ("train", "val", "test")}

    outer = parts(split)
    inner = [parts(path) for path in sorted((tmp_path / "out").glob("tuning/*/*/inner-*.csv"))]
    assert len(inner) == 2 and all(each["test"] == outer["test"] for each in inner)
    assert inner[0]["val"] | inner[1]["val"] == outer["train"] | outer["val"]
    assert not list((tmp_path / "out").glob("tuning/**/predictions.csv"))
    (tuning,) = tried(tmp_path / "out").values()
    assert [each["runs"] for each in tuning["candidates"]] == [2, 2]


@pytest.mark.parametrize(
    ("space", "trials", "said"),
    [
        (
            {"training.epochs": [1, 2, 3]},
            3,
            "late_concat: training.epochs: would change the exams or the budget",
        ),
        ({"loss.gaze_wieght": [1, 2, 3]}, 3, "no such key"),
        ({"loss.gaze_weight": [1, -2, 3]}, 3, "loss.gaze_weight=-2"),
        ({"loss.gaze_weight": [1, 2]}, 3, "3 trials, but its space has 2 points"),
        ({"model.map_fusion_after": {"low": 1, "high": 3}}, 3, "(got 1.5); a range draws such numbers: list"),
        ({"training.schedule.warm_up": [0, 0.1, 0.2]}, 3, "warm_up=0.2: preset"),
        (
            {"training.schedule": ["one_cycle"], "training.schedule.warm_up": [0, 0.1, 0.2]},
            3,
            "warm_up=0.2: ",
        ),
    ],
)
def test_a_space_that_cannot_be_is_refused_before_anything_is_written(
    dataset: PreparedDataset, split: Path, registry: Registry, space: dict, trials: int, said: str
) -> None:
    with pytest.raises(ConfigurationError, match="cannot be tuned") as refused:
        check_spaces(settings_of(dataset.root, split, space=space, trials=trials), registry, {})
    assert said in str(refused.value)


def test_a_value_twice_in_a_space_is_refused(dataset: PreparedDataset, split: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected a list of different values"):
        settings_of(dataset.root, split, space={"loss.gaze_weight": [math.nan, float("nan")]})
    assert settings_of(dataset.root, split, space={"loss.gaze_weight": [True, 1]}).tune


def test_weights_that_a_space_names_are_looked_for_before_the_first_run(
    dataset: PreparedDataset, split: Path, registry: Registry, tmp_path: Path
) -> None:
    lost = str(tmp_path / "lost.safetensors")
    space = {"backbone.weights": ["none", lost]}
    settings = settings_of(dataset.root, split, rows=("late_concat", "mammonet"), space=space, trials=2)
    folder = StudyFolder(tmp_path / "out")
    with pytest.raises(ConfigurationError) as refused, folder.lock():
        open_study(folder, settings, registry, device=CPU)
    assert f"system 'mammonet': {lost}: no such file; expected the weights" in str(refused.value)
    assert not list((tmp_path / "out").rglob("*.toml"))


def test_the_spaces_of_all_presets_can_be_tuned(
    dataset: PreparedDataset, split: Path, registry: Registry
) -> None:
    settings = settings_of(dataset.root, split)
    names = [component.name for component in registry.components("preset")]
    systems = [{"preset": name} for name in names]
    values = settings.model_dump(mode="json", by_alias=True) | {"system": systems, "set": []}
    assert len(names) >= 19
    check_spaces(parse_study(values, "all", folder=Path()), registry, {})


def test_a_space_may_choose_a_component_and_its_options(
    dataset: PreparedDataset, split: Path, registry: Registry
) -> None:
    options = {"training.schedule.warm_up": [0, 0.1], "training.schedule.floor": {"low": 0, "high": 0.1}}
    for space in (options | {"training.schedule": ["cosine"]}, {"training.schedule": ["cosine"]} | options):
        check_spaces(settings_of(dataset.root, split, space=space), registry, {})


@pytest.mark.parametrize(
    ("low", "high", "are_whole"),
    [(0.0, 4.0, False), (0.25, 4.25, False), (1000.0, 1004.0, False), (1000.0, 5000.0, True)],
)
def test_a_range_is_tried_at_its_ends_and_between(low: float, high: float, are_whole: bool) -> None:
    *tried, between = values_to_check(ValueRange(low=low, high=high))
    assert tried == [low, high]
    assert low <= between <= high
    assert (between == int(between)) is are_whole  # of three digits, if that is enough for the range


def test_a_space_may_leave_something_out(
    tmp_path: Path, dataset: PreparedDataset, split: Path, registry: Registry
) -> None:
    space = {"training.ema": ["none", 0.9], "fusion.maps": ["none", "cross_attention"]}
    settings = settings_of(dataset.root, split, rows=("late_concat",), trials=4, space=space)
    check_spaces(settings, registry, {})
    _, failures, _ = carry_out(tmp_path / "out", settings, registry)
    (tuning,) = tried(tmp_path / "out").values()
    assert not failures
    assert tuning["candidates"][0]["changes"] == ["training.ema=none", "fusion.maps=none"]  # the preset's own
    assert len({tuple(each["changes"]) for each in tuning["candidates"]}) == 4


@pytest.mark.usefixtures("undrawn")
def test_the_command_tunes_and_a_study_cannot_change_to_tuning(
    tuned, tmp_path: Path, dataset: PreparedDataset, split: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(tuned[0], out)
    again = gazekit("benchmark", "--out", out, "--no-timing")
    assert "2 runs, 2 of them done" in again.stderr and "3 trials (tpe)" in again.stderr
    refused = gazekit("benchmark", "--out", out, "--tune", "--trials", 4, code=2).stderr
    assert "tune is {" in refused and "'trials': 4" in refused
    refused = gazekit("benchmark", "--out", out, "--trials", 4, code=2).stderr
    assert "belong to --tune" in refused
    (preset, item) = ("late_concat", "training.epochs=1")
    command = ("benchmark", "--preset", preset, "--data", dataset.root, "--folds", split, "--seeds", 1)
    small = [part for each in (*RECIPE, item) for part in ("--set", each)]
    tune = ("--tune", "--trials", 2, "--sampler", "random", "--out", tmp_path / "new", "--no-timing")
    said = gazekit(*command, *small, *tune)
    assert "2 runs of trials left" in said.stderr and "tuned to training.learning_rate" in said.stdout
