"""Every registered gaze reader reads every kind of broken file correctly or refuses it in one clear line."""

import os
import re
import shutil
from pathlib import Path

import pytest
from damages import REFUSED, SURVIVED
from gaze_formats import FILES, FOLDER, MINIATURES, READERS, no_hang, outcome

from gazekit.errors import DataError
from gazekit.testing import contract

REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder of all the miniatures, for a reader may need the file beside its own."""
    return Path(shutil.copytree(FOLDER, tmp_path / "gaze"))


@pytest.mark.parametrize("name", READERS)
def test_every_reader_has_a_miniature_and_reads_it(name: str) -> None:
    assert name in MINIATURES, f"tests/gaze_files has no {name}.*: add a miniature file in the exact layout"
    found = outcome(name, MINIATURES[name])
    assert not isinstance(found, DataError), found
    assert found and all(len(recording.x) > 1 for recording in found)


@pytest.mark.parametrize("name", READERS)
def test_every_reader_keeps_its_contract_with_its_miniature(name: str) -> None:
    promised = contract("gaze_reader", type(READERS[name]))
    promised.sample = MINIATURES[name]
    for promise in promised.promises(all_of_them=True):
        getattr(promised(), promise)()


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_recording_is_refused(name: str, kind: str, beside: Path) -> None:
    path = beside / MINIATURES[name].name
    path.write_bytes(REFUSED[kind](path.read_bytes()))
    assert isinstance(outcome(name, path), DataError)


@pytest.mark.parametrize("kind", SURVIVED)
@pytest.mark.parametrize("name", READERS)
def test_what_is_damaged_is_refused_or_read_soundly(name: str, kind: str, beside: Path) -> None:
    path = beside / MINIATURES[name].name
    path.write_bytes(SURVIVED[kind](path.read_bytes()))
    outcome(name, path)


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_refused_without_waiting(name: str, beside: Path) -> None:
    os.mkfifo(beside / "pipe.csv")
    (beside / "loop.csv").symlink_to("loop.csv")
    below = beside / MINIATURES[name].name / "below.csv"
    for path in (
        beside,
        beside / "absent.csv",
        beside / "pipe.csv",
        beside / "loop.csv",
        below,
        Path("/dev/zero"),
    ):
        with no_hang(5):
            assert not READERS[name].fits(path)
            with pytest.raises(DataError, match=re.escape(str(path))):
                list(READERS[name].read(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
@pytest.mark.parametrize("name", READERS)
def test_what_may_not_be_read_is_refused(name: str, beside: Path) -> None:
    path = beside / MINIATURES[name].name
    path.chmod(0)
    assert isinstance(outcome(name, path), DataError)


def test_one_reader_fits_each_miniature() -> None:
    fitting = {path: [name for name, reader in READERS.items() if reader.fits(path)] for path in FILES}
    named = {path: [name] for name, path in MINIATURES.items()}
    assert fitting == {path: named.get(path, []) for path in FILES}


@pytest.mark.skipif(not REAL.exists(), reason="the real files are not here")
def test_one_reader_fits_each_real_recording_and_none_fits_anything_else() -> None:
    claimed = {"eyelink": "eyelink", "tobii_studio": "tobii_studio"}
    files = [path for path in sorted(REAL.rglob("*")) if path.is_file()]
    recordings = 0
    for path in [*files, *sorted(REAL.rglob("*/"))]:
        is_recording = path.parent.name in claimed and path.suffix in (".asc", ".tsv")
        expected = [claimed[path.parent.name]] if is_recording else []
        assert [name for name, reader in READERS.items() if reader.fits(path)] == expected, path
        recordings += is_recording
    assert recordings == 5
    assert len(files) > 30
