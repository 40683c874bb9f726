"""Tables over run directories, and event files that hold the lines of metrics.jsonl."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import TINY, gazekit

from gazekit.errors import DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.registry.registry import Registry
from gazekit.runs.directory import RunDirectory
from gazekit.runs.files import read_facts, read_predictions
from gazekit.runs.stored import preset_conflicts, stored_preset
from gazekit.runs.table import differences, summarise
from gazekit.runs.verification import faults_of
from gazekit.study.results.pooling import read_run


@pytest.fixture
def folder(tiny_run: Path, tmp_path: Path) -> Path:
    """Two runs, one of them never evaluated and stopped after its first epoch of nine."""
    first = shutil.copytree(tiny_run, tmp_path / "runs" / "first")
    gazekit("evaluate", first, "--resamples", 100)
    second = shutil.copytree(tiny_run, tmp_path / "runs" / "study" / "second")
    RunDirectory(second).unseal()
    preset = (second / "preset.toml").read_text()
    (second / "preset.toml").write_text(preset.replace("\nepochs = 1 ", "\nepochs = 9 "))
    return tmp_path / "runs"


def test_a_list_shows_state_and_measures(folder: Path) -> None:
    first, second = json.loads(gazekit("runs", "list", folder, "--json").stdout)["runs"]
    assert (first["state"], second["state"]) == ("finished", "epoch 1 of 9")
    assert first["evaluation"]["metrics"]["classification"]["auc"]["value"] is not None
    assert second["evaluation"] is None and first["preset"] == "mammonet_small"
    table = gazekit("runs", "list", folder).stdout
    assert str(folder / "first") in table and "epoch 1 of 9" in table


@pytest.mark.parametrize(
    ("schema", "remedy"),
    [
        ("gazekit.run/9", "another version of gazekit wrote it: install that one"),
        ("run", "the run is damaged"),
    ],
)
def test_a_run_of_another_version_is_not_called_damaged(
    tiny_run: Path, tmp_path: Path, schema: str, remedy: str
) -> None:
    facts = json.loads((tiny_run / "run.json").read_text()) | {"schema": schema}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match=f"schema {schema}, expected gazekit.run/1; {remedy}"):
        read_facts(tmp_path / "run.json")


def test_a_damaged_run_does_not_hide_the_others(folder: Path) -> None:
    (folder / "first" / "run.json").write_text("{")
    finished = gazekit("runs", "list", folder)
    assert "not readable" in finished.stdout and "epoch 1 of 9" in finished.stdout
    assert "first" in finished.stderr
    assert (
        "run.json: is not JSON"
        in gazekit("runs", "compare", folder / "first", folder / "study" / "second", code=3).stderr
    )


@pytest.mark.parametrize("select", ["last", "auc"])
def test_an_intact_run_without_selected_weights_is_whole_where_the_last_ones_count(
    tiny_run: Path, tmp_path: Path, select: str
) -> None:
    path = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    RunDirectory(path).unseal()
    preset = (path / "preset.toml").read_text()
    assert '\nselect = "auc"' in preset
    (path / "preset.toml").write_text(preset.replace('\nselect = "auc"', f'\nselect = "{select}"'))
    shutil.rmtree(path / "checkpoints" / "best")
    said = faults_of(RunDirectory(path))
    assert [line.partition(";")[0] for line in said] == [
        f"{path / 'checkpoints' / 'best'}: there is no checkpoint" for _ in range(select != "last")
    ]
    (path / "metrics.jsonl").unlink()  # before its first epoch a run has selected nothing
    assert not faults_of(RunDirectory(path))
    shutil.rmtree(path / "checkpoints")
    assert "checkpoints: there is no checkpoint" in faults_of(RunDirectory(path))[0]


@pytest.mark.parametrize("table", ["attention_map", "loss", "training", "training.optimizer"])
def test_a_preset_that_is_cut_off_is_refused_and_not_completed_by_defaults(
    tiny_run: Path, tmp_path: Path, registry: Registry, table: str
) -> None:
    run = RunDirectory.open(Path(shutil.copytree(tiny_run, tmp_path / "run")))
    begin, head, _ = run.preset_path.read_text().partition(f"\n[{table}]\n")
    assert head
    run.preset_path.write_text(begin)
    with pytest.raises(
        DataError, match=r"preset\.toml: has no \[training\.augmentation\], as if its end were cut"
    ):
        stored_preset(run, registry)
    assert ["as if its end were cut off" in said for said in faults_of(run)] == [True]


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "train", "card"])
def test_a_split_that_was_changed_is_refused(tiny_run: Path, tmp_path: Path, command: str) -> None:
    """Exams that a run has learnt from would be measured as those of its test part."""
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    gazekit("evaluate", run, "--resamples", 100)
    split = (run / "split.csv").read_text()
    reordered = split.splitlines(keepends=True)
    (run / "split.csv").write_text("".join([reordered[0], *reversed(reordered[1:])]))
    assert not faults_of(RunDirectory(run))
    (run / "split.csv").write_text(split.replace(",train\n", ",test\n", 1))
    given = ["--out", run, "--resume", "--epochs", 2] if command == "train" else [run]
    assert "split.csv: is not the split that the run began with" in gazekit(command, *given, code=3).stderr
    assert "split.csv: is not the split" in faults_of(RunDirectory(run))[0]


@pytest.mark.parametrize(
    ("name", "before", "after", "commands"),
    [
        ("preset.toml", "\nlearning_rate = ", "\nlearning_rate = 1", ["evaluate", "predict", "train"]),
        ("run.json", '"seed": ', '"seed": 1', ["evaluate", "report", "train"]),
        ("metrics.jsonl", '"val_loss": ', '"val_loss": 1', ["report", "train"]),
        ("environment.json", '"python": "', '"python": "9.', ["report"]),
        ("plugins.json", '"version": "', '"version": "9.', []),
    ],
)
def test_files_changed_after_the_end_of_a_training_are_refused(
    tiny_run: Path, tmp_path: Path, name: str, before: str, after: str, commands: list[str]
) -> None:
    """A file that is valid, and of another run or with another number in it."""
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    assert not faults_of(RunDirectory(run))
    text = (run / name).read_text()
    (run / name).write_text(text.replace(before, after, 1))
    assert (run / name).read_text() != text
    [said] = faults_of(RunDirectory(run))
    assert f"{name}: was changed after the training ended, or is of another run" in said
    for command in commands:
        given = {"train": ["--out", run, "--resume", "--epochs", 2], "predict": [run, tmp_path]}
        said = gazekit(command, *given.get(command, [run]), code=3).stderr
        assert f"{name}: was changed after the training ended" in said
    (run / name).write_text(text)
    assert not faults_of(RunDirectory(run))


def test_a_run_that_goes_on_keeps_no_checksums_of_what_it_was(tiny_run: Path, tmp_path: Path) -> None:
    run = RunDirectory(Path(shutil.copytree(tiny_run, tmp_path / "run")))
    before = run.checksums.read_text()
    gazekit("train", "--out", run.path, "--resume", "--epochs", 2)
    assert run.checksums.read_text() != before and not faults_of(run)
    run.checksums.write_text(before)  # of another state of the run
    assert {Path(said.partition(":")[0]).name for said in faults_of(run)} == {"preset.toml", "metrics.jsonl"}
    run.checksums.unlink()  # as in a run of an earlier version
    assert not faults_of(run)


@pytest.mark.parametrize("name", ["plugins.json", "environment.json"])
def test_a_changed_file_gets_no_new_checksum_by_resuming(tiny_run: Path, tmp_path: Path, name: str) -> None:
    run = RunDirectory(Path(shutil.copytree(tiny_run, tmp_path / "run")))
    stored = (run.path / name).read_text()
    (run.path / name).write_text(stored.replace('"0.', '"9.'))
    for more in ([], ["--epochs", 2]):
        assert f"{name}: was changed" in gazekit("train", "--out", run.path, "--resume", *more, code=3).stderr
    assert [f"{name}: was changed" in said for said in faults_of(run)] == [True]


def test_metrics_that_are_gone_are_told_before_a_finished_run_gets_new_checksums(
    tiny_run: Path, tmp_path: Path
) -> None:
    run = RunDirectory(Path(shutil.copytree(tiny_run, tmp_path / "run")))
    run.metrics.unlink()
    for more in ([], ["--epochs", 2]):
        said = gazekit("train", "--out", run.path, "--resume", *more, code=3).stderr
        assert "metrics.jsonl: is missing" in said


def test_lost_metrics_of_epochs_are_a_fault(dataset: PreparedDataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    made = ["--preset", "mammonet_small", "--data", dataset.root, "--out", run, "--epochs", 2]
    gazekit("train", *made, *TINY)
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 2 and not faults_of(RunDirectory(run))
    RunDirectory(run).unseal()
    for kept in ([], lines[1:]):
        (run / "metrics.jsonl").write_text("".join(kept))
        [said] = faults_of(RunDirectory(run))
        assert f"metrics.jsonl: lacks epochs that were trained (it has {len(kept)})" in said


def test_the_probabilities_of_a_label_are_read_beside_any_further_target(tmp_path: Path) -> None:
    head, row = "exam_id,patient_id,label,p_a,p_b", "e1,q1,a,0.4,0.6"
    table = tmp_path / "predictions.csv"
    for name in ("stage", "p_stage"):
        table.write_text(f"{head},{name},{name}:p_x,{name}:p_y\n{row},x,0.1,0.9\n")
        assert list(read_predictions(table)) == [("e1", (0.4, 0.6))]
    table.write_text(f"{head},p_c\n{row},x\n")
    with pytest.raises(DataError, match="row 2: expected a probability of each class"):
        list(read_predictions(table))


def test_a_list_and_a_comparison_do_not_import_torch(tiny_run: Path) -> None:
    """It would take four times as long as everything else they do."""
    code = (
        "import sys\n"
        "from gazekit.cli.main import main\n"
        "for words in sys.argv[1:]:\n"
        "    sys.argv = ['gazekit', *words.split('|')]\n"
        "    try:\n        main()\n"
        "    except SystemExit as ended:\n        assert not ended.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    commands = (f"runs|list|{tiny_run}", f"runs|compare|{tiny_run}|{tiny_run}")
    done = subprocess.run(
        [sys.executable, "-c", code, *commands], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mammonet_small" in done.stdout


def test_a_comparison_shows_what_differs_and_nothing_else(folder: Path) -> None:
    paths = [folder / "first", folder / "study" / "second"]
    found = json.loads(gazekit("runs", "compare", *paths, "--json").stdout)
    assert found["differences"] == {"training.epochs": [1, 9], "evaluated on": ["test", None]}
    auc = found["measures"]["classification.auc"]
    assert auc[0] == found["runs"][0]["evaluation"]["metrics"]["classification"]["auc"] and auc[1] is None
    table = gazekit("runs", "compare", *paths).stdout
    assert "training.epochs" in table and "gaze agreement: nss" in table and "batch_size" not in table


def test_a_comparison_tells_another_split_start_and_calibration(tiny_run: Path, tmp_path: Path) -> None:
    """The same preset, seed and data, and yet numbers that are not about the same exams, start or threshold."""
    paths = [Path(shutil.copytree(tiny_run, tmp_path / name)) for name in ("one", "other")]
    gazekit("evaluate", paths[0], "--resamples", 100)
    assert differences([summarise(path) for path in (paths[0], paths[0])]) == {}
    RunDirectory(paths[1]).unseal()
    split = (paths[1] / "split.csv").read_text()
    (paths[1] / "split.csv").write_text(
        split.replace(",train\n", ",?\n").replace(",val\n", ",train\n").replace(",?\n", ",val\n")
    )
    facts = json.loads((paths[1] / "run.json").read_text())
    (paths[1] / "run.json").write_text(json.dumps(facts | {"weights_origin": ["run first", "run first"]}))
    evaluation = json.loads((paths[0] / "evaluation.json").read_text())
    calibrated = evaluation | {"calibration": "temperature 2", "called_above": 0.3}
    (paths[1] / "evaluation.json").write_text(json.dumps(calibrated))
    found = differences([summarise(path) for path in paths])
    assert found.keys() == {"initial weights", "split", "evaluated on"}
    assert found["initial weights"] == ["random", "run first"]
    assert found["evaluated on"] == ["test", "test, calibrated by temperature 2, called above 0.3"]


def test_a_comparison_of_many_runs_loses_none_in_a_narrow_terminal(tiny_run: Path, tmp_path: Path) -> None:
    names = [f"run_of_some_name_{number}" for number in range(5)]
    paths = [Path(shutil.copytree(tiny_run, tmp_path / name)) for name in names]
    gazekit("evaluate", paths[-1], "--resamples", 100)
    stored = json.loads((paths[-1] / "evaluation.json").read_text())["metrics"]["classification"]["auc"]
    said = gazekit("runs", "compare", *paths, COLUMNS="70").stdout
    assert max(map(len, said.splitlines())) <= 70
    assert [name for name in names if name in said] == names
    assert f"{stored['value']:.3f}" in said and f"[{stored['low']:.3f}, {stored['high']:.3f}]" in said


def test_a_comparison_shows_each_measure_once_by_its_current_name(tiny_run: Path, tmp_path: Path) -> None:
    paths = [Path(shutil.copytree(tiny_run, tmp_path / name)) for name in ("former", "current")]
    for path in paths:
        gazekit("evaluate", path, "--resamples", 100)
    stored = json.loads((paths[0] / "evaluation.json").read_text())
    del stored["metrics"]["gaze_agreement"][
        "correlation"
    ]  # as a version wrote it that knew the former name alone
    (paths[0] / "evaluation.json").write_text(json.dumps(stored))
    found = json.loads(gazekit("runs", "compare", *paths, "--json").stdout)["measures"]
    former, current = found["gaze_agreement.correlation"]
    assert former == current and current is not None and "gaze_agreement.cc" not in found
    assert "gaze agreement: cc" not in gazekit("runs", "compare", *paths).stdout


def test_a_run_of_an_earlier_version_is_read_without_a_warning_and_equals_one_with_the_new_key(
    tiny_run: Path, tmp_path: Path, registry: Registry
) -> None:
    earlier = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    RunDirectory(earlier).unseal()
    stored = (earlier / "preset.toml").read_text()
    assert "\nval = 0.2 " in stored
    (earlier / "preset.toml").write_text(stored.replace("\nval = 0.2 ", "\nvalidation = 0.25 "))
    assert stored_preset(RunDirectory.open(earlier), registry).data.val == 0.25
    assert differences([summarise(tiny_run), summarise(earlier)]) == {"data.val": [0.2, 0.25]}


def test_nothing_to_list_or_compare_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no run directory in it" in gazekit("runs", "list", tmp_path / "empty", code=3).stderr
    assert "no such folder" in gazekit("runs", "list", tmp_path / "nowhere", code=3).stderr
    assert "give two or more" in gazekit("runs", "compare", folder / "first", code=2).stderr


def test_event_files_hold_the_metrics_and_a_resumed_run_no_line_twice(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = tmp_path / "run"
    common = ["--data", dataset.root, "--out", run, "--tensorboard", *TINY, "--epochs", 2]
    gazekit("train", "--preset", "mammonet_small", *common)
    RunDirectory(run).unseal()
    with (run / "metrics.jsonl").open(
        "a"
    ) as file:  # of an epoch after the last checkpoint, when it was killed
        file.write(json.dumps({"epoch": 3, "step": 99, "best_epoch": 3, "loss": 1.0, "val_auc": 1.0}) + "\n")
    gazekit("train", "--out", run, "--resume", "--tensorboard")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    events = accumulator.EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == lines[0].keys() - {"epoch", "step"}
    for name in ("loss", "val_auc"):
        shown = [(event.step, event.value) for event in events.Scalars(name)]
        assert shown == [(line["epoch"], pytest.approx(line[name], rel=1e-6)) for line in lines]


def test_words_about_a_preset_make_no_other_run_of_it(registry: Registry) -> None:
    preset = registry.preset("phresnet")
    said_anew = preset.model_copy(update={"description": "the same, in other words", "reported": {}})
    assert preset_conflicts(preset, said_anew) == []
    other = registry.preset("phresnet", overrides=["training.epochs=3"])
    assert preset_conflicts(preset, other) == ["training.epochs"]


def test_a_run_that_is_not_there_is_one_fault_and_the_others_are_verified(tmp_path: Path) -> None:
    missing, file = tmp_path / "missing", tmp_path / "file"
    file.touch()
    for path in (missing, file):
        assert faults_of(RunDirectory(path)) == [f"{path}: there is no such folder; expected a run directory"]


def test_an_evaluation_of_another_run_does_not_count_as_ones_own(
    tiny_run: Path, dataset: PreparedDataset, tmp_path: Path
) -> None:
    one = shutil.copytree(tiny_run, tmp_path / "one")
    other = tmp_path / "other"
    own = ("--data", dataset.root, "--out", other, "--epochs", 1, "--seed", 1)
    gazekit("train", "--preset", "mammonet_small", *own, *TINY)
    for run in (one, other):
        gazekit("evaluate", run, "--resamples", 100)
    table = (one / "predictions.csv").read_text()
    for name in ("evaluation.json", "predictions.csv"):
        shutil.copy(other / name, one / name)
    said = f"{one / 'evaluation.json'}: is of another run; write it again: gazekit evaluate {one}"
    for look in (read_run, lambda path: RunDirectory.open(path).read_evaluation()):
        with pytest.raises(DataError, match=re.escape(said)):
            look(one)
    assert summarise(one).problem == said
    elsewhere = shutil.copy(one / "evaluation.json", one / "evaluation_all_1a2b3c4d.json")
    assert {said, said.replace("evaluation.json", elsewhere.name)} <= set(faults_of(RunDirectory.open(one)))
    elsewhere.unlink()
    gazekit("evaluate", one, "--resamples", 100)
    assert (one / "predictions.csv").read_text() == table and read_run(one).metrics

    shutil.copy(other / "predictions.csv", one / "predictions.csv")
    said = f"{one / 'predictions.csv'}: was changed, or is not the table that evaluation.json is of"
    with pytest.raises(DataError, match=re.escape(said)):
        read_run(one)
    assert any(fault.startswith(said) for fault in faults_of(RunDirectory.open(one)))


def test_results_of_the_last_weights_and_of_other_data_are_verified_like_any(
    tiny_run: Path, dataset: PreparedDataset, tmp_path: Path
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    gazekit("evaluate", run, "--resamples", 100, "--weights", "last")
    gazekit("evaluate", run, "--resamples", 100, "--weights", "last", "--part", "val")
    gazekit("evaluate", run, "--resamples", 100, "--weights", "last", "--part", "all", "--data", dataset.root)
    for name in ("evaluation_all_last.json", "predictions_all_last.csv"):  # as of other data
        shutil.copy(run / name, run / name.replace("_all", "_all_1a2b3c4d"))
    assert faults_of(RunDirectory.open(run)) == []
    tables = sorted(run.glob("predictions*_last.csv"))
    assert len(tables) == 4
    for table in tables:
        whole = table.read_text()
        changed = whole.replace("0.", "0.9", 1)
        assert changed != whole
        table.write_text(changed)
        (fault,) = faults_of(RunDirectory.open(run))
        assert fault.startswith(f"{table}: ") and fault.endswith(f"gazekit evaluate {run} --weights last")
        table.write_text(whole)
    measures = run / "evaluation_last.json"
    measures.write_text(measures.read_text()[:-9])
    assert [fault.partition(": ")[0] for fault in faults_of(RunDirectory.open(run))] == [str(measures)]
