"""The contract of gaze readers."""

import os
import tempfile
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gazekit.errors import DataError
from gazekit.records.recording import Recording
from gazekit.testing.contract import Contract
from gazekit.testing.promises import promise


class GazeReaderContract(Contract):
    """Recordings of a file in the reader's format; files of other formats are not accepted."""

    kind = "gaze_reader"
    sample: ClassVar[Path | None] = None
    """A file in the format."""

    def file(self) -> Path:
        """Return the sample; a reader's own test may make one here instead."""
        if self.sample is None:
            raise unittest.SkipTest(
                "needs a file in the format: --sample NAME=FILE, in a test sample = Path(…)"
            )
        return self.sample

    def test_fits(self) -> None:
        """Fits its own file, and nothing else: no empty file, text, bytes, folder, absent file; raises nothing."""
        reader = self.make()
        with _odd_files() as odd:
            for path in odd:
                promise(self.component, f"not to fit {path.name}", not self._fits(reader, path), "a fit")
        promise(self.component, "to fit the sample", self._fits(reader, self.file()), "no fit")

    def test_alone(self) -> None:
        """No other reader fits its file."""
        from gazekit.registry.discovery import load_registry

        registry, file = load_registry(), self.file()
        others = [
            each
            for each in registry.components("gaze_reader")
            if each.value.__name__ != self.component.__name__
        ]
        fitting = [f"{each.name} of {each.provenance}" for each in others if each.value().fits(file)]
        promise(self.component, "files that no other reader fits", not fitting, fitting)

    def test_recordings(self) -> None:
        """At least one recording with x, y and times of one length, ascending, of the file it was asked for."""
        file, reader = self.file(), self.make()
        recordings = list(reader.read(file))
        promise(self.component, "at least one recording", bool(recordings), "none")
        for recording in recordings:
            promise(self.component, "recordings", isinstance(recording, Recording), type(recording).__name__)
            self._check(recording, file)
        again = list(self.make().read(file))
        promise(self.component, "the same recordings each time", str(recordings) == str(again), "others")

    def test_beside(self) -> None:
        """Files that reading takes besides, if it names some: paths other than the file; raises nothing."""
        beside, file = getattr(self.make(), "beside", None), self.file()
        if beside is None:
            return
        with _odd_files() as odd:
            for path in (file, *odd):
                try:
                    found = list(beside(path))
                except Exception as error:
                    promise(self.component, "beside to raise nothing", False, f"{error!r} for {path.name}")
                    raise
                others = all(isinstance(each, Path) and each != path for each in found)
                promise(self.component, "beside to return paths of other files", others, found)

    def _check(self, recording: Recording, file: Path) -> None:
        promise(self.component, "the file as source", recording.source == file, recording.source)
        length = len(recording.x)
        promise(self.component, "at least one row", length > 0, f"none in {recording}")
        for name in ("x", "y", "t_ms", "duration_ms"):
            values = getattr(recording, name)
            if values is None and name not in "xy":
                continue
            kind = f"{values.dtype} {list(values.shape)}"
            promise(self.component, f"{name} as float64 [{length}]", kind == f"float64 [{length}]", kind)
        if recording.t_ms is not None:
            promise(
                self.component,
                "ascending times",
                bool((np.diff(recording.t_ms) >= 0).all()),
                "times that go back",
            )
        if recording.duration_ms is not None:
            promise(
                self.component, "durations >= 0", bool((recording.duration_ms >= 0).all()), "negative ones"
            )

    def test_damaged_files(self) -> None:
        """A DataError or recordings, and no other exception, for a truncated file or one of another format."""
        content = self.file().read_bytes()
        with _odd_files() as odd:
            for length in (len(content) // 3, len(content) // 2, len(content) - 1):
                cut = odd[0].with_name(f"cut_{length}{self.file().suffix}")
                cut.write_bytes(content[:length])
                odd.append(cut)
            for path in odd:
                try:
                    list(self.make().read(path))
                except DataError:
                    continue
                except Exception as error:
                    promise(self.component, f"a DataError for {path.name}", False, repr(error))

    def _fits(self, reader: Any, path: Path) -> bool:
        try:
            return bool(reader.fits(path))
        except Exception as error:
            promise(self.component, "fits to raise nothing", False, f"{error!r} for {path.name}")
            raise


@contextmanager
def _odd_files() -> Iterator[list[Path]]:
    """Yield files of no format, and names of missing files."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "empty.csv").write_bytes(b"")
        (root / "text.txt").write_text("Lorem ipsum dolor sit amet,\n\tconsectetur; adipiscing elit.\n" * 3)
        (root / "bytes.dat").write_bytes(np.random.default_rng(0).bytes(4096) + os.linesep.encode())
        (root / "directory").mkdir()
        yield [root / name for name in ("empty.csv", "text.txt", "bytes.dat", "directory", "absent.csv")]
