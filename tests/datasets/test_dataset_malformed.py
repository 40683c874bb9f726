"""Every registered data set with every kind of broken file: one clear line, or a sound list of exams."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from damages import REFUSED, SURVIVED, Damage
from gaze_formats import no_hang
from gazekit_datasets.mammography.phantom import Phantom
from made_cbis import LESIONS, write_images, write_tables
from made_data import make_folder
from made_mammography import (
    make_cmmd,
    make_inbreast,
    make_vindr_mammo,
    write_cmmd_table,
)
from made_preparation import validate

import gazekit
from gazekit.errors import DataError
from gazekit.reading.lesion_masks import lesion_mask
from gazekit.records.exam import KINDS, Exam, Finding
from gazekit.records.lesions import Outline

REGISTRY = gazekit.load_registry()
SOURCES = [component.name for component in REGISTRY.components("dataset")]
MASSES, SERIES = "mass_case_description_train_set.csv", "Mass-Training_P_00002_RIGHT_CC"


def make_tables_of_cbis_ddsm(root: Path) -> None:
    write_tables(root, LESIONS)


def make_cbis_ddsm(root: Path) -> None:
    write_tables(root, LESIONS)
    write_images(root, LESIONS, "new")
    (root / "metadata.csv").write_text(f"Series UID,File Location\n1.2.3,.\\{SERIES}\n1.2.4,.\\none\n")


def make_cmmd_as_text(root: Path) -> None:
    (make_cmmd(root) / "CMMD_clinicaldata_revision.xlsx").unlink()
    write_cmmd_table(root / "clinical.csv")


def make_phantom(root: Path) -> None:
    Phantom(image_height=64).generate(root, exams=4, seed=0, progress=lambda *_: None)


MAKERS = {
    "cbis_ddsm": make_tables_of_cbis_ddsm,
    "cbis_ddsm with images": make_cbis_ddsm,
    "cmmd": make_cmmd,
    "cmmd as text": make_cmmd_as_text,
    "folder": make_folder,
    "inbreast": make_inbreast,
    "phantom": make_phantom,
    "vindr_mammo": make_vindr_mammo,
}
"""Data set, with a word where it comes in two ways → what writes a miniature of it."""

ITS_TABLE = {
    "cbis_ddsm": MASSES,
    "cmmd": "CMMD_clinicaldata_revision.xlsx",
    "cmmd as text": "clinical.csv",
    "folder": "exams.csv",
    "inbreast": "INbreast.csv",
    "phantom": "exams.csv",
    "vindr_mammo": "breast-level_annotations.csv",
}
"""Without it there is no data set."""

BESIDE = [
    ("cbis_ddsm with images", "metadata.csv"),
    ("cbis_ddsm with images", f"{SERIES}/*/*/1-1.dcm"),
    ("cbis_ddsm with images", f"{SERIES}_1/*/*/1-2.dcm"),
    ("cmmd", "CMMD/D1-0002/*/*/1-1.dcm"),
    ("inbreast", "AllXML/20586986.xml"),
    ("vindr_mammo", "finding_annotations.csv"),
]
"""Further files that are read before any image is prepared: some are needed, some cost their own exam only.

In the default run their faults are those of test_cmmd, test_osirix, test_vindr_mammo and test_cbis_ddsm."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A miniature of every data set; a test puts back what it changes."""
    roots = {name: tmp_path_factory.mktemp("malformed") / name for name in MAKERS}
    for name, make in MAKERS.items():
        make(roots[name])
    return roots


@pytest.fixture
def root(made: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Path]:
    """The miniature of the data set ``name``, whose file ``file`` is as it was when the test is over."""
    root = made[request.getfixturevalue("name")]
    (path,) = root.glob(request.getfixturevalue("file"))
    content = path.read_bytes()
    yield root
    path.write_bytes(content)


@dataclass
class Listed:
    """A source whose exams are known already, so that they are not read twice."""

    found: list[Exam | Finding]
    classes: Sequence[str] | None

    def exams(self, root: Path) -> Iterator[Exam | Finding]:
        yield from self.found


def outcome(name: str, root: Path) -> list[Exam | Finding] | DataError:
    """What a source makes of a folder: sound exams and findings, or one line that names a file of it."""
    source = REGISTRY.create("dataset", name.partition(" ")[0])
    with no_hang(10):
        try:
            found = list(source.exams(root))
            validate(Listed(found, source.classes), root, read_images=False)
        except DataError as error:
            check_message(str(error), root)
            return error
    for each in found:
        if isinstance(each, Finding):
            assert each.kind in KINDS and each.about and "\n" not in each.what
        else:
            check_sound(each, source.classes)
    return found


def check_message(text: str, root: Path) -> None:
    """One line of bounded length that begins with the file, if need be its row, or is about exams of the folder."""
    assert text.startswith((f"{root}/", f"{root}:", "exam ")), text
    assert "\n" not in text and "\r" not in text, text
    assert len(text) < 900, text


def check_sound(exam: Exam, classes: Sequence[str] | None) -> None:
    """What every exam promises, whatever it was read from."""
    assert exam.exam_id and exam.patient_id and exam.label
    assert classes is None or exam.label in classes
    assert exam.part in (None, "train", "val", "test")
    assert set(exam.laterality.values()) <= {"L", "R"}
    assert set(exam.masks) | set(exam.gaze) <= set(exam.images)
    for lesions in exam.masks.values():
        lesion_mask([each for each in lesions if isinstance(each, Outline)], (64, 48))


def damage_file(root: Path, file: str, damage: Damage) -> Path:
    (path,) = root.glob(file)
    path.write_bytes(damage(path.read_bytes()))
    return path


def is_text(path: str) -> bool:
    return not path.endswith((".xlsx", ".dcm"))


def kinds(file: str) -> dict[str, Damage]:
    """The kinds of damage that a file can have: those of characters are for text."""
    changes_bytes = ("its first line", "cut", "twice", "zeros", "backwards", "without")
    return {
        kind: damage
        for kind, damage in (REFUSED | SURVIVED).items()
        if is_text(file) or kind in REFUSED or kind.startswith(changes_bytes)
    }


def test_every_data_set_has_a_miniature_that_is_sound(made: dict[str, Path]) -> None:
    assert {name.partition(" ")[0] for name in MAKERS} == set(SOURCES), "add a miniature in the exact layout"
    for name, folder in made.items():
        found = outcome(name, folder)
        assert not isinstance(found, DataError), found
        assert sum(isinstance(each, Exam) for each in found) >= 3


def test_every_data_set_has_twenty_kinds_of_damage() -> None:
    for name, file in ITS_TABLE.items():
        assert len(kinds(file)) >= 20, name


CASES = [
    pytest.param(name, file, kind, id=f"{name}-{Path(file).name}-{kind}", marks=marks)
    for files, marks in ((ITS_TABLE.items(), ()), (BESIDE, pytest.mark.slow))
    for name, file in files
    for kind in kinds(file)
]


@pytest.mark.parametrize(("name", "file", "kind"), CASES)
def test_what_is_damaged_is_refused_or_read_soundly(root: Path, name: str, file: str, kind: str) -> None:
    damage_file(root, file, kinds(file)[kind])
    found = outcome(name, root)
    if ITS_TABLE.get(name) == file and kind in REFUSED:
        assert isinstance(found, DataError)
