"""Checks of attention maps: against slow oracles, resumed to the bit, and honest where there is little to check."""

import itertools
import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import TINY, one_exam
from command_line import gazekit as command_line
from made_data import make_folder
from made_preparation import prepare
from scipy import stats

from gazekit.errors import ConfigurationError, DataError
from gazekit.feeding.random_numbers import CHECK_REMOVAL, random_generator
from gazekit.measures.attention.removal import impute_blurred, removal_order, removed_pixels
from gazekit.measures.catalogue import CHECKS
from gazekit.measures.evaluate import evaluate
from gazekit.modelling.build import build_model
from gazekit.modelling.randomised import layers_of
from gazekit.prediction.changed_images import explain_changed
from gazekit.prepared.dataset import PreparedDataset
from gazekit.registry.registry import Registry
from gazekit.reporting.run.explain_check import explain_check_section
from gazekit.runs.explain_check import check, checked_maps
from gazekit.runs.explain_check.check import check_explanations
from gazekit.runs.explain_check.checked_maps import ExplainCheckSettings, fresh_layers, fresh_seed
from gazekit.runs.explain_check.file import CheckRow, ExplainCheck, read_explain_check
from gazekit.runs.explain_check.words import find, statements
from gazekit.runs.trained import Trained, open_trained
from gazekit.runs.verification import faults_of
from gazekit.study.results.pooling import read_run

CPU = torch.device("cpu")
QUICK = ExplainCheckSettings(draws=1, steps=3, fill="blur")
FEW = replace(QUICK, exams=3)


@pytest.fixture
def trained(tiny_run: Path, tmp_path: Path, registry: Registry) -> Trained:
    """A copy of the run, to write into."""
    shutil.copytree(tiny_run, tmp_path / "run")
    return open_trained(tmp_path / "run", registry, CPU)


@pytest.fixture(scope="module")
def permuted_run(tmp_path_factory: pytest.TempPathFactory, dataset: PreparedDataset, tiny_run: Path) -> Path:
    """The same training on permuted labels; not to be changed."""
    out = tmp_path_factory.mktemp("permuted") / "run"
    given = ("--data", dataset.root, "--split", tiny_run / "split.csv", "--set", "training.labels=permuted")
    said = command_line("train", "--preset", "mammonet_small", *given, "--out", out, "--epochs", 1, *TINY)
    assert "the labels of the training part are permuted" in said.stderr
    return out


@pytest.fixture(scope="module")
def all_checked(
    tiny_run: Path,
    permuted_run: Path,
    dataset: PreparedDataset,
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Trained, ExplainCheck]:
    """A copy of the run, and its checks on all exams, also against the run on permuted labels."""
    copy = shutil.copytree(tiny_run, tmp_path_factory.mktemp("checked") / "run")
    trained = open_trained(copy, registry, CPU)
    control = open_trained(permuted_run, registry, CPU)
    settings = ExplainCheckSettings(draws=1, steps=4, fill="blur")
    return trained, check_explanations(trained, dataset, "all", settings, random_labels=control)


def value(found: ExplainCheck, *place: str) -> float:
    row = find(found.rows, *place)
    assert row is not None and row.value is not None, place
    return row.value


def test_random_weights_are_compared_as_a_slow_oracle_does(
    all_checked: tuple[Trained, ExplainCheck], dataset: PreparedDataset, registry: Registry
) -> None:
    trained, found = all_checked
    own = trained.predict(dataset, "all").attention
    torch.manual_seed(fresh_seed(trained.facts.seed, 0, 0))
    fresh = build_model(trained.preset, registry, classes=2, size=dataset.size).eval()
    assert trained.attention_map is not None
    exams = checked_maps.exams_of_run(trained, dataset, np.arange(len(dataset)))
    ones = np.ones(len(dataset), dtype=np.int64)
    other = explain_changed(fresh, exams, trained.attention_map, ones, batch_size=5).attention
    rho = [
        np.mean([stats.spearmanr(own[v][i].ravel(), other[v][i].ravel()).statistic for v in own])
        for i in range(len(dataset))
    ]
    assert value(found, "cascade", "stage 1", "spearman") == pytest.approx(np.mean(rho), abs=1e-9)
    assert found.exams == 24 and found.patients == 12


@pytest.mark.parametrize("seed", [0, 1])
def test_random_weights_are_not_those_that_the_run_began_with(
    trained: Trained, registry: Registry, dataset: PreparedDataset, seed: int
) -> None:
    run = replace(trained, facts=replace(trained.facts, seed=seed))
    torch.manual_seed(seed)
    begun = layers_of(build_model(run.preset, registry, classes=2, size=dataset.size))
    own = [weights for modules in begun.values() for module in modules for weights in module.parameters()]
    drawn = [fresh_layers(run, QUICK, draw) for draw in range(3)]
    for fresh in drawn:
        found = [
            weights for modules in fresh.values() for module in modules for weights in module.parameters()
        ]
        assert len(found) == len(own)
        for first, second in zip(own, found, strict=True):
            assert len(first.unique()) == 1 or not torch.equal(first, second)  # a norm begins with ones


def test_the_seed_of_random_weights_is_never_the_runs_and_one_that_torch_tells_apart() -> None:
    seeds = {fresh_seed(7, seed, draw) for seed in range(20) for draw in range(20)}
    assert len(seeds) == 400 and min(seeds) >= 0 and max(seeds) < 2**32 and 7 not in seeds
    for seed in seeds:
        assert all(fresh_seed(seed, other, draw) != seed for other in range(20) for draw in range(20))


def test_agreement_with_gaze_is_that_of_the_evaluation(
    all_checked: tuple[Trained, ExplainCheck], dataset: PreparedDataset
) -> None:
    trained, found = all_checked
    expected = evaluate(dataset, trained.predict(dataset, "all"))["gaze_agreement"]
    for name in ("nss", "correlation"):
        row = find(found.rows, "gaze", "trained", name)
        assert row is not None and row.exams == 22  # two have no gaze
        assert (row.value, row.low, row.high) == pytest.approx(
            (expected[name].value, expected[name].low, expected[name].high)
        )
        lost = value(found, "gaze", "lost when randomised", name)
        assert lost == pytest.approx(row.value - value(found, "gaze", "randomised", name))


def test_maps_that_random_weights_do_not_change_are_said_to_survive(
    trained: Trained, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "fresh_layers", lambda run, _settings, _draw: check.layers_of(run.model))
    found = check_explanations(trained, dataset, "test", QUICK)
    assert value(found, "cascade", "stage 1", "spearman") == pytest.approx(1)
    said = " ".join(found.statements)
    assert "The maps survive randomisation" in said
    assert (
        "The gaze-supervised maps agree with gaze no better than those of a network that has learnt nothing"
        in said
    )
    assert "hardly change if one of these layers gets random weights: head (1.000" in said


def test_deletion_and_insertion_are_those_of_a_slow_loop(
    all_checked: tuple[Trained, ExplainCheck], dataset: PreparedDataset
) -> None:
    trained, found = all_checked
    predictions = trained.predict(dataset, "all")
    exams = checked_maps.exams_of_run(trained, dataset, np.arange(len(dataset)))
    areas: dict[str, list[float]] = {"deletion": [], "insertion": []}

    def score(row: int, share: float, last: bool) -> float:
        batch = exams.batch(np.array([row]))
        images = {}
        for number, (view, image) in enumerate(batch.images.items()):
            random = random_generator(seed=0, purpose=CHECK_REMOVAL, index=row, epoch=number)
            order = removal_order(predictions.attention[view][row], dataset.size, random)
            removed = removed_pixels(order, share, dataset.size, last=last)
            changed = impute_blurred(image[0].numpy(), removed).astype(np.float32)
            images[view] = torch.as_tensor(changed)[None]
        with torch.no_grad():
            return float(trained.model(images).logits.sigmoid())

    for row in np.flatnonzero(predictions.logits[:, 0] > 0):
        deleted = [score(row, share, last=False) for share in (0, 0.25, 0.5, 0.75, 1)]
        shown = [score(row, 1 - share, last=True) for share in (0, 0.25, 0.5, 0.75, 1)]
        for name, curve in (("deletion", deleted), ("insertion", shown)):
            areas[name].append(sum((a + b) / 2 / 4 for a, b in itertools.pairwise(curve)))
    assert len(areas["deletion"]) > 1
    for name, expected in areas.items():
        row = find(found.rows, name, "", name)
        assert row is not None and row.exams == len(expected)
        assert row.value == pytest.approx(np.mean(expected), abs=1e-6)
    gain = value(found, "deletion", "", "random") - value(found, "deletion", "", "deletion")
    assert value(found, "deletion", "", "deletion_gain") == pytest.approx(gain)


def test_deletion_and_insertion_count_the_exams_that_the_run_calls(
    trained: Trained, dataset: PreparedDataset
) -> None:
    """As predict calls them: above the run's own threshold, which need not be 0.5."""
    for threshold, exams in ((1e-6, 3), (1 - 1e-6, None)):
        called = replace(trained, calibration=replace(trained.calibration, threshold=threshold))
        found = check_explanations(called, dataset, "test", FEW)
        row = find(found.rows, "deletion", "", "deletion")
        assert (row and row.exams) == exams
        assert any("the explained class in no exam" in said for said in found.statements) == (exams is None)


def test_without_noise_and_with_an_equal_shift_the_maps_stay(
    trained: Trained, dataset: PreparedDataset
) -> None:
    settings = ExplainCheckSettings(draws=2, steps=2, fill="blur", noise=0, exams=3)
    found = check_explanations(trained, dataset, "test", settings)
    assert value(found, "noise", "", "spearman") == pytest.approx(1)
    assert value(found, "shift", "", "spearman") < 1
    more = ExplainCheckSettings(draws=1, steps=2, noise=0.5, exams=3)
    noisy = check_explanations(trained, dataset, "test", more)
    assert value(noisy, "noise", "", "spearman") < 0.99


def test_checks_that_were_stopped_go_on_and_give_the_same(
    trained: Trained, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = check_explanations(trained, dataset, "test", FEW)
    journal = trained.run.path / "explain_check.jsonl"
    assert not journal.exists()

    def stop(done: int, _total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_explanations(trained, dataset, "test", FEW, report=stop)
    with journal.open("a") as file:
        file.write('{"done": "torn')
    checked: list[list[str]] = []
    own = checked_maps.CheckedMaps.random_weights

    def counted(self, layers, fresh, names):  # type: ignore[no-untyped-def]
        checked.append(names)
        return own(self, layers, fresh, names)

    monkeypatch.setattr(checked_maps.CheckedMaps, "random_weights", counted)
    assert check_explanations(trained, dataset, "test", FEW) == whole
    assert len(checked) == 16 - 5  # the noise, the shift and five of the layers were done
    assert read_explain_check(trained.run.path / "explain_check.json") == whole and not journal.exists()


def test_checks_with_other_settings_begin_again(trained: Trained, dataset: PreparedDataset) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_explanations(trained, dataset, "test", FEW, report=stop)
    other = ExplainCheckSettings(**(asdict(FEW) | {"seed": 5}))
    begun = check_explanations(trained, dataset, "test", other)
    assert begun.settings["seed"] == 5
    assert begun == check_explanations(trained, dataset, "test", other)


def test_a_damaged_journal_or_file_is_refused(trained: Trained, dataset: PreparedDataset) -> None:
    found = check_explanations(trained, dataset, "test", FEW)
    path = trained.run.path / "explain_check.json"
    path.write_text(path.read_text().replace('"rows"', '"lines"'))
    with pytest.raises(DataError, match=r"rows: is missing.*gazekit explain-check"):
        read_explain_check(trained.run.path / "explain_check.json")

    def stop(done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_explanations(trained, dataset, "test", FEW, report=stop)
    journal = trained.run.path / "explain_check.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text(f'{lines[0]}\n{{"done": "noise 0", "values": {{"spearman": [0.5]}}}}\n')
    said = rf"line 2: expected a value for each of {found.exams} exams; remove it, and check the run again"
    with pytest.raises(DataError, match=said):
        check_explanations(trained, dataset, "test", FEW)
    journal.unlink()
    assert check_explanations(trained, dataset, "test", FEW) == found


def test_a_single_exam_has_no_interval(trained: Trained, dataset: PreparedDataset) -> None:
    found = check_explanations(trained, dataset, "test", ExplainCheckSettings(exams=1, draws=1, steps=2))
    assert found.exams == 1 and all(row.low is None for row in found.rows)
    assert find(found.rows, "other_exams", "", "spearman") is None
    assert found.statements[0].startswith("Not decided, because one patient has no interval")


def test_data_without_gaze_say_so(trained: Trained, tmp_path: Path, registry: Registry) -> None:
    raw = make_folder(tmp_path / "raw", exams=4, without_gaze=4)
    source = registry.create("dataset", "folder", gaze_reader="plain")
    prepare(source, raw, tmp_path / "prepared", size=(16, 16), crop="none", jobs=0)
    other = PreparedDataset.open(tmp_path / "prepared")
    found = check_explanations(trained, other, "all", QUICK)
    assert not [row for row in found.rows if row.check == "gaze"]
    assert "No exam has gaze here, so agreement with gaze is not checked." in found.statements
    file = trained.run.path / f"explain_check_all_{other.fingerprint[:8]}.json"
    assert read_explain_check(file) == found
    own = PreparedDataset.open(Path(trained.facts.data))
    assert len(list(explain_check_section(trained, other, "all"))) == 1
    assert not list(explain_check_section(trained, own, "all"))  # which was not checked
    file.write_text("{}")
    assert any(file.name in fault for fault in faults_of(trained.run))


def test_a_run_without_maps_of_views_is_refused(
    trained: Trained, dataset: PreparedDataset, tmp_path: Path, registry: Registry
) -> None:
    with pytest.raises(ConfigurationError, match="has no attention map, so there is nothing to check"):
        check_explanations(replace(trained, attention_map=None), dataset, "test", QUICK)
    out = tmp_path / "stacked"
    given = ("--data", dataset.root, "--out", out, "--epochs", 1, "--set", "gaze=none", *TINY[:4])
    command_line("train", "--preset", "two_channel", *given)
    with pytest.raises(ConfigurationError, match="combines the images before its branches"):
        check_explanations(open_trained(out, registry, CPU), dataset, "test", QUICK)


def test_permuted_labels_are_those_of_the_training_part_in_another_order(
    permuted_run: Path, dataset: PreparedDataset, registry: Registry
) -> None:
    control = open_trained(permuted_run, registry, CPU)
    exams = checked_maps.exams_of_run(control, dataset, np.arange(len(dataset)))
    facts = exams.facts.with_permuted_truth(seed=0)
    assert sorted(facts.labels.tolist()) == sorted(dataset.labels.tolist()) != facts.labels.tolist()
    assert facts.labels.tolist() != dataset.labels.tolist()
    assert torch.equal(facts.labels, exams.facts.with_permuted_truth(seed=0).labels)
    assert not torch.equal(facts.labels, exams.facts.with_permuted_truth(seed=1).labels)


def test_a_training_on_permuted_labels_is_another_training(
    permuted_run: Path, tiny_run: Path, registry: Registry
) -> None:
    control, own = (open_trained(path, registry, CPU) for path in (permuted_run, tiny_run))
    mine, theirs = own.model.state_dict(), control.model.state_dict()
    assert mine.keys() == theirs.keys()
    assert any(not torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_run_on_random_labels_is_compared(
    all_checked: tuple[Trained, ExplainCheck],
    permuted_run: Path,
    dataset: PreparedDataset,
    registry: Registry,
) -> None:
    trained, found = all_checked
    control = open_trained(permuted_run, registry, CPU)
    own, other = trained.predict(dataset, "all"), control.predict(dataset, "all")
    rho = [
        np.mean(
            [
                stats.spearmanr(own.attention[v][i].ravel(), other.attention[v][i].ravel())[0]
                for v in own.attention
            ]
        )
        for i in range(len(dataset))
    ]
    assert value(found, "random_labels", "", "spearman") == pytest.approx(np.mean(rho), abs=1e-9)
    expected = evaluate(dataset, other)["gaze_agreement"]["nss"].value
    assert value(found, "gaze", "random labels", "nss") == pytest.approx(expected)
    assert any("labels" in sentence for sentence in found.statements)
    assert found.summary["random_labels_nss"].value == pytest.approx(expected)
    with pytest.raises(
        ConfigurationError, match=r"was trained on the labels as they are; train the preset again"
    ):
        check_explanations(control, dataset, "all", QUICK, random_labels=trained)


def made(check: str, of: str, measure: str, low: float, value: float, high: float) -> CheckRow:
    return CheckRow(
        check=check, of=of, measure=measure, value=value, low=low, high=high, exams=30, patients=20
    )


def test_a_supervised_map_that_needs_no_true_label_is_reported() -> None:
    rows = [
        made("cascade", "stage 1", "absolute_spearman", 0.1, 0.2, 0.3),
        made("gaze", "trained", "nss", 1.2, 1.5, 1.8),
        made("gaze", "randomised", "nss", 0.1, 0.2, 0.3),
        made("gaze", "lost when randomised", "nss", 1.0, 1.3, 1.6),
        made("random_labels", "", "absolute_spearman", 0.8, 0.85, 0.9),
        made("gaze", "random labels", "nss", 1.1, 1.4, 1.7),
        made("gaze", "lost with random labels", "nss", -0.1, 0.1, 0.3),
        made("deletion", "", "deletion_gain", -0.2, -0.1, -0.05),
        made("insertion", "", "insertion_gain", -0.1, 0.0, 0.1),
    ]
    said = statements(rows, ["head", "stage 1"], supervised=True)
    assert "do not survive" in said[0] and "The training brings agreement with gaze" in said[1]
    assert "The random network agrees with gaze, too" in said[2]
    assert "hardly depend on the labels" in said[3]
    assert "The run on random labels agrees with gaze as well" in said[4]
    assert "falls more slowly than in random order" in said[5]
    assert "no evidence that the maps order pixels better than chance" in said[6]
    assert not any("random labels agrees" in each for each in statements(rows, ["stage 1"], supervised=False))


def test_settings_out_of_range_are_refused() -> None:
    infinite = ({"noise": float("inf")}, {"noise": float("nan")}, {"seed": -1}, {"seed": 10**20})
    for wrong in ({"draws": 0}, {"steps": 1}, {"noise": -1.0}, {"exams": 0}, {"fill": "black"}, *infinite):
        with pytest.raises(ConfigurationError, match="expected"):
            ExplainCheckSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.usefixtures("undrawn")
def test_the_command_prints_tables_and_the_report_has_a_section(trained: Trained, permuted_run: Path) -> None:
    quick = ("--exams", 3, "--draws", 1, "--steps", 2, "--fill", "blur", "--random-labels", permuted_run)
    said = command_line("explain-check", trained.run.path, *quick).stdout
    assert "head to stage 1 random" in said and "Agreement with gaze" in said and "insertion" in said
    printed = json.loads(command_line("explain-check", trained.run.path, *quick, "--json").stdout)
    assert printed["schema"] == "gazekit.explain_check/1" and printed["random_labels"] == str(permuted_run)
    command_line("report", trained.run.path, "--cases", 1, *one_exam(trained.run.path))
    page = (trained.run.path / "report.html").read_text()
    assert "Checks of the attention maps" in page and "head to stage 1 random" in page


def test_a_study_reads_the_checks_of_a_run_and_only_of_the_weights_that_were_evaluated(
    trained: Trained, dataset: PreparedDataset
) -> None:
    command_line("evaluate", trained.run.path, "--resamples", 100)
    before = read_run(trained.run.path).metrics
    found = check_explanations(trained, dataset, "test", QUICK)
    after = read_run(trained.run.path).metrics
    expected = {name: measure.value for name, measure in found.summary.items()}
    assert after == before | expected and set(expected) <= set(CHECKS)
    assert {"randomised_likeness", "randomised_nss", "deletion_gain", "shift_likeness"} <= set(expected)
    path = trained.run.path / "explain_check.json"
    path.write_text(path.read_text().replace(f'"epoch": {found.epoch}', '"epoch": 7'))
    with pytest.raises(
        DataError, match="checked with the weights of epoch 7, and it was evaluated with those of epoch 1"
    ):
        read_run(trained.run.path)


def test_checks_copied_from_another_run_do_not_count_as_ones_own(
    trained: Trained, dataset: PreparedDataset
) -> None:
    run = trained.run
    command_line("evaluate", run.path, "--resamples", 100)
    check_explanations(trained, dataset, "test", QUICK)
    path = run.path / "explain_check.json"
    stored = json.loads(path.read_text())
    assert stored["trained"] == run.identity() and not faults_of(run)
    path.write_text(json.dumps(stored | {"trained": "0" * 64}))
    said = f"{path}: is of another run; write it again: gazekit explain-check {run.path}"
    with pytest.raises(DataError, match=re.escape(said)):
        read_run(run.path)
    assert faults_of(run) == [said]
    path.write_text(json.dumps({key: value for key, value in stored.items() if key != "trained"}))
    assert read_run(run.path).metrics and not faults_of(run)  # of an earlier version
