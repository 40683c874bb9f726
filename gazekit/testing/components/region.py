"""The contract of regions."""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from gazekit.records.arrays import Grey
from gazekit.records.region import Region
from gazekit.registry.component import is_version
from gazekit.registry.signature import options_of
from gazekit.testing.contract import Contract
from gazekit.testing.promises import promise


class RegionContract(Contract):
    """A region of any image, the same each time, found in a worker process."""

    kind = "region"

    def test_version(self) -> None:
        """Rules with a version, and no options: a prepared data set keeps name and version alone."""
        version = getattr(self.component, "version", None)
        promise(self.component, "version, a whole number of at least 1", is_version(version), repr(version))
        options = [option.name for option in options_of(self.component)]
        promise(self.component, "to have no options", not options, options)

    def test_regions(self) -> None:
        """A box within the image and an outline of it, for bright, dark, noisy and tiny images, too; raises nothing."""
        finder = self.make()
        for name, pixels in _images():
            self._check(self._find(finder, pixels, name), pixels, name)

    def test_no_hidden_state(self) -> None:
        """The same region each time, and images left as they are."""
        finder = self.make()
        first = {name: self._find(finder, pixels, name) for name, pixels in _images()}
        for (name, pixels), (_, before) in zip(_images(), _images(), strict=True):
            again = self._find(finder, pixels, name)
            promise(self.component, "to leave its image as it is", np.array_equal(pixels, before), name)
            promise(
                self.component, "the same region each time", _alike(first[name], again), f"{name}: {again}"
            )

    def test_worker_processes(self) -> None:
        """Instances that can be pickled and find the same, from a module that imports no torch."""
        finder = self.make()
        try:
            copy = pickle.loads(pickle.dumps(finder))
        except Exception as error:
            promise(self.component, "to be picklable", False, repr(error))
        for name, pixels in _images():
            found = self._find(copy, pixels, name)
            promise(
                self.component, "the same when pickled", _alike(found, self._find(finder, pixels, name)), name
            )
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; import importlib; "
            f"importlib.import_module({self.component.__module__!r}); sys.exit(7 * ('torch' in sys.modules))"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        came = "torch" if ended.returncode == 7 else ended.stderr.strip().rpartition("\n")[2]
        promise(self.component, "a module that is imported without torch", ended.returncode == 0, came)

    def _find(self, finder: Any, pixels: Grey, name: str) -> Region:
        try:
            found = finder.find(pixels)
        except Exception as error:
            promise(self.component, "to raise nothing", False, f"{error!r} for {name}")
            raise
        promise(self.component, "a Region", isinstance(found, Region), type(found).__name__)
        return found  # type: ignore[no-any-return]

    def _check(self, found: Region, pixels: Grey, name: str) -> None:
        height, width = pixels.shape
        whole = (0, 0, width, height)
        promise(self.component, f"the image {whole}", found.image == whole, f"{found.image} for {name}")
        left, top, right, bottom = found.box
        within = 0 <= left < right <= width and 0 <= top < bottom <= height
        promise(self.component, f"a box within {whole}, not empty", within, f"{found.box} for {name}")
        numbers = all(isinstance(side, int) for side in (*found.box, found.factor)) and found.factor >= 1
        promise(self.component, "whole numbers as box and factor", numbers, f"{found!r} for {name}")
        kind = f"{found.outline.dtype} {found.outline.shape}"
        shape = (-(-height // found.factor), -(-width // found.factor))
        promise(self.component, f"an outline bool {shape}", kind == f"bool {shape}", f"{kind} for {name}")
        promise(self.component, "an outline that is not empty", bool(found.outline.any()), f"none for {name}")
        if found.doubt:
            kept = found.box == whole and bool(found.outline.all())
            promise(self.component, "the whole image where it doubts", kept, f"{found!r} for {name}")


def _images() -> Iterator[tuple[str, Grey]]:
    """Images by name, fresh ones each time."""
    random = np.random.default_rng(0)
    rows, columns = np.indices((160, 120)) + 0.5
    lit = 0.4 + 0.2 * random.random((160, 120))
    for name, inside in {
        "a bright half ellipse at the left edge": (columns / 80) ** 2 + ((rows - 85) / 60) ** 2 <= 1,
        "a bright disc": (columns - 60) ** 2 + (rows - 80) ** 2 <= 40**2,
        "two bright discs": (np.abs(columns - 60) - 30) ** 2 + (rows - 80) ** 2 <= 20**2,
    }.items():
        yield name, np.where(inside, lit, 0).astype(np.float32)
    for name, shape in {"a wide image": (50, 300), "a high image": (300, 50), "one pixel": (1, 1)}.items():
        yield name, random.random(shape).astype(np.float32)
    yield "a black image", np.zeros((90, 70), dtype=np.float32)
    yield "a white image", np.ones((90, 70), dtype=np.float32)


def _alike(one: Region, other: Region) -> bool:
    facts = [(each.image, each.box, each.factor, each.doubt) for each in (one, other)]
    return facts[0] == facts[1] and np.array_equal(one.outline, other.outline)
