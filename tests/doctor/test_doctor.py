"""The doctor finds faults, names a remedy for each, and tells optional from needed."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision.ops
from command_line import gazekit
from conftest import MakeDistribution
from gazekit_components.backbones.weights_check import check_weights

from gazekit.doctor import mend_torchvision, software, surroundings
from gazekit.registry import distribution


@pytest.fixture(scope="module")
def is_broken() -> bool:
    """Whether torchvision is broken here, which takes a process that imports it."""
    return mend_torchvision.is_broken()


@pytest.fixture(autouse=True)
def _ask_once(is_broken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mend_torchvision, "is_broken", lambda: is_broken)


def checks(*, code: int = 0) -> dict[tuple[str, str], dict[str, str]]:
    found = json.loads(gazekit("doctor", "--json", code=code).stdout)
    assert found["schema"] == "gazekit.doctor/1"
    return {(check["area"], check["name"]): check for check in found["checks"]}


def test_a_healthy_installation_has_no_problem_and_every_area() -> None:
    found = checks()
    assert {area for area, _ in found} == {
        *("versions", "device", "codecs", "extras", "plugins", "weights", "disk")
    }
    assert found["codecs", "JPEG 2000"]["status"] == "ok"
    first = {name: check["found"].split(",")[0] for (area, name), check in found.items() if area == "codecs"}
    assert (first["RLE"], first["JPEG 2000"]) == ("by pylibjpeg-rle", "by pylibjpeg")
    assert (first["JPEG-LS"], first["JPEG"], first["uncompressed"]) == (
        "by pyjpegls",
        "by pillow",
        "by pydicom",
    )
    assert all(bool(check["remedy"]) == (check["status"] != "ok") for check in found.values())
    assert "problems: 0" in gazekit("doctor").stderr


def test_a_broken_plugin_is_a_problem_with_a_remedy(distribution: MakeDistribution) -> None:
    distribution("broken-plugin", "1.0", "raise RuntimeError('no licence')\n")
    (problem,) = [check for check in checks(code=1).values() if check["status"] == "problem"]
    assert "no licence" in problem["found"] and "GAZEKIT_DISABLE=broken-plugin" in problem["remedy"]
    finished = gazekit("doctor", code=1)
    assert "problem: plugin broken-plugin" in finished.stderr and "problems: 1" in finished.stderr


def test_versions_missing_extras_and_full_disks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = ["pydicom>=3.0.2", "torch>=99", "never-published>=1", "x; extra == 'dev'"]
    installed = SimpleNamespace(
        requires=[*wanted, "nowhere>=2,<3; extra == 'dream'"], name=distribution.NAME, version="1"
    )
    monkeypatch.setattr(distribution, "own", lambda: installed)
    found = {check.name: check for check in software.check_versions()}
    assert "x" not in found and found["pydicom"].status == "ok"
    assert found["torch"].status == "problem" and "needs >=99" in found["torch"].found
    assert found["never-published"].found.startswith("not installed")

    monkeypatch.setattr(software, "_EXTRAS", {"dream": "gazekit dream"})
    (extra,) = software.check_extras()
    assert (extra.status, extra.remedy) == ("limit", "pip install 'nowhere<3,>=2'")
    assert extra.found == "no nowhere, so no gazekit dream"

    monkeypatch.setattr(surroundings, "_LITTLE_SPACE", 2**60)
    assert {check.status for check in surroundings.check_disk()} == {"limit"}
    monkeypatch.setattr(surroundings.os, "access", lambda *_: False)
    assert {check.status for check in surroundings.check_disk()} == {"problem"}


def test_a_user_without_a_home_folder_needs_another_for_generated_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HOME", "GAZEKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)
    (problem,) = [check for check in surroundings.check_disk() if check.status == "problem"]
    assert problem.name == "cache" and "set GAZEKIT_CACHE to a folder" in problem.remedy


@pytest.mark.parametrize("cores", [64, 2])
def test_more_threads_than_cores_of_a_container_are_a_limit(
    monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(surroundings, "available_cores", lambda: cores)
    monkeypatch.setattr(surroundings, "free_memory", lambda: 5.6 * 2**30)
    cpu = next(surroundings.check_device())
    assert cpu.found == f"{cores} cores, torch uses 64, 5.6 GiB of memory free"
    expected = ("ok", "") if cores == 64 else ("limit", "threads wait for each other: set OMP_NUM_THREADS=2")
    assert (cpu.status, cpu.remedy) == expected


def test_cached_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    (nothing,) = check_weights()
    assert nothing.status == "limit" and "backbone.weights=FILE" in nothing.remedy
    snapshot = tmp_path / "models--timm--resnet18.a1_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    (cached,) = check_weights()
    assert (cached.status, cached.found) == ("ok", "resnet18.a1_in1k")


def missing(*_: object) -> None:
    raise RuntimeError("Couldn't load custom C++ ops.")


@pytest.mark.parametrize(
    ("operator", "broken", "status", "found", "remedy"),
    [
        (lambda *_: torch.zeros(0), False, "ok", " fit", ""),
        (
            missing,
            False,
            "limit",
            "(nms, roi_align) cannot be used; torchvision can be imported",
            "one index",
        ),
        (
            missing,
            True,
            "limit",
            "can be imported after gazekit only",
            "python -m gazekit.doctor.mend_torchvision",
        ),
    ],
)
def test_it_says_whether_the_operators_of_torchvision_run_and_where_it_can_be_imported(
    monkeypatch: pytest.MonkeyPatch, operator: Any, broken: bool, status: str, found: str, remedy: str
) -> None:
    monkeypatch.setattr(torchvision.ops, "nms", operator)
    monkeypatch.setattr(mend_torchvision, "is_broken", lambda: broken)
    (check,) = software.check_torchvision()
    assert check.status == status and found in check.found and remedy in check.remedy
    assert f"torch {torch.__version__}" in check.found


LOOKS = """
import gazekit
from gazekit.contracts.check import Check

@gazekit.hookimpl
def gazekit_doctor_checks():
    yield Check("weights", "of lungs", "limit", "none", "train them")
    {last}
"""


@pytest.mark.parametrize(
    ("last", "problem"), [("", ""), ("raise OSError('no disk')", "no disk"), ("yield 1", "got 1")]
)
def test_a_plugin_has_checks_of_its_own(distribution: MakeDistribution, last: str, problem: str) -> None:
    distribution("lungs", "1.0", LOOKS.replace("{last}", last))
    found = checks(code=1 if problem else 0)
    assert (("weights", "of lungs") in found) == (not problem)
    broken = [check["found"] for check in found.values() if check["status"] == "problem"]
    assert len(broken) == bool(problem) and all(problem in each for each in broken)
