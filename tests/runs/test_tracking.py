"""Trackers follow a training, and go on with the same run: a stranger's, one that fails, MLflow, W&B offline."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import TINY, gazekit

import gazekit as python
from gazekit.errors import ConfigurationError, Preempted
from gazekit.prepared.dataset import PreparedDataset
from gazekit.registry.component import Provenance
from gazekit.runs.directory import RunDirectory
from gazekit.runs.tracking import VARIABLE, followed
from gazekit.testing import check_component
from gazekit.testing.plugin import registry_with


class Diary:
    """Writes down what it is told."""

    told: list = []

    def begin(self, run, tracked):
        self.told.append(("begin", run.name, tracked, run.facts["seed"], run.preset["training.epochs"]))
        return tracked or "diary 1"

    def log(self, values, epoch):
        self.told.append(("log", epoch, values["loss"]))

    def finish(self, ending):
        self.told.append(("finish", ending))


class Forgetful(Diary):
    """Wants every epoch again."""

    told: list = []

    def begin(self, run, tracked):
        super().begin(run, tracked)


class Broken(Diary):
    """Fails at the second epoch."""

    def log(self, values, epoch):
        if epoch > 1:
            raise ConnectionError("server gone")


class Numbered(Diary):
    """Returns a number as its id."""

    def begin(self, run, tracked):
        return 7


class Lacking(Diary):
    """Cannot begin."""

    def begin(self, run, tracked):
        raise ConfigurationError("diary is not installed: pip install diary")


@pytest.fixture
def registry_of_trackers():
    import gazekit as package

    class Plugin:
        @package.hookimpl
        def gazekit_trackers(self):
            return {
                "diary": Diary,
                "forgetful": Forgetful,
                "broken": Broken,
                "lacking": Lacking,
                "numbered": Numbered,
            }

    Diary.told.clear()
    Forgetful.told.clear()
    return registry_with(Plugin(), Provenance("mine", "my-trackers", "0.4"))


@pytest.fixture
def run(tiny_run, tmp_path) -> RunDirectory:
    """A run without epochs; the test writes their lines."""
    import shutil

    copy = RunDirectory(shutil.copytree(tiny_run, tmp_path / "run"))
    copy.unseal()
    copy.metrics.unlink()
    return copy


def train(run, registry, names, epochs, error=None):
    """What a training does with trackers, without the training: it writes lines and reports."""
    warnings: list[str] = []
    with followed(run, registry, names, lambda _state, _batches: None, warn=warnings.append) as report:
        for epoch in epochs:
            report(SimpleNamespace(batch=3), 3)
            line = {"epoch": epoch, "step": 3 * epoch, "best_epoch": 1, "val_auc": None, "loss": 1 / epoch}
            run.append_metrics(line)
            report(SimpleNamespace(batch=0), 3)
        if error is not None:
            raise error
    return warnings


def test_it_keeps_the_contract(registry):
    check_component("tracker", Diary)
    for component in registry.components("tracker"):
        check_component("tracker", component.value)


def test_a_strangers_tracker_gets_facts_epochs_and_the_end(run, registry_of_trackers):
    assert train(run, registry_of_trackers, ["diary"], [1, 2]) == []
    began, *told = Diary.told
    assert began == ("begin", "run", None, "0", 1)
    assert told == [("log", 1, 1.0), ("log", 2, 0.5), ("finish", "finished")]


def test_a_resumed_training_goes_on_with_the_same_tracked_run(run, registry_of_trackers):
    with pytest.raises(Preempted):
        train(run, registry_of_trackers, ["diary", "forgetful"], [1, 2], Preempted("stopped"))
    assert Diary.told[-1] == Forgetful.told[-1] == ("finish", "stopped")
    run.keep_metrics(1)  # the newest checkpoint was written after epoch 1: the second comes again
    Diary.told.clear()
    Forgetful.told.clear()
    train(run, registry_of_trackers, ["diary", "forgetful"], [2, 3])
    assert Diary.told == [
        ("begin", "run", "diary 1", "0", 1),
        ("log", 3, pytest.approx(1 / 3)),
        ("finish", "finished"),
    ]
    assert [each[1] for each in Forgetful.told if each[0] == "log"] == [1, 2, 3]
    assert json.loads((run.path / "trackers.json").read_text()) == {
        "diary": {"tracked": "diary 1", "epochs": 3}
    }


def test_one_that_fails_costs_one_warning_and_the_others_go_on(run, registry_of_trackers):
    [said] = train(run, registry_of_trackers, ["broken", "diary"], [1, 2, 3])
    assert said == (
        "tracker 'broken' of my-trackers 0.4 is left out: ConnectionError: server gone; the training goes on"
    )
    assert [each[1] for each in Diary.told if each[0] == "log"] == [1, 2, 3]
    assert said in (run.path / "log.txt").read_text()


def test_an_id_that_is_no_text_costs_one_warning(run, registry_of_trackers):
    [said] = train(run, registry_of_trackers, ["numbered", "diary"], [1])
    assert (
        "'numbered' of my-trackers 0.4 is left out: TypeError: begin returned '7' (int); expected an id"
        in said
    )
    assert [each[1] for each in Diary.told if each[0] == "log"] == [1]


def test_one_that_is_unknown_or_lacks_something_ends_the_training_before_it_begins(run, registry_of_trackers):
    for name, said in (("diery", "Did you mean 'diary'"), ("lacking", "pip install diary")):
        with pytest.raises(ConfigurationError, match=said):
            train(run, registry_of_trackers, [name], [1])
    assert not run.metrics.exists()


def test_the_environment_asks_for_trackers_too(run, registry_of_trackers, monkeypatch):
    monkeypatch.setenv(VARIABLE, "diary, forgetful")
    train(run, registry_of_trackers, ["diary"], [1])
    assert (
        [each[0] for each in Diary.told] == [each[0] for each in Forgetful.told] == ["begin", "log", "finish"]
    )


def test_a_damaged_file_of_trackers_costs_a_warning(run, registry_of_trackers):
    (run.path / "trackers.json").write_text("{")
    [said] = train(run, registry_of_trackers, ["diary"], [1])
    assert "trackers.json" in said and Diary.told[0][2] is None


def test_mlflow_keeps_a_run_in_its_file_store(run, registry, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    with pytest.raises(Preempted):
        train(run, registry, ["mlflow"], [1], Preempted("stopped"))
    assert train(run, registry, ["mlflow"], [2, 3]) == []
    client = MlflowClient((tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("mine")
    [found] = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED" and found.info.run_name == "run"
    assert found.data.params["training.epochs"] == "1" and found.data.tags["seed"] == "0"
    history = client.get_metric_history(found.info.run_id, "loss")
    assert [(each.step, each.value) for each in history] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]


def test_wandb_writes_offline_in_the_run(run, registry, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert train(run, registry, ["wandb"], [1, 2]) == []
    [stored] = json.loads((run.path / "trackers.json").read_text()).values()
    files = list((run.path / "trackers" / "wandb").rglob("*.wandb"))
    assert stored["tracked"] in files[0].name


def test_a_training_with_a_tracker_that_is_not_installed_says_how_to_install_it(
    dataset: PreparedDataset, tmp_path: Path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    common = ["--data", dataset.root, "--out", tmp_path / "run", *TINY, "--epochs", 1]
    said = gazekit("train", "mammonet_small", *common, "--tracker", "mlflow", code=2).stderr
    assert "--tracker mlflow: mlflow is not installed: pip install" in said
    assert not (tmp_path / "run").exists()
    study = ("benchmark", "--preset", "late_concat", "--data", dataset.root, "--out", tmp_path / "study")
    said = gazekit(*study, code=2, GAZEKIT_TRACKERS="mlflow").stderr
    assert "--tracker mlflow: mlflow is not installed: pip install" in said
    assert not (tmp_path / "study").exists()
    with pytest.raises(ConfigurationError, match="mlflow is not installed"):
        python.train("mammonet_small", dataset, tmp_path / "run", trackers=["mlflow"])
    assert not (tmp_path / "run").exists()
    said = gazekit("train", "mammonet_small", *common, "--tracker", "mlfow", code=2).stderr
    assert "mlfow" in said and not (tmp_path / "run").exists()
