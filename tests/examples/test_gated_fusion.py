"""The example of a third-party package, as its reader would use it: installed, checked, trained, compared."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from fresh_environment import ROOT, FreshEnvironment, build, make_environment

from gazekit.prepared.dataset import PreparedDataset

EXAMPLE = ROOT / "examples/gated_fusion"
FAST = [
    "backbone.widths=[4,8,8,16]",
    "fusion.maps.head_dim=3",
    "model.vector_features=8",
    "gaze.alignment_loss.levels=2",
    "training.batch_size=4",
    "training.epochs=2",
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> FreshEnvironment:
    """A fresh virtual environment with gazekit, and the example installed into it from its folder."""
    folder = tmp_path_factory.mktemp("fresh")
    environment = make_environment(folder / "venv", build(folder / "dist")["wheel"])
    environment.run(f"python -m pip install --quiet --no-deps {shlex.quote(str(EXAMPLE))}", folder)
    return environment


def gazekit(environment: FreshEnvironment, *arguments: object) -> str:
    """What a command printed as its result."""
    command = shlex.join(["gazekit", *map(str, arguments)])
    return environment.run(f"{command} 2> said.txt || {{ cat said.txt; exit 1; }}", environment.folder)


def test_its_own_tests_pass() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    finished = subprocess.run(command, check=False, cwd=EXAMPLE, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout
    assert " passed" in finished.stdout


def test_it_is_found_and_keeps_its_promises(environment: FreshEnvironment) -> None:
    rows = json.loads(gazekit(environment, "plugins", "list", "--json"))["components"]
    (row,) = [row for row in rows if (row["kind"], row["name"]) == ("fusion", "gated")]
    assert (row["package"], row["version"], row["status"]) == ("gated-fusion", "1.0.0", "ok")
    results = json.loads(gazekit(environment, "plugins", "check", "gated-fusion", "--json"))["results"]
    assert {result["what"] for result in results} == {"fusion gated", "preset mammonet_small_gated"}
    assert {result["status"] for result in results} == {"ok"}


def test_it_trains_both_ways_and_is_compared_with_bfl(
    environment: FreshEnvironment, dataset: PreparedDataset, tmp_path: Path
) -> None:
    data = ["--data", dataset.root, *(part for value in FAST for part in ("--set", value))]
    ways = {"set": ["mammonet_small", "--set", "fusion.vectors.use=gated"], "own": ["mammonet_small_gated"]}
    for name, way in ways.items():
        gazekit(environment, "train", *data, "--out", tmp_path / name, "--preset", *way)
        assert 'use = "gated"' in (tmp_path / name / "preset.toml").read_text()
        assert len((tmp_path / name / "metrics.jsonl").read_text().splitlines()) == 2
    said = json.loads((tmp_path / "set" / "plugins.json").read_text())
    assert "gated-fusion 1.0.0" in {f"{row['package']} {row['version']}" for row in said}
    study = ["--folds", 2, "--seeds", 1, "--no-timing", "--out", tmp_path / "study", *data]
    table = gazekit(
        environment, "benchmark", "--preset", "mammonet_small", "--preset", "mammonet_small_gated", *study
    )
    assert "mammonet_small" in table and "mammonet_small_gated" in table
    assert (tmp_path / "study" / "results.csv").read_text().count("\n") >= 3
    without = gazekit(environment, "--no-plugins", "plugins", "list", "--kind", "fusion")
    assert "gated-fusion" in without and "disabled" in without
