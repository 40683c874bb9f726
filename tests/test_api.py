"""gazekit from Python: a small surface, light to import, that does what the command line does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import TINY
from command_line import gazekit as command_line
from fresh_environment import ROOT

import gazekit
from gazekit.data.prepared import PreparedDataset
from gazekit.errors import ConfigurationError
from gazekit.evaluation.raw import Refusal
from gazekit.registry import Registry

OVERRIDES = [item for item in TINY if item != "--set"] + ["training.epochs=1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, dataset: PreparedDataset) -> gazekit.Trained:
    out = tmp_path_factory.mktemp("api") / "run"
    return gazekit.train(
        "mammonet_small", dataset, out, overrides=OVERRIDES, device="cpu", note=lambda _: None
    )


def test_the_public_surface_is_small_and_exported_once() -> None:
    names = [
        *("PreparedDataset", "Trained", "__version__", "build_model", "build_objective", "default_data"),
        *("evaluate", "hookimpl", "load", "load_registry", "train"),
    ]
    assert gazekit.__all__ == names
    assert all(getattr(gazekit, name) is not None for name in names)
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        _ = gazekit.fit


def test_to_import_it_costs_nothing() -> None:
    code = "import sys, gazekit; print(*{'torch', 'numpy', 'pydantic', 'typer'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "\n"
    )


def test_it_trains_what_the_command_line_trains(
    trained: gazekit.Trained, dataset: PreparedDataset, tmp_path: Path
) -> None:
    arguments = ["--data", dataset.root, "--out", tmp_path / "run", "--epochs", 1, "--device", "cpu", *TINY]
    command_line("train", "--preset", "mammonet_small", *arguments)
    other = gazekit.load(tmp_path / "run", device="cpu")
    for part in ("val", "test"):
        mine, theirs = trained.predict(dataset, part), other.predict(dataset, part)
        assert np.array_equal(mine.logits, theirs.logits) and len(mine.logits) > 0
    assert trained.run.split.read_text() == other.run.split.read_text()


def test_images_are_predicted_as_the_prepared_exams_and_a_broken_one_is_refused(
    trained: gazekit.Trained, dataset: PreparedDataset, raw_folder: Path, tmp_path: Path
) -> None:
    for view in ("cc", "mlo"):
        (tmp_path / f"x_{view}.png").write_bytes(b"no image")
    every = trained.predict(dataset, "all")
    files = [raw_folder / "e005_cc.png", str(raw_folder / "e005_mlo.png")]
    good, broken = trained.predict_images(*files, tmp_path)
    assert (good.key, broken.key) == ("e005", "x")
    assert isinstance(broken, Refusal) and "x_cc.png" in broken.reason
    assert not isinstance(good, Refusal)
    assert np.allclose(good.probabilities, every.probabilities[dataset.exam_ids.index("e005")], atol=1e-6)
    assert good.attention["cc"].shape == every.attention["cc"].shape[1:]


def test_evaluation_is_that_of_the_command_line(trained: gazekit.Trained, dataset: PreparedDataset) -> None:
    mine = gazekit.evaluate(trained, dataset.root)
    assert mine == gazekit.evaluate(trained)
    command_line("evaluate", trained.run.path, "--device", "cpu")
    written = trained.run.read_evaluation()
    assert written == {"schema": "gazekit.evaluation/1", **mine}


def test_a_line_per_epoch_and_no_run_is_overwritten_unasked(
    registry: Registry, dataset: PreparedDataset, tmp_path: Path
) -> None:
    lines: list[str] = []
    preset = registry.preset("mammonet_small", overrides=OVERRIDES)
    gazekit.train(preset, str(dataset.root), tmp_path / "run", registry=registry, note=lines.append)
    warned, told = (
        [line for line in lines if line.startswith("warning: ") is is_warning] for is_warning in (True, False)
    )
    assert [line.split()[1] for line in told] == ["1/1"] and "val AUC" in told[0]
    assert any("exams validate" in line for line in warned)
    with pytest.raises(ConfigurationError, match="run"):
        gazekit.train(preset, dataset, tmp_path / "run", registry=registry)
    again = gazekit.train(
        preset, dataset, tmp_path / "run", registry=registry, overwrite=True, note=lines.append
    )
    assert again.facts.seed == 0 and len(lines) == 2 * len([*warned, *told])


def test_overrides_belong_to_a_preset_given_by_name(
    registry: Registry, dataset: PreparedDataset, tmp_path: Path
) -> None:
    preset = registry.preset("mammonet_small", overrides=OVERRIDES)
    with pytest.raises(ConfigurationError, match="given by name"):
        gazekit.train(preset, dataset, tmp_path / "run", overrides=["training.epochs=9"])


@pytest.mark.slow
def test_the_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAZEKIT_CACHE", str(tmp_path / "cache"))
    script = ROOT / "examples/quickstart.py"
    lines = [
        line for line in script.read_text().partition("def main")[2].splitlines() if line.startswith("    ")
    ]
    assert len(lines) - 2 <= 10  # the docstring and the guarded call are no lines of a notebook
    run = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    *_, auc = run.stdout.split()
    assert "epoch 3/3" in run.stdout and 0 <= float(auc) <= 1
    assert (tmp_path / "runs/quickstart/evaluation.json").exists()
