"""Checkpoints are whole or not there, verified, and never executed."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from gazekit.errors import DataError, StorageError
from gazekit.runs.checkpoints import checkpoint

WEIGHTS = {"layer.weight": torch.arange(6.0).view(2, 3)}
STATE = {"state": {"epoch": 3, "best_auc": 0.5}, "moments": [torch.ones(2)]}


def test_round_trip(tmp_path: Path) -> None:
    path = checkpoint.save_step(tmp_path, 7, WEIGHTS, STATE)
    loaded = checkpoint.load(path)
    assert torch.equal(loaded.weights["layer.weight"], WEIGHTS["layer.weight"])
    assert loaded.state["state"] == STATE["state"]
    assert torch.equal(loaded.state["moments"][0], torch.ones(2))


def test_the_last_two_are_kept_and_the_selected_weights_that_they_know(tmp_path: Path) -> None:
    best = tmp_path / "best"
    for step in (3, 7, 12, 15, 24, 31):
        checkpoint.save_step(best, step, WEIGHTS, STATE)
    (tmp_path / "000020 copy").mkdir()
    for step in (1, 2, 20, 30):
        checkpoint.save_step(tmp_path, step, WEIGHTS, STATE)
    checkpoint.forget_old(tmp_path, best)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000020", "000020 copy", "000030", "best"]
    assert sorted(path.name for path in best.iterdir()) == ["000015", "000024", "000031"]
    checkpoint.forget_after(best, 20)  # the newest checkpoint was damaged
    assert [path.name for path in best.iterdir()] == ["000015"]


def test_tensors_come_back_as_they_lie_in_memory(tmp_path: Path) -> None:
    last = torch.arange(24.0).view(2, 3, 2, 2).to(memory_format=torch.channels_last)
    turned = torch.arange(24.0).view(2, 3, 4).permute(2, 0, 1)
    loaded = checkpoint.load(
        checkpoint.save_step(tmp_path, 1, WEIGHTS, {"last": last, "turned": turned})
    ).state
    for name, tensor in (("last", last), ("turned", turned)):
        assert torch.equal(loaded[name], tensor) and loaded[name].stride() == tensor.stride()


def test_one_that_the_disk_does_not_give_is_as_good_as_damaged(tmp_path: Path) -> None:
    checkpoint.save_step(tmp_path, 1, WEIGHTS, {"step": 1})
    newest = checkpoint.save_step(tmp_path, 2, WEIGHTS, STATE)
    (newest / "state.json").unlink()
    (newest / "state.json").mkdir()  # an error of reading, for root too
    said: list[str] = []
    found = checkpoint.load_latest(tmp_path, said.append)
    assert found is not None and found.state == {"step": 1}
    assert "000002/state.json: is a folder; expected a part of a checkpoint" in said[0]
    assert said[0].endswith("; using the one before it")


def test_no_truncation_and_no_flipped_bit_is_ever_loaded(tmp_path: Path) -> None:
    checkpoint.save_step(tmp_path, 1, WEIGHTS, {"step": 1})
    newest = checkpoint.save_step(tmp_path, 2, WEIGHTS, STATE)
    files = [(file, file.read_bytes()) for file in sorted(newest.iterdir())]
    random = np.random.default_rng(0)
    for file, content in files:
        cuts = random.choice(len(content), min(50, len(content)), replace=False)
        flips = random.choice(8 * len(content), 125, replace=False)
        damaged = [content[:cut] for cut in cuts] + [flipped(content, int(bit)) for bit in flips]
        for bad in damaged:
            file.write_bytes(bad)
            said: list[str] = []
            found = checkpoint.load_latest(tmp_path, said.append)
            assert found is not None
            if found.state != {"step": 1}:  # a bit that says nothing, such as a space of the manifest
                assert file.name == "manifest.json"
                assert torch.equal(found.weights["layer.weight"], WEIGHTS["layer.weight"])
                assert found.state["state"] == STATE["state"] and not said
            else:
                assert "000002" in said[0] and "using the one before it" in said[0]
        file.write_bytes(content)


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Gadget:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("executed"),))


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


def hostile(path: Path, **files: bytes) -> Path:
    """A checkpoint whose files were replaced and whose checksums were made to fit."""
    import hashlib
    import json

    manifest = json.loads((path / "manifest.json").read_text())
    for name, content in files.items():
        file = name.replace("__", ".")
        (path / file).write_bytes(content)
        manifest["files"][file]["sha256"] = hashlib.sha256(content).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def header(text: bytes, size: int | None = None) -> bytes:
    return (len(text) if size is None else size).to_bytes(8, "little") + text


MANY = (
    b"{"
    + b",".join(b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % n for n in range(10**5))
    + b"}"
)
OVER = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
EVIL = {
    "pickle instead of weights": {"weights__safetensors": pickle.dumps(Gadget())},
    "pickle instead of state": {"state__json": pickle.dumps(Gadget())},
    "header longer than the file": {"weights__safetensors": header(b"{}", 2**62)},
    "header of the limit": {"weights__safetensors": header(b"{}", 4 * 2**20)},
    "tensor larger than the file": {"weights__safetensors": header(OVER)},
    "a hundred thousand tensors": {"weights__safetensors": header(MANY)},
    "deep state": {"state__json": b'{"list":[' * 10**5 + b"]}" * 10**5},
    "state of no known kind": {"state__json": b'{"call": ["os.system", "true"]}'},
    "state that is no table": {"state__json": b"3"},
    "state without its tensors": {"state__json": b'{"dict": [["a", {"tensor": "9"}]]}'},
    "state that is long": {"state__json": b" " * (9 * 2**20)},
    "nothing": {"weights__safetensors": b"", "state__json": b""},
}


@pytest.mark.parametrize("files", EVIL.values(), ids=EVIL.keys())
def test_a_hostile_checkpoint_is_refused_unexecuted_in_little_time_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]
) -> None:
    import time
    import tracemalloc

    monkeypatch.chdir(tmp_path)
    path = hostile(checkpoint.save_step(tmp_path, 1, WEIGHTS, STATE), **files)
    tracemalloc.start()
    before = time.process_time()
    with pytest.raises(DataError):
        checkpoint.load(path)
    assert time.process_time() - before < 5
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()
    assert not Path("executed").exists()


def test_a_file_much_larger_than_the_model_is_not_read(tmp_path: Path) -> None:
    import os

    path = checkpoint.save_step(tmp_path, 1, WEIGHTS, STATE)
    os.truncate(path / "weights.safetensors", 10**12)  # sparse
    with pytest.raises(DataError, match="has 1000000000000 bytes, expected at most"):
        checkpoint.load(path, module=torch.nn.Linear(2, 3))


def test_the_largest_state_of_a_training_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """timm's adan and a moving average of the weights: five times the model, which is large beside the room."""
    from timm.optim import create_optimizer_v2

    from gazekit.training.optimising.average import WeightAverage

    monkeypatch.setattr(checkpoint, "_ROOM", 2**15)
    modules = torch.nn.ModuleDict({"model": torch.nn.Linear(300, 300)})
    optimizer = create_optimizer_v2(
        [{"params": list(modules.parameters())}], opt="adan", lr=1e-3, weight_decay=0
    )
    for _ in range(2):
        modules["model"](torch.randn(2, 300)).sum().backward()
        optimizer.step()
    state = {"optimizer": optimizer.state_dict(), "average": WeightAverage(modules, 0.9).state_dict()}
    path = checkpoint.save_step(tmp_path, 1, modules.state_dict(), state)
    assert (
        checkpoint.load(path, module=modules).state["average"]["weights"].keys()
        == modules.state_dict().keys()
    )


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its checkpoint is of another model"):
        checkpoint.put_weights(torch.nn.Linear(2, 3), WEIGHTS, tmp_path)
