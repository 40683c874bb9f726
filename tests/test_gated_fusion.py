"""The example of a third-party package, as its reader would use it: installed, checked, trained, compared."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from gazekit.data.prepared import PreparedDataset

EXAMPLE = Path(__file__).parents[1] / "examples/gated_fusion"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment that sees what is installed here, with the example installed into it."""
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    site = venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    places = [sysconfig.get_path("purelib"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    (site / "here.pth").write_text("\n".join(filter(None, places)) + "\n")
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", EXAMPLE]
    subprocess.run([venv / "bin/python", *pip], check=True)
    assert list(site.glob("gated_fusion-1.0.0.dist-info"))
    return venv


def gazekit(environment: Path, *arguments: object, code: int = 0) -> str:
    command = [environment / "bin/python", "-m", "gazekit", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=_variables())
    assert ended.returncode == code, ended.stderr
    return ended.stdout


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"COLUMNS": "200"}


FAST = [
    *(
        "--set",
        "backbone.widths=[4,8,8,16]",
        "--set",
        "fusion.maps.head_dim=3",
        "--set",
        "model.vector_features=8",
    ),
    *(
        "--set",
        "gaze.alignment_loss.levels=2",
        "--set",
        "training.batch_size=4",
        "--set",
        "training.epochs=2",
    ),
]


def test_its_own_tests_pass() -> None:
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=EXAMPLE, check=True)


def test_it_is_found_and_keeps_its_promises(environment: Path) -> None:
    rows = json.loads(gazekit(environment, "plugins", "list", "--json"))["components"]
    (row,) = [row for row in rows if row["name"] == "gated"]
    assert (row["package"], row["version"], row["status"]) == ("gated-fusion", "1.0.0", "ok")
    results = json.loads(gazekit(environment, "plugins", "check", "gated-fusion", "--json"))["results"]
    assert {result["what"] for result in results} == {"fusion gated", "preset mammonet_small_gated"}
    assert {result["status"] for result in results} == {"ok"}


def test_it_trains_both_ways_and_is_compared_with_bfl(
    environment: Path, dataset: PreparedDataset, tmp_path: Path
) -> None:
    data = ["--data", dataset.root]
    ways = {"set": ["mammonet_small", "--set", "fusion.vectors.use=gated"], "own": ["mammonet_small_gated"]}
    for name, way in ways.items():
        gazekit(environment, "train", *data, *FAST, "--out", tmp_path / name, "--preset", *way)
        assert 'use = "gated"' in (tmp_path / name / "preset.toml").read_text()
        assert len((tmp_path / name / "metrics.jsonl").read_text().splitlines()) == 2
    said = json.loads((tmp_path / "set" / "plugins.json").read_text())
    assert "gated-fusion 1.0.0" in {f"{row['package']} {row['version']}" for row in said}
    study = ["--folds", 2, "--seeds", 1, "--no-timing", "--out", tmp_path / "study", *data, *FAST]
    table = gazekit(
        environment, "benchmark", "--preset", "mammonet_small", "--preset", "mammonet_small_gated", *study
    )
    assert "mammonet_small" in table and "mammonet_small_gated" in table
    assert (tmp_path / "study" / "results.csv").read_text().count("\n") >= 3
    without = gazekit(environment, "--no-plugins", "plugins", "list", "--kind", "fusion")
    assert "gated-fusion" in without and "disabled" in without
