"""Fixtures that several test files share.

They import what they need when they are used: the process of pytest-xdist that hands out the tests needs none of it.
"""

import faulthandler
import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gazekit.prepared.dataset import PreparedDataset
    from gazekit.registry.registry import Registry

gc.set_threshold(20_000, 20, 20)  # a search looks through everything that the imports made
MakeDistribution = Callable[..., None]


def not_waited_for(file: int) -> None:
    """Stand in for ``os.fsync``: no test cuts the power, so none waits until the disk holds what it wrote."""
    os.fstat(file)  # a descriptor that is none is an error, as before


os.fsync = not_waited_for


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(0))


class EndsWhatHangs:
    """Ends a process that hangs in native code, where no Python can stop it, with the stack of every thread.

    It is told once a minute that tests go on. pytest's own ``faulthandler_timeout`` starts a thread for each test.
    """

    def __init__(self) -> None:
        self.stderr, self.told = os.dup(2), float("-inf")

    def pytest_runtest_setup(self) -> None:
        if time.monotonic() > self.told + 60:
            self.told = time.monotonic()
            faulthandler.dump_traceback_later(1800, file=self.stderr, exit=True)

    def pytest_unconfigure(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        os.close(self.stderr)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(EndsWhatHangs())


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    """Search once for cycles whose finaliser fails: pytest then does so twice more, through all that is left."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Small tensors: more threads only wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def registry() -> "Registry":
    import gazekit

    return gazekit.load_registry()


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeDistribution:
    """Install a made-up distribution: ``distribution("gated", "1.2", code="…")`` with one module and entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def make(name: str, version: str, code: str, *, entry_point: str | None = None) -> None:
        module = name.replace("-", "_") + "_module"
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[gazekit]\n{name} = {entry_point or module}\n")
        made.append(module)

    yield make
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture(scope="session")
def raw_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up ``folder`` data set of 24 exams, 32 px."""
    from made_data import make_folder

    return make_folder(tmp_path_factory.mktemp("made") / "raw")


@pytest.fixture(scope="session")
def dataset(raw_folder: Path, registry: "Registry") -> "PreparedDataset":
    """The same, prepared at 16 px."""
    from made_preparation import prepare

    from gazekit.prepared.dataset import PreparedDataset

    out = raw_folder.parent / "prepared"
    source = registry.create("dataset", "folder", gaze_reader="plain")
    prepare(
        source,
        raw_folder,
        out,
        size=(16, 16),
        crop="none",
        jobs=0,
        gaze_reader=lambda name: registry.create("gaze_reader", name),
    )
    return PreparedDataset.open(out)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every picture of a report an empty one, where nobody looks at it: drawing takes most of the time."""
    from undrawn import leave_undrawn

    leave_undrawn(monkeypatch)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, dataset: "PreparedDataset") -> Path:
    """A run of one epoch on the made-up data set; not to be changed."""
    from command_line import TINY
    from command_line import gazekit as run_gazekit

    out = tmp_path_factory.mktemp("trained") / "run"
    run_gazekit(
        "train", "--preset", "mammonet_small", "--data", dataset.root, "--out", out, "--epochs", 1, *TINY
    )
    return out
