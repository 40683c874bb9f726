"""Further targets, covariates and missing views in a whole training, evaluation and prediction."""

import csv
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import gazekit
from made_data import write_exams
from made_visits import prepare_visits
from tiny import random_batch, tiny

import gazekit as api
from gazekit.errors import ConfigurationError, DataError
from gazekit.feeding.augment import dropped_views
from gazekit.feeding.feed import prepared_exams
from gazekit.measures.evaluate import evaluate
from gazekit.modelling.build import build_model, build_objective
from gazekit.modelling.head import Covariates
from gazekit.prediction.predict import predict_prepared
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.prepared.verification import faults_of
from gazekit.presets.tables import AugmentationSettings
from gazekit.registry.registry import Registry

ALL = (
    "targets.density=1.0",
    "targets.calcification=0.5",
    'covariates=["age"]',
    "training.augmentation.drop_view=0.5",
    "training.epochs=3",
    "training.batch_size=8",
    "training.learning_rate=0.01",
)
UNKNOWN_AGE = ("e000", "e009", "e018")
CLASSES = {"density": ("A", "B", "C"), "calcification": ("no", "yes")}


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return prepare_visits(tmp_path_factory.mktemp("visits"))


def train(preset: Any, data: PreparedDataset, out: Path, registry: Registry, **options: Any) -> Any:
    return api.train(preset, data, out, registry=registry, device="cpu", note=lambda _: None, **options)


@pytest.fixture(scope="module")
def run(visits: PreparedDataset, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("visits_run") / "run"
    train(tiny(registry, *ALL), visits, path, registry)
    return path


def test_a_prepared_set_keeps_what_is_known_and_what_is_missing(visits: PreparedDataset) -> None:
    assert visits.target_classes == CLASSES
    assert visits.targets["density"][:4].tolist() == [-1, 1, 2, 0]
    assert np.isnan(visits.covariates["age"][[0, 9]]).all() and visits.covariates["age"][1] == 41
    assert (~visits.has_image[:, 1]).nonzero()[0].tolist() == [0, 5, 10, 15, 20]
    assert visits.has_image[:, 0].all() and not visits.images[0, 1].any()
    assert faults_of(visits.root).faults == []


@pytest.mark.parametrize(
    ("column", "cell"), [("target_density", "C"), ("covariate_age", "42.5"), ("has_image", "0")]
)
def test_a_changed_cell_is_found(visits: PreparedDataset, tmp_path: Path, column: str, cell: str) -> None:
    from gazekit.prepared.manifest import read_manifest, to_json
    from gazekit.prepared.verification import facts_of

    root = shutil.copytree(visits.root, tmp_path / "copy")
    with (root / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows[2:4]:
        row[column] = cell
    with (root / "index.csv").open("w") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    manifest = read_manifest(root)
    files = manifest.files | {"index.csv": facts_of(root / "index.csv")}
    (root / "dataset.json").write_text(to_json(manifest.model_copy(update={"files": files})))
    assert faults_of(root).faults


def test_the_loss_of_a_target_is_the_mean_over_the_exams_that_know_it(registry: Registry) -> None:
    preset = tiny(registry, "targets.density=2.0", "targets.calcification=0.5")
    torch.manual_seed(0)
    model = build_model(preset, registry, classes=2, targets=CLASSES).eval()
    density, calcification = torch.tensor([-1, 2, 0, -1]), torch.tensor([1, -1, -1, 0])
    batch = replace(random_batch(("cc", "mlo")), targets={"density": density, "calcification": calcification})
    weights = {"density": torch.tensor([0.5, 1.0, 2.0])}
    plain = build_objective(preset, registry, model)
    weighted = build_objective(preset, registry, model, target_weights=weights)
    output = model(batch.images)
    logits = output.further["density"].detach().double().numpy()
    own = [-(logits[i][k] - np.log(np.exp(logits[i]).sum())) for i, k in ((1, 2), (2, 0))]
    score = output.further["calcification"].detach().double().numpy()[:, 0]
    binary = [np.log1p(np.exp(-score[0])), np.log1p(np.exp(score[3]))]
    losses = plain(output, batch)
    np.testing.assert_allclose(losses.terms["target_density"].item(), np.mean(own), rtol=1e-5)
    np.testing.assert_allclose(losses.terms["target_calcification"].item(), np.mean(binary), rtol=1e-5)
    expected = np.mean([2.0 * own[0], 0.5 * own[1]])
    np.testing.assert_allclose(weighted(output, batch).terms["target_density"].item(), expected, rtol=1e-5)
    rest = build_objective(tiny(registry), registry, model)(output, batch).total
    total = rest + 2.0 * losses.terms["target_density"] + 0.5 * losses.terms["target_calcification"]
    torch.testing.assert_close(losses.total, total)


def test_a_target_that_no_exam_of_a_batch_knows_says_nothing(registry: Registry) -> None:
    preset = tiny(registry, "targets.density=1.0")
    model = build_model(preset, registry, classes=2, targets=CLASSES)
    batch = replace(random_batch(("cc", "mlo")), targets={"density": torch.full((4,), -1)})
    losses = build_objective(preset, registry, model)(model(batch.images), batch)
    assert losses.said["target_density"] == 0 and losses.terms["target_density"] == 0
    losses.total.backward()
    assert not model.head.further["density"].weight.grad.any()


def test_covariates_are_standardised_by_the_exams_that_know_them() -> None:
    module = Covariates(2)
    values = np.array([[1.0, 7.0], [3.0, np.nan], [np.nan, 7.0], [8.0, 7.0]])
    module.fit(torch.as_tensor(values, dtype=torch.float32))
    mean, spread = np.nanmean(values[:, 0]), np.nanstd(values[:, 0])
    expected = np.array(
        [
            [(1 - mean) / spread, 0, 1, 1],
            [(3 - mean) / spread, 0, 1, 0],
            [0, 0, 0, 1],
            [(8 - mean) / spread, 0, 1, 1],
        ]
    )
    found = module(torch.as_tensor(values, dtype=torch.float32))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("constant", "exams"), [(0.1, 7), (0.3, 11), (2019.0, 10_000), (1.7, 1000)])
def test_a_covariate_that_is_constant_in_the_training_part_keeps_its_scale(
    constant: float, exams: int
) -> None:
    for kind in (torch.float32, torch.float64):
        module = Covariates(1)
        module.fit(torch.full((exams, 1), constant, dtype=kind))
        found = module(torch.tensor([[constant], [constant + 1]]))
        np.testing.assert_allclose(found[:, 0].numpy(), [0, 1], atol=1e-3)


def test_a_dropped_view_is_a_function_of_seed_epoch_and_exam_and_never_the_last() -> None:
    settings = AugmentationSettings(drop_view=0.2)
    exams, present = np.arange(400), np.ones((400, 2), dtype=bool)
    present[::4, 1] = False
    drawn = dropped_views(settings, exams, present, seed=3, epoch=7)
    assert not drawn[::4].any() and (drawn.sum(axis=1) <= 1).all() and not (drawn & ~present).any()
    assert 0.13 < drawn[present.all(axis=1)].any(axis=1).mean() < 0.27
    part = dropped_views(settings, exams[5:9], present[5:9], seed=3, epoch=7)
    assert np.array_equal(part, drawn[5:9])
    assert not np.array_equal(dropped_views(settings, exams, present, seed=3, epoch=8), drawn)


def test_a_dropped_view_has_no_pixels_and_no_gaze(visits: PreparedDataset, registry: Registry) -> None:
    preset = tiny(registry, "training.augmentation.drop_view=1.0")
    rows = np.array([1, 2, 3, 5])
    exams = prepared_exams(visits, rows, preset, torch.device("cpu"), with_gaze=True, with_masks=True)
    (batch,) = exams.augmented([np.arange(4)], preset.training.augmentation, seed=0, epoch=0)
    assert batch.present is not None and batch.gaze is not None and batch.masks is not None
    for number in range(4):
        missing = [view for view in ("cc", "mlo") if not batch.present[view][number]]
        assert len(missing) == 1
        assert not batch.gaze.present(missing[0])[number] and not batch.masks[missing[0]][number].any()
        assert batch.images[missing[0]][number].unique().numel() == 1
    assert not batch.present["mlo"][3]


def test_training_resumes_to_the_bit(
    run: Path, visits: PreparedDataset, registry: Registry, tmp_path: Path
) -> None:
    train(tiny(registry, *ALL, "training.epochs=1"), visits, tmp_path / "run", registry)
    again = train(tiny(registry, *ALL), visits, tmp_path / "run", registry, resume=True)
    whole = api.load(run, registry=registry)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name
    assert (run / "metrics.jsonl").read_text() == (tmp_path / "run" / "metrics.jsonl").read_text()


def test_an_evaluation_measures_every_target_over_the_exams_that_know_it(
    run: Path, visits: PreparedDataset, registry: Registry
) -> None:
    trained = api.load(run, registry=registry)
    result = api.evaluate(trained, part="all", data=visits, resamples=100)
    assert {"classification", "target_density", "target_calcification"} <= set(result["metrics"])
    with (run / "predictions_all.csv").open() as file:
        rows = list(csv.DictReader(file))
    known = [row for row in rows if row["calcification"]]
    assert len(rows) == 24 and len(known) == 18
    positive = np.array([row["calcification"] == "yes" for row in known])
    scores = np.array([float(row["calcification:p_yes"]) for row in known])
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert result["metrics"]["target_calcification"]["auc"]["value"] == pytest.approx(np.mean(pairs))


def test_a_target_that_is_known_of_one_patient_alone_is_left_out_and_the_others_are_measured(
    run: Path, visits: PreparedDataset, registry: Registry
) -> None:
    few = {**visits.targets, "calcification": np.full(24, -1)}
    few["calcification"][:2] = 0, 1
    one = replace(visits, patient_ids=("p0", "p0", *visits.patient_ids[2:]), targets=few)
    predictions = api.load(run, registry=registry).predict(visits, "all")
    measured = evaluate(one, predictions, resamples=50)
    assert {"classification", "target_density"} <= set(measured)
    assert "target_calcification" not in measured


def test_files_and_the_prepared_set_are_predicted_alike_with_views_missing_and_covariates(
    run: Path, visits: PreparedDataset
) -> None:
    raw = visits.root.parent / "raw"
    finished = gazekit("predict", run, visits.root, "--json")
    prepared = json.loads(finished.stdout)
    table = gazekit("predict", run, raw / "exams.csv", "--json")
    for each in (finished, table):
        assert each.stderr.count("predicted without") == each.stderr.count("predicted as not known") == 1
        assert "5 exams (e000, e005, e010, e015, e020): no view mlo: predicted without" in each.stderr
        assert f"3 exams ({', '.join(UNKNOWN_AGE)}): no covariate age: predicted as not known" in each.stderr
    misspelled = raw / "misspelled.csv"
    misspelled.write_text((raw / "exams.csv").read_text().replace("covariate_age", "age"))
    said = gazekit("predict", run, misspelled).stderr
    assert "24 exams (e000, e001, e002, e003, e004 and 19 more): no covariate age" in said
    expected, found = ({e["exam"]: e for e in each["exams"]} for each in (prepared, json.loads(table.stdout)))
    assert list(found) == list(expected) and prepared["targets"] == {k: list(v) for k, v in CLASSES.items()}
    for exam, each in expected.items():
        assert found[exam]["probabilities"] == pytest.approx(each["probabilities"], abs=2e-6)
        for target, chances in each["targets"].items():
            assert found[exam]["targets"][target] == pytest.approx(chances, abs=2e-6)
            assert sum(chances.values()) == pytest.approx(1, abs=1e-5)


def test_python_says_what_the_exams_of_a_prepared_set_are_predicted_without(
    run: Path, visits: PreparedDataset
) -> None:
    with pytest.warns(UserWarning, match="predicted") as caught:
        api.predict(run, visits)
    assert [str(each.message) for each in caught if each.filename == __file__] == [
        "5 exams (e000, e005, e010, e015, e020): no view mlo: predicted without",
        f"3 exams ({', '.join(UNKNOWN_AGE)}): no covariate age: predicted as not known",
    ]


def test_an_ensemble_names_the_covariates_that_only_its_second_model_reads(
    run: Path, visits: PreparedDataset, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = [each for each in ALL if "covariates" not in each]
    train(tiny(registry, *without, "training.epochs=1"), visits, tmp_path / "first", registry)
    table = visits.root.parent / "raw" / "exams.csv"
    said = gazekit("predict", tmp_path / "first", "--ensemble", run, table).stderr
    assert f"3 exams ({', '.join(UNKNOWN_AGE)}): no covariate age: predicted as not known" in said
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{table}\n"))
    assert "no covariate age" in gazekit("predict", tmp_path / "first", "--ensemble", run, "--stdin").stdout


def test_an_exported_model_takes_covariates_and_gives_every_target(
    visits: PreparedDataset, registry: Registry, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    small = tiny(registry, *ALL[:3], "gaze=none", "training.epochs=1", preset="late_concat")
    trained = train(small, visits, tmp_path / "run", registry)
    session = onnxruntime.InferenceSession(api.export(trained, tmp_path / "model.onnx"))
    names = [each.name for each in session.get_outputs()]
    assert names[:3] == ["logits", "logits_density", "logits_calcification"]
    assert [each.name for each in session.get_inputs()] == ["cc", "mlo", "covariates"]
    images = {
        view: np.random.default_rng(0).random((2, 1, 16, 16), dtype=np.float32) for view in ("cc", "mlo")
    }
    young, unknown = (
        session.run(["logits"], images | {"covariates": np.full((2, 1), age, dtype=np.float32)})[0]
        for age in (20.0, np.nan)
    )
    assert np.isfinite(unknown).all() and not np.allclose(young, unknown)


@pytest.mark.slow
def test_the_example_hands_covariates_to_an_exported_model(
    run: Path, visits: PreparedDataset, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    assert "reads 2 images (cc, mlo) and the covariate age; outputs" in (
        gazekit("export", run, "--out", tmp_path / "model.onnx").stderr
    )
    raw = visits.root.parent / "raw"
    program = Path(__file__).parents[2] / "examples" / "run_onnx.py"
    command = [sys.executable, program, tmp_path / "model.onnx", raw / "e001_cc.png", raw / "e001_mlo.png"]

    def example(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *options], capture_output=True, text=True, check=False)

    rows = json.loads(gazekit("predict", run, raw / "exams.csv", "--json").stdout)["exams"]
    (expected,) = [each for each in rows if each["exam"] == "e001"]
    found = dict(line.split(": ") for line in example("--covariate", "age=41").stdout.splitlines())
    for name, probability in expected["probabilities"].items():
        assert float(found[name]) == pytest.approx(probability, abs=1e-3)
    for name, probability in expected["targets"]["density"].items():
        assert float(found[f"density {name}"]) == pytest.approx(probability, abs=1e-3)
    assert example().stdout != example("--covariate", "age=41").stdout
    for wrong, said in (("Age=41", "the model reads age"), ("age=old", "expected NAME=NUMBER")):
        done = example("--covariate", wrong)
        assert done.returncode == 1 and done.stderr == f"error: --covariate {wrong}: {said}" + (
            ", such as age=61\n" if said.startswith("expected") else "\n"
        )


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ("targets.grade=1.0",),
            r"no target 'grade', .* the data have density, calcification: .* column target_grade",
        ),
        (('covariates=["weight"]',), r"no covariate 'weight', .* the data have age"),
        (("targets.label=1.0",), "the label is predicted anyway"),
        (('covariates=["age", "age"]',), "a covariate is named twice: age, age"),
    ],
)
def test_what_the_data_do_not_know_is_said(
    visits: PreparedDataset, registry: Registry, tmp_path: Path, overrides: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        train(tiny(registry, *overrides), visits, tmp_path / "run", registry)
    assert not (tmp_path / "run").exists()


def test_a_preset_of_one_view_says_which_exams_lack_it(
    visits: PreparedDataset, registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(
        DataError, match=r"exam e\d+ has none of the views mlo .* prepare the data with views mlo"
    ):
        train(tiny(registry, preset="single_mlo"), visits, tmp_path / "run", registry)
    split = make_split(visits)
    lacks = np.array([split[exam] == "test" for exam in visits.exam_ids])  # nothing that is trained on
    only_there = replace(visits, has_image=np.stack([~lacks, lacks | True], axis=1))
    with pytest.raises(DataError, match=f"none of the views cc .and {sum(lacks)} exams in all"):
        train(tiny(registry, preset="single_cc"), only_there, tmp_path / "run", registry, split=split)
    assert not (tmp_path / "run").exists()


def test_further_targets_do_not_take_the_place_of_the_label_in_studies_and_reports(
    run: Path, visits: PreparedDataset, registry: Registry, tmp_path: Path
) -> None:
    from gazekit.measures.catalogue import MEASURES
    from gazekit.measures.offered import offered_metrics
    from gazekit.reporting.run.measure_rows import tiles
    from gazekit.study.results.pooling import of_targets, read_run

    copy = shutil.copytree(run, tmp_path / "fold-0-seed-0")
    result = api.evaluate(copy, part="test", data=visits, resamples=100, per="patient")
    label = result["metrics"]["classification"]["auc"]["value"]
    others = {
        name: group["auc"]["value"] for name, group in result["metrics"].items() if name.startswith("target_")
    }
    assert label not in others.values()
    record = read_run(copy)
    assert record.metrics["auc"] == label
    assert {f"target_{name}": estimate.mean for name, estimate in of_targets([record]).items()} == others
    predictions = api.load(run, registry=registry).predict(visits, "test")
    measured = evaluate(visits, predictions, metrics=offered_metrics(registry), resamples=100)
    (shown,) = [tile["value"] for tile in tiles({"own": measured}, MEASURES) if tile["title"] == "AUC"]
    assert shown == f"{label:.3f}"


@pytest.mark.usefixtures("undrawn")
def test_a_report_marks_a_missing_view(run: Path, visits: PreparedDataset, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    gazekit("report", run, "--part", "all", "--data", visits.root, "--out", page)
    text = page.read_text()
    assert text.count("MLO, missing") >= 5
    assert "CC, missing" not in text


def test_an_exam_without_a_view_has_overlays_of_the_other_and_none_of_what_is_missing(
    run: Path, visits: PreparedDataset, tmp_path: Path
) -> None:
    raw = visits.root.parent / "raw"
    for number, source in enumerate((raw / "e000_cc.png", visits.root)):
        drawn = tmp_path / str(number)
        gazekit("predict", run, source, "--overlays", drawn)
        names = sorted(path.name for path in drawn.iterdir())
        assert any("cc" in name for name in names)
        assert not any("e000" in name and "mlo" in name for name in names)


def test_a_model_of_one_view_does_not_predict_an_exam_that_lacks_it(
    visits: PreparedDataset, registry: Registry, tmp_path: Path
) -> None:
    train(tiny(registry, "training.epochs=1", preset="single_cc"), visits, tmp_path / "run", registry)
    without_cc = replace(visits, has_image=visits.has_image.copy())
    without_cc.has_image[3, 0] = False
    trained = api.load(tmp_path / "run", registry=registry)
    members = [trained.as_member()]
    with pytest.raises(DataError, match="exam e003 has none of the views cc"):
        list(predict_prepared(members, without_cc, torch.device("cpu")))


def test_other_data_must_number_the_classes_of_a_target_alike(run: Path, visits: PreparedDataset) -> None:
    """Without an exam of density A, B would be the first class there."""
    other = replace(visits, target_classes={**visits.target_classes, "density": ("B", "C")})
    with pytest.raises(DataError, match=r"target density has B, C; the model .* was trained on A, B, C"):
        api.load(run).predict(other, "all")


def test_other_data_may_lack_targets_covariates_and_exams_of_a_class(
    run: Path, visits: PreparedDataset, tmp_path: Path
) -> None:
    raw = visits.root.parent / "raw"
    with (raw / "exams.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["target_calcification"], row["covariate_age"]
        row["target_density"] = row["target_density"].replace("A", "")
        row |= {key: str(raw / cell) for key, cell in row.items() if cell.endswith((".png", ".csv"))}
    (tmp_path / "raw").mkdir()
    write_exams(tmp_path / "raw", rows)
    options = {"size": 16, "crop": "none", "missing_views": "keep", "jobs": 0, "allow_outside": [raw]}
    other = api.prepare("folder", tmp_path / "raw", tmp_path / "other", note=lambda _: None, **options)
    assert other.target_classes == {"density": ("B", "C")} and not other.covariates
    copy = shutil.copytree(run, tmp_path / "run")
    result = api.evaluate(copy, other, part="all", resamples=50)
    assert result["limits"] == [
        "Target calcification is not measured: no exam says it.",
        "No exam says the covariate age, which the model reads: all are predicted as not known.",
    ]
    (table,) = copy.glob("predictions_all_*.csv")
    with table.open() as file:
        known = [row for row in csv.DictReader(file) if row["density"]]
    assert {row["density"] for row in known} == {"B", "C"}
    called = [max("ABC", key=lambda name: float(row[f"density:p_{name}"])) for row in known]
    right = np.mean([row["density"] == name for row, name in zip(known, called, strict=True)])
    assert result["metrics"]["target_density"]["accuracy"]["value"] == pytest.approx(right)


def test_a_start_from_a_run_with_other_covariates_keeps_its_own_mean_and_spread(
    run: Path, visits: PreparedDataset, registry: Registry, tmp_path: Path
) -> None:
    other = replace(visits, covariates={"size": np.arange(24.0), **visits.covariates})
    preset = tiny(registry, 'covariates=["size"]', "training.epochs=1")
    split = api.load(run).run.split_path
    train(preset, other, tmp_path / "run", registry, initial=run, split=split)
    model = api.load(tmp_path / "run", registry=registry).model
    assert model.covariates is not None and model.covariates.mean.item() < 24


def test_a_view_cannot_be_dropped_where_gaze_is_read_at_inference(
    visits: PreparedDataset, registry: Registry
) -> None:
    from types import SimpleNamespace

    from gazekit.training.checking.checks import _check_objective

    preset = tiny(registry, "training.augmentation.drop_view=0.2", preset="double_model")
    model: Any = SimpleNamespace(needs_gaze=True, gaze_use="always")
    objective: Any = SimpleNamespace(needs=frozenset())
    with pytest.raises(ConfigurationError, match="a dropped view has none; set"):
        _check_objective(model, objective, preset, visits, np.arange(4))
