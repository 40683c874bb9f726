"""What is handed on names neither the home folder nor, on a page, any folder."""

from pathlib import Path

import pytest

from gazekit.disk.home_folder import with_home, without_folders, without_home, without_home_within
from gazekit.runs.environment import environment

HOME = "/home/jane roe"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", HOME)


def test_the_home_folder_of_a_path_comes_and_goes() -> None:
    assert without_home(f"{HOME}/runs") == "~/runs" and with_home("~/runs") == Path(f"{HOME}/runs")
    assert without_home(f"{HOME}s/runs") == f"{HOME}s/runs"


@pytest.mark.parametrize(
    ("argument", "kept"),
    [
        (f"{HOME}/runs", "~/runs"),
        (f"--data={HOME}/prepared", "--data=~/prepared"),
        (f"backbone.weights={HOME}/w.safetensors", "backbone.weights=~/w.safetensors"),
        (f'tune.backbone.weights=["{HOME}/a", "{HOME}/b"]', 'tune.backbone.weights=["~/a", "~/b"]'),
        (f"--out={HOME}", "--out=~"),
        (f"{HOME}s/runs", f"{HOME}s/runs"),
        (f"/data{HOME}/runs", f"/data{HOME}/runs"),
    ],
)
def test_the_command_of_a_run_does_not_name_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, argument: str, kept: str
) -> None:
    assert without_home_within(argument) == kept
    monkeypatch.setattr("sys.argv", ["gazekit", "train", argument])
    assert environment()["command"] == ["gazekit", "train", kept]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (f"{HOME}/w.safetensors", "w.safetensors"),
        ("~/w.safetensors", "w.safetensors"),
        ("../jane roe/w.safetensors", "w.safetensors"),
        (r"C:\Users\jane roe\w.safetensors", "w.safetensors"),
        ("CC / MLO, both breasts", "CC / MLO, both breasts"),
        ("https://doi.org/10.1000/182", "https://doi.org/10.1000/182"),
        ("timm/resnet18", "timm/resnet18"),
        ("/", "/"),
    ],
)
def test_of_a_path_the_last_part_is_shown_and_other_texts_stay(value: str, shown: str) -> None:
    assert without_folders(value) == shown


def test_a_user_without_a_home_folder_keeps_paths_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)  # as in a container: nobody that the system knows
    assert without_home("/data/runs") == "/data/runs" and with_home("~/runs") == Path("~/runs")
    assert without_home_within("--data=/data/runs") == "--data=/data/runs"
