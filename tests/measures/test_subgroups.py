"""The measures of a subgroup are those of its exams alone."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit
from made_data import make_folder, write_exams

import gazekit as api
from gazekit.cli import evaluate as evaluate_command
from gazekit.errors import ConfigurationError
from gazekit.measures.evaluate import evaluate
from gazekit.measures.offered import offered_metrics
from gazekit.measures.statistics.intervals import Interval
from gazekit.measures.subgroups import groupings, limits_of_subgroups, measure_subgroups
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset
from gazekit.registry.registry import Registry
from gazekit.reporting.run.card import model_card
from gazekit.runs.directory import RunDirectory
from gazekit.study.results.pooling import read_run


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """40 exams of 20 patients from two hospitals; some sides, densities and ages are not known."""
    folder = tmp_path_factory.mktemp("hospitals")
    make_folder(folder / "raw", exams=40)
    with (folder / "raw" / "exams.csv").open() as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["laterality"] = "" if number % 9 == 0 else "LR"[number % 2]
        row["dataset"] = f"hospital_{'ab'[number % 3 == 0]}"
        row["target_density"] = "" if number % 7 == 0 else "ABC"[number % 3]
        row["target_spiculated"] = ("no", "yes")[row["label"] == "malignant"]
        row["covariate_age"] = "" if number % 7 == 3 else f"{40 + number * 0.5:g}"
        row["covariate_sex"] = str(number % 4 // 2)
    write_exams(folder / "raw", rows)
    return api.prepare(
        "folder", folder / "raw", folder / "prepared", note=lambda _: None, size=16, crop="none", jobs=0
    )


@pytest.fixture(scope="module")
def predicted(hospitals: PreparedDataset) -> Predictions:
    """Three of four exams, out of order, with chances that know something of the label."""
    random = np.random.default_rng(0)
    indices = random.permutation(40)[:30]
    chances = np.clip(0.3 * hospitals.labels[indices] + 0.7 * random.random(30), 0, 1).astype(np.float32)
    pairs = np.stack([1 - chances, chances], axis=1)
    return Predictions(indices, pairs, pairs, {}, threshold=0.4)


def alone(
    dataset: PreparedDataset, predicted: Predictions, registry: Registry, belongs: Callable[[int], bool]
) -> dict[str, Interval]:
    """Evaluate nothing but the exams that belong to a group, found one by one."""
    rows = [row for row, exam in enumerate(predicted.indices.tolist()) if belongs(exam)]
    few = replace(
        predicted,
        indices=predicted.indices[rows],
        logits=predicted.logits[rows],
        probabilities=predicted.probabilities[rows],
    )
    return evaluate(dataset, few, metrics=offered_metrics(registry), resamples=100)["classification"]


GROUPS: dict[str, dict[str, Callable[[int], bool]]] = {
    "side": {
        "side L": lambda exam: exam % 9 > 0 and exam % 2 == 0,
        "side R": lambda exam: exam % 9 > 0 and exam % 2 == 1,
        "side not known": lambda exam: exam % 9 == 0,
    },
    "dataset": {
        "dataset hospital_a": lambda exam: exam % 3 > 0,
        "dataset hospital_b": lambda exam: exam % 3 == 0,
    },
    "density": {
        **{f"density {c}": lambda exam, c=c: exam % 7 > 0 and "ABC"[exam % 3] == c for c in "ABC"},  # type: ignore[misc]
        "density not known": lambda exam: exam % 7 == 0,
    },
    "age:48,54.5": {
        "age < 48": lambda exam: exam % 7 != 3 and exam < 16,
        "48 <= age < 54.5": lambda exam: exam % 7 != 3 and 16 <= exam < 29,
        "age >= 54.5": lambda exam: exam % 7 != 3 and exam >= 29,
        "age not known": lambda exam: exam % 7 == 3,
    },
}


@pytest.mark.parametrize("by", GROUPS)
def test_a_subgroup_is_measured_as_if_there_were_no_other_exams(
    hospitals: PreparedDataset, predicted: Predictions, registry: Registry, by: str
) -> None:
    found = measure_subgroups(
        hospitals,
        predicted,
        groupings(hospitals, [by]),
        metrics=offered_metrics(registry),
        resamples=100,
    )
    assert list(found) == list(GROUPS[by])
    assert sum(len(each.exams.exam_ids) for each in found.values()) == 30
    for name, belongs in GROUPS[by].items():
        own = found[name].exams.exam_ids
        assert own == [hospitals.exam_ids[exam] for exam in predicted.indices if belongs(exam)]
        expected = alone(hospitals, predicted, registry, belongs)
        assert repr(found[name].measures) == repr(expected) and {"auc", "f1"} <= set(expected)


def test_groups_of_one_class_or_one_patient_have_no_measures(
    hospitals: PreparedDataset, predicted: Predictions
) -> None:
    by = groupings(hospitals, ["spiculated", "age:40.9,41.9"])
    found = measure_subgroups(hospitals, predicted, by, resamples=100)
    assert not found["spiculated no"].measures and not found["spiculated yes"].measures
    assert found["age >= 41.9"].measures
    names = [f"by_{name}" for name in found]
    first, *_, last = limits_of_subgroups(names, [f"by_{name}" for name in found if found[name].measures])
    left_out = [name for name in found if not found[name].measures]
    assert first == f"Subgroups of one class or one patient are not measured: {', '.join(left_out)}."
    assert "are no tests of a difference" in last
    one_patient = replace(hospitals, patient_ids=("p",) * 40)
    assert not measure_subgroups(one_patient, predicted, groupings(hospitals, ["side"]))["side L"].measures


def test_classes_that_do_not_overlap_have_the_exact_interval_of_a_subgroups_patients(
    hospitals: PreparedDataset, predicted: Predictions
) -> None:
    sure = np.eye(2, dtype=np.float32)[hospitals.labels[predicted.indices]]
    known = replace(predicted, probabilities=sure)
    found = measure_subgroups(hospitals, known, groupings(hospitals, ["dataset"]), resamples=100)
    for each in found.values():
        patients, labels = np.array(each.exams.patient_ids), each.exams.labels
        pairs = min(len(set(patients[labels == label])) for label in (0, 1))
        area = each.measures["auc"]
        assert (area.value, area.low, area.high) == (1, pytest.approx(0.025 ** (1 / pairs)), 1)


def test_a_covariate_of_few_values_is_grouped_by_them_and_whole_numbers_have_no_point(
    hospitals: PreparedDataset,
) -> None:
    [sex] = groupings(hospitals, ["sex"])
    assert list(sex.names) == ["sex 0", "sex 1"]
    np.testing.assert_array_equal(sex.group, np.arange(40) % 4 // 2)


def test_numbers_that_differ_little_are_different_groups(hospitals: PreparedDataset) -> None:
    close = np.where(np.arange(40) < 20, 1234567.1, 1234567.2)
    [found] = groupings(replace(hospitals, covariates={"dose": close}), ["dose"])
    assert list(found.names) == ["dose 1234567.1", "dose 1234567.2"]


def test_a_class_called_not_known_takes_the_exams_of_unknown_class_in(
    hospitals: PreparedDataset, predicted: Predictions
) -> None:
    named = replace(
        hospitals, target_classes={**hospitals.target_classes, "density": ("A", "B", "not known")}
    )
    found = measure_subgroups(named, predicted, groupings(named, ["density"]), resamples=100)
    assert list(found) == ["density A", "density B", "density not known"]
    assert sum(len(each.exams.exam_ids) for each in found.values()) == 30


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (
            ["densty"],
            r"'densty'; did you mean 'density'\?; .* by side, dataset, spiculated, density, age\[:EDGE,…\], sex",
        ),
        (["age"], r"age has 34 different values, more than 10; say where to divide them: age:46.5,53$"),
        (["age:50,x"], "age:50,x: expected numbers that rise, between commas"),
        (["age:65,50"], "age:65,50: expected numbers that rise"),
        (["age:50,50"], "expected numbers that rise"),
        (["age:nan"], "expected numbers that rise"),
        (["age:"], "expected numbers that rise"),
        (["side:3"], "side has no numbers to divide at 3; group by side alone"),
        (["age:50", "side", "age:60"], "grouped by age twice; give it once, with all of its edges"),
    ],
)
def test_a_way_to_group_that_does_not_exist_is_refused(
    hospitals: PreparedDataset, by: list[str], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        groupings(hospitals, by)


def test_a_name_that_means_two_things_is_refused(hospitals: PreparedDataset) -> None:
    twice = replace(hospitals, covariates={"side": np.zeros(40)})
    with pytest.raises(ConfigurationError, match="by 'side', which is 2 things"):
        groupings(twice, ["side"])


def test_data_that_know_nothing_cannot_be_grouped(dataset: PreparedDataset) -> None:
    with pytest.raises(ConfigurationError, match="grouped by nothing: no exam says a side, data set, target"):
        groupings(dataset, ["side"])


def test_the_command_shows_a_table_for_each_way_and_writes_what_others_read(
    tiny_run: Path, hospitals: PreparedDataset, registry: Registry, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_run, tmp_path / "run")
    options = ("--data", hospitals.root, "--part", "all", "--resamples", 100)
    shown = gazekit("evaluate", copy, *options, "--by", "spiculated", "--by", "age:48,54.5")
    _, of_targets, of_ages = shown.stdout.split("\nby ")
    assert of_targets.splitlines()[0] == "spiculated" and of_ages.splitlines()[0] == "age"
    assert of_targets.splitlines()[1].split()[:4] == ["group", "exams", "patients", "malignant"]
    assert of_targets.splitlines()[3].split() == ["spiculated", "yes", "20", "10", "20", "–", "–"]
    assert "by_" not in shown.stdout and "not measured: spiculated no, spiculated yes.\n" in shown.stderr
    read = json.loads(gazekit("evaluate", copy, *options, "--by", "side", "--json").stdout)
    assert list(read["subgroups"])[:3] == ["by_side L", "by_side R", "by_side not known"]
    assert {each["by"] for each in read["subgroups"].values()} == {
        "side",
        "spiculated",
        "age",
    }  # and those before
    counts = read["subgroups"]["by_side L"]
    assert counts == {"by": "side", "exams": 17, "patients": 17, "classes": {"benign": 8, "malignant": 9}}
    [again] = copy.glob("evaluation_all_*.json")
    assert json.loads(again.read_text())["metrics"]["by_side R"] == read["metrics"]["by_side R"]
    same = api.evaluate(copy, hospitals, "all", resamples=100, by="side")
    assert same["metrics"] == read["metrics"] and same["subgroups"] == read["subgroups"]


def test_groups_and_units_measured_before_stay_while_the_predictions_do(
    tiny_run: Path, hospitals: PreparedDataset, registry: Registry, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_run, tmp_path / "run")
    first = api.evaluate(copy, hospitals, "all", resamples=100, by=["side", "age:40.9,50"], per="patient")
    assert "not measured: age < 40.9." in "".join(first["limits"])
    again = api.evaluate(copy, hospitals, "all", resamples=100)
    assert again["subgroups"] == first["subgroups"] and again["metrics"] == first["metrics"]
    assert again["limits"] == first["limits"]
    other = api.evaluate(copy, hospitals, "all", resamples=100, by="age:60")
    ages = [name for name, each in other["subgroups"].items() if each["by"] == "age"]
    assert ages and not any("50" in name for name in ages) and "40.9" not in "".join(other["limits"])
    assert {name for name in first["metrics"] if name.startswith("by_side")} <= set(other["metrics"])
    file = copy / other["files"][0]
    assert json.loads(file.read_text())["subgroups"] == other["subgroups"]

    stored = json.loads(file.read_text())
    file.write_text(json.dumps(stored | {"table": "0" * 64}))
    with pytest.warns(
        UserWarning, match="the predictions are not known to be the same: age, side, per_patient_by_max; m"
    ):
        fresh = api.evaluate(copy, hospitals, "all", resamples=100)
    assert fresh["subgroups"] == {} and "per_patient_by_max" not in fresh["metrics"]


def test_of_several_classes_none_is_counted_as_positive(capsys: pytest.CaptureFixture[str]) -> None:
    found = {"auc": {"value": 0.5, "low": 0.25, "high": 0.75}}
    classes = {"a": 1, "b": 2, "c": 3}
    of_left = {"by": "side", "exams": 6, "patients": 5, "classes": classes}
    result = {"metrics": {"by_side L": found}, "subgroups": {"by_side L": of_left}, "positive": None}
    evaluate_command._print_subgroups(result, "side")
    title, columns, row = capsys.readouterr().out.strip().splitlines()
    assert title == "by side" and columns.split()[:4] == ["group", "exams", "patients", "AUC"]
    assert row.split() == ["side", "L", "6", "5", "0.500", "[0.250,", "0.750]", "–"]


def test_a_study_reads_the_measures_of_all_exams_and_comparison_and_card_name_the_groups(
    tiny_run: Path, hospitals: PreparedDataset, registry: Registry, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_run, tmp_path / "run")

    def as_its_own(by: str) -> None:
        """Evaluate other data, as if they were the test part of the run."""
        found = api.evaluate(copy, hospitals, "all", resamples=100, by=[by] if by else ())
        for name, plain in zip(found["files"], ("evaluation.json", "predictions.csv"), strict=True):
            shutil.copy(copy / name, copy / plain)

    as_its_own("")
    before, plain = read_run(copy), shutil.copytree(copy, tmp_path / "plain")
    as_its_own("age:48,54.5")
    assert read_run(copy) == before
    compared = gazekit("runs", "compare", plain, copy).stdout
    assert "by 48 <= age < 54.5: auc " in compared and "classification: auc " in compared
    card = model_card(RunDirectory.open(copy), registry)
    assert "| by 48 &lt;= age &lt; 54.5 (11 exams of 7 patients) | AUC | " in card
