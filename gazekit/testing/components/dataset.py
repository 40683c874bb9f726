"""The contract of data sets."""

import tempfile
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from gazekit.errors import DataError
from gazekit.records.exam import Exam, Finding
from gazekit.records.identity import ImageIdentity
from gazekit.records.image_header import ImageHeader
from gazekit.testing.contract import Contract
from gazekit.testing.promises import promise

PARTS = ("train", "val", "test", None)


class DataSourceContract(Contract):
    """Exams of a folder, the same each time, without a trace left in it."""

    kind = "dataset"
    sample: ClassVar[Path | None] = None
    """A small folder of the data set; not needed by a source that can generate one."""

    @contextmanager
    def folder(self, source: Any) -> Iterator[Path]:
        """Return the sample, or a generated folder of eight exams."""
        if self.sample is not None:
            yield self.sample
        elif hasattr(source, "generate"):
            with tempfile.TemporaryDirectory() as folder:
                source.generate(Path(folder) / "made", exams=8, seed=0, progress=lambda _done, _total: None)
                yield Path(folder) / "made"
        else:
            raise unittest.SkipTest(
                "needs a small folder of the data set: --sample NAME=FOLDER, in a test sample = Path(…)"
            )

    def test_exams(self) -> None:
        """Exams with ids that are unique, a patient, a label that is a class, images that are there, a known part."""
        source = self.make()
        with self.folder(source) as root:
            found = list(source.exams(root))
            strangers = [each for each in found if not isinstance(each, Exam | Finding)]
            promise(self.component, "exams and findings", not strangers, strangers[:1])
            exams = [each for each in found if isinstance(each, Exam)]
            promise(self.component, "at least one exam", bool(exams), found[:1])
            names = [exam.exam_id for exam in exams]
            twice = sorted({name for name in names if names.count(name) > 1})
            promise(self.component, "exam ids that are unique", not twice, f"{twice[:3]} twice")
            for exam in exams:
                self._check(exam, source.classes)

    def _check(self, exam: Exam, classes: Any) -> None:
        where = f"exam {exam.exam_id}"
        for name in ("exam_id", "patient_id", "label"):
            value = getattr(exam, name)
            promise(
                self.component,
                f"a text as {name}",
                isinstance(value, str) and value != "",
                f"{value!r} in {where}",
            )
        known = classes is None or exam.label in classes
        promise(self.component, f"a label among {classes}", known, f"{exam.label!r} in {where}")
        promise(self.component, f"a part among {PARTS}", exam.part in PARTS, f"{exam.part!r} in {where}")
        promise(self.component, "images", bool(exam.images), f"none in {where}")
        for view, file in {**exam.images, **exam.gaze}.items():
            there = isinstance(file, Path) and file.exists()
            promise(self.component, f"a file that is there for view '{view}'", there, f"{file!r} in {where}")
        promise(
            self.component,
            "the name of a gaze reader with gaze",
            not exam.gaze or bool(exam.gaze_reader),
            where,
        )

    def test_repeatable(self) -> None:
        """The same exams each time, in the same order, and nothing written into the folder."""
        source = self.make()
        with self.folder(source) as root:
            before = _contents(root)
            first, second = list(source.exams(root)), list(self.make().exams(root))
            promise(self.component, "the same exams each time", first == second, "others")
            promise(self.component, "to write nothing into the folder", _contents(root) == before, "a change")

    def test_identity(self) -> None:
        """If it knows its own files: an identity or None for any header and path, without reading a file."""
        identify = getattr(self.component, "identify", None)
        if identify is None:
            raise unittest.SkipTest("leaves it to headers and names whose image a file is")
        for header in (None, ImageHeader(), ImageHeader(patient="\0", modality="MG", frames=9, samples=3)):
            for path in (Path("a"), Path("/nowhere/LEFT/1-1.dcm"), Path("x_R_front.png")):
                try:
                    found = identify(header, path)
                except Exception as error:
                    promise(self.component, "an identity or None for any file", False, repr(error))
                is_one = found is None or isinstance(found, ImageIdentity)
                promise(self.component, "an identity or None for any file", is_one, found)

    def test_wrong_folder(self) -> None:
        """A DataError for a folder that is not this data set."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                exams = list(self.make().exams(Path(folder)))
            except DataError:
                return
            except Exception as error:
                promise(self.component, "a DataError for an empty folder", False, repr(error))
            promise(self.component, "a DataError for an empty folder", False, f"{len(exams)} exams")

    def test_generated(self) -> None:
        """If it generates: the same bytes from the same seed, others from another, progress up to the end."""
        source = self.make()
        if not hasattr(source, "generate"):
            raise unittest.SkipTest("generates nothing")
        made = []
        for seed in (0, 0, 1):
            told: list[tuple[int, int]] = []
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder) / "made"
                source.generate(root, exams=4, seed=seed, progress=lambda *each: told.append(each))  # noqa: B023
                made.append({name: content for name, (_, content) in _contents(root).items()})
            promise(
                self.component, "progress up to the end", bool(told) and told[-1][0] == told[-1][1], told[-1:]
            )
        promise(self.component, "the same bytes from the same seed", made[0] == made[1], "others")
        promise(self.component, "other bytes from another seed", made[0] != made[2], "the same")


def _contents(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return the modification time and first bytes of every file."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.stat().st_mtime_ns, _start(path)) for path in files}


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 20)
