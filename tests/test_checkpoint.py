"""Checkpoints are whole or not there, verified, and never executed."""

import pickle
from pathlib import Path

import pytest
import torch

from gazekit.errors import DataError, StorageError
from gazekit.training import checkpoint

WEIGHTS = {"layer.weight": torch.arange(6.0).view(2, 3)}
STATE = {"state": {"epoch": 3, "best_auc": 0.5}, "moments": [torch.ones(2)]}


def test_round_trip(tmp_path: Path) -> None:
    path = checkpoint.save_step(tmp_path, 7, WEIGHTS, STATE)
    loaded = checkpoint.load(path)
    assert torch.equal(loaded.weights["layer.weight"], WEIGHTS["layer.weight"])
    assert loaded.state["state"] == STATE["state"]
    assert torch.equal(loaded.state["moments"][0], torch.ones(2))


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10, 11):
        checkpoint.save_step(tmp_path, step, WEIGHTS, STATE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000010", "000011"]


@pytest.mark.parametrize("file", ["weights.safetensors", "state.safetensors", "state.json", "manifest.json"])
def test_a_damaged_one_is_noticed_and_the_one_before_is_used(tmp_path: Path, file: str) -> None:
    checkpoint.save_step(tmp_path, 1, WEIGHTS, {"step": 1})
    content = (checkpoint.save_step(tmp_path, 2, WEIGHTS, {"step": 2}) / file).read_bytes()
    target = tmp_path / "000002" / file
    for damaged in [content[:cut] for cut in range(0, len(content), max(1, len(content) // 20))]:
        target.write_bytes(damaged)
        said: list[str] = []
        found = checkpoint.load_latest(tmp_path, said.append)
        assert found is not None and found.state == {"step": 1}
        assert "000002" in said[0] and "using the one before it" in said[0]
    for position in range(0, len(content), max(1, len(content) // 40)):
        flipped = bytearray(content)
        flipped[position] ^= 1
        target.write_bytes(flipped)
        found = checkpoint.load_latest(tmp_path, lambda _: None)
        assert found is not None and found.state in ({"step": 1}, {"step": 2})
        assert file == "manifest.json" or found.state == {"step": 1}


class Gadget:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("executed"),))


def test_a_pickle_with_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = checkpoint.save_step(tmp_path, 1, WEIGHTS, {})
    evil = path / "state.pt"
    evil.write_bytes(pickle.dumps(Gadget()))
    with pytest.raises(DataError, match="damaged"):
        checkpoint.load(path)
    torch.save(Gadget(), evil)
    forge_manifest(path)
    with pytest.raises(DataError, match="not a readable checkpoint"):
        checkpoint.load(path)
    assert not Path("executed").exists()


def forge_manifest(path: Path) -> None:
    import hashlib
    import json

    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["state.pt"]["sha256"] = hashlib.sha256((path / "state.pt").read_bytes()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_a_full_disk_leaves_the_last_one_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    checkpoint.save_step(tmp_path, 1, WEIGHTS, {"step": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"000002: cannot write \d+ bytes: No space left on device"):
        checkpoint.save_step(tmp_path, 2, WEIGHTS, {"step": 2})
    monkeypatch.undo()
    found = checkpoint.load_latest(tmp_path, lambda _: None)
    assert found is not None and found.state == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["000001"]
