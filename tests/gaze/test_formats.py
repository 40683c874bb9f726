"""Which format a gaze file has: one that fits, or a line that says why not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gazekit
from gazekit.errors import DataError, PluginError
from gazekit.gaze.formats import AnyFormat, GazeFile, files_beside, format_of, gaze_files, nothing_read
from gazekit.gaze.lost import WithLost
from gazekit.gaze.readers import OfReaders
from gazekit.records.recording import Recording


@dataclass
class Suffix:
    """Fits what ends in its suffix."""

    suffix: str

    def fits(self, path):
        return path.suffix == self.suffix

    def read(self, path):
        if path.stat().st_size == 0:
            raise DataError(f"{path}: empty")
        yield Recording(path, np.array([1.0]), np.array([2.0]), image=self.suffix)


READERS = {"first": Suffix(".a"), "second": Suffix(".b")}


def folder(tmp_path: Path, *names: str) -> Path:
    for name in names:
        path = tmp_path / "gaze" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("time,x,y\n")
    return tmp_path / "gaze"


def test_each_file_of_a_folder_gets_its_format_and_others_are_listed(tmp_path):
    found, others = gaze_files(folder(tmp_path, "2.b", "deep/1.a", "notes.txt", ".hidden.a"), READERS)
    assert [(each.path.name, each.format) for each in found] == [("2.b", "second"), ("1.a", "first")]
    assert [path.name for path in others] == ["notes.txt"]
    assert [recording.image for each in found for recording in each.read()] == [".b", ".a"]


@dataclass
class WithTwin(Suffix):
    """Reads a file with the one of the same name, ``.a``, and nothing from any other."""

    def beside(self, path):
        return [path.with_suffix(".a"), path.with_suffix(".list")] if path.suffix != ".a" else []

    def read(self, path):
        return super().read(path) if path.suffix == ".a" else iter(())


def test_what_is_read_beside_a_recording_is_not_listed_as_skipped(tmp_path, monkeypatch):
    source = folder(tmp_path, "1.a", "1.list", "2.list")
    for root in (source, Path("gaze")):
        monkeypatch.chdir(tmp_path)
        _, others = gaze_files(root, {"first": Listed(".a")})
        assert [path.name for path in others] == ["2.list"]


def test_a_file_without_recordings_of_its_own_names_the_one_that_has_its_gaze(tmp_path):
    source = folder(tmp_path, "1.a", "1.b", "1.list")
    reader = WithTwin("")
    reader.fits = lambda path: path.suffix in (".a", ".b") and path.exists()
    alone = [GazeFile(source / "1.b", "twins", reader)]
    assert alone[0].read() == []
    assert str(nothing_read(source / "1.b", alone)) == (
        f"{source / '1.b'}: has no recordings itself; its gaze is read from 1.a; give that file, or see the options of "
        "the format (gazekit plugins show gaze_reader twins)"
    )
    (source / "1.a").unlink()
    assert str(nothing_read(source, alone)) == f"{source}: the files hold no recording; expected gaze"


def test_a_single_file_is_sniffed_among_several_formats_and_believed_with_one(tmp_path):
    source = folder(tmp_path, "1.b")
    ((one,), _) = gaze_files(source / "1.b", READERS)
    assert one.format == "second"
    ((named,), _) = gaze_files(source / "1.b", {"first": READERS["first"]})
    assert named.format == "first"


@dataclass
class Listed(Suffix):
    """Reads a list beside the file."""

    def beside(self, path):
        return [path.with_suffix(".list")]


def test_the_files_that_a_format_reads_besides_are_those_of_all_its_forms(tmp_path):
    source = folder(tmp_path, "1.a", "1.b", "1.c")
    every = AnyFormat({"first": Listed(".a"), "second": Suffix(".b")})
    for reader in (every, WithLost(every, ()), OfReaders(every, ("A",))):
        assert files_beside(reader, source / "1.a") == [source / "1.list"]
        assert files_beside(reader, source / "1.b") == files_beside(reader, source / "1.c") == []


@pytest.mark.parametrize(
    ("names", "target", "message"),
    [
        (
            ["1.c"],
            "1.c",
            "1.c: not a gaze recording; 1.c begins with 'time, x, y'; the formats are first, second",
        ),
        (
            ["1.c", "2.c"],
            "",
            "gaze: none of its 2 files is a gaze recording; 1.c begins with 'time, x, y'",
        ),
        (["1.c"], "", "gaze: its only file is no gaze recording; 1.c begins with 'time, x, y'"),
        ([".a"], "", "there is no file in this folder"),
        (["1.a"], "2.a", "2.a: there is no file that can be read"),
    ],
)
def test_nothing_that_fits_is_one_line_with_the_formats_and_the_columns(tmp_path, names, target, message):
    source = folder(tmp_path, *names) / target
    with pytest.raises(DataError) as caught:
        gaze_files(source, READERS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    # trackers whose programs write none of the formats have a way, too
    assert ("a table exam_id,view,t_ms,x,y" in str(caught.value)) is ("begins with" in message)


def test_two_formats_that_fit_are_an_error_that_names_both(tmp_path):
    source = folder(tmp_path, "1.a")
    twice = READERS | {"third": Suffix(".a")}
    with pytest.raises(DataError, match=r"1\.a: fits the formats first and third; choose one with --format"):
        gaze_files(source, twice)
    with pytest.raises(DataError, match="fits the formats"):
        format_of(source / "1.a", twice)


def test_bytes_that_are_no_text_are_said_and_not_shown(tmp_path):
    path = tmp_path / "image.dcm"
    path.write_bytes(bytes(128) + b"DICM\x1b[31m")
    with pytest.raises(DataError, match=r"image\.dcm does not begin with text"):
        format_of(path, READERS)
    path.write_bytes(b"\x1b[31mred")
    with pytest.raises(DataError, match=r"image\.dcm does not begin with text"):
        format_of(path, READERS)


def test_any_format_is_a_reader(tmp_path):
    source = folder(tmp_path, "1.b", "1.c")
    reader = AnyFormat(READERS)
    assert reader.fits(source / "1.b")
    assert not reader.fits(source / "1.c")
    assert [recording.image for recording in reader.read(source / "1.b")] == [".b"]
    with pytest.raises(DataError, match="not a gaze recording"):
        reader.read(source / "1.c")


def test_every_registered_reader_keeps_to_its_own_file(tmp_path, registry):
    readers = {each.name: each.value() for each in registry.components("gaze_reader")}
    for name, text in {
        "plain": "exam_id,view,t_ms,x,y\nA,cc,0,1,2\n",
        "miceye": "C:\\images\\a.png;1;[[3, 4], [5, 6]];[];(0, 0)\n",
    }.items():
        path = tmp_path / f"{name}.csv"
        path.write_text(text)
        assert format_of(path, readers) == name


def test_a_reader_that_cannot_tell_its_files_is_a_broken_plugin(distribution):
    code = (
        "import gazekit\nclass Half:\n    def read(self, path):\n        yield\n"
        "@gazekit.hookimpl\ndef gazekit_gaze_readers():\n    return {'half': Half}"
    )
    distribution("half", "0.1", code)
    loaded = gazekit.load_registry()
    assert "half" not in [each.name for each in loaded.components("gaze_reader")]
    assert any("Half has no method 'fits'" in str(failure) for failure in loaded.failures)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"y": np.zeros(2)}, r"x ndarray \[3\], y ndarray \[2\]; expected arrays of NumPy"),
        ({"x": [0, 1, 2]}, r"x list \[\], y ndarray \[3\]; expected arrays of NumPy"),
        ({"t_ms": [0, 1, 2]}, r"x ndarray \[3\], y ndarray \[3\], t_ms list"),
        ({"y": [[1], [2, 3], []]}, r"x ndarray \[3\], y list"),
        ({"suspect": np.zeros(2, dtype=bool)}, r".*suspect ndarray \[2\]; expected arrays of NumPy"),
        ({"t_ms": np.array([0.0, 8.0, 4.0])}, "times that go back"),
        ({"t_ms": np.array([0, 8, 4], dtype=np.uint32)}, "times that go back"),
        ({"duration_ms": np.array([4.0, -4.0, 4.0])}, "negative durations"),
    ],
)
def test_a_recording_whose_rows_do_not_fit_is_refused_where_it_is_made(
    tmp_path: Path, rows: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=rf"a\.csv: {said}"):
        Recording(**{"source": tmp_path / "a.csv", "x": np.zeros(3), "y": np.zeros(3), **rows})


class OfOthers:
    """A reader that breaks its contract in both ways."""

    def fits(self, path: Path) -> bool:
        raise ValueError("no header")

    def read(self, path: Path) -> Iterator[Any]:
        yield {"x": 1}


def test_a_format_that_fails_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1")

    class Fits(OfOthers):
        def fits(self, path: Path) -> bool:
            return True

    with pytest.warns(UserWarning, match="gaze format 'broken' is left out.*ValueError: no header"):
        assert format_of(path, {"broken": OfOthers(), "sound": Fits()}) == "sound"
    with pytest.raises(PluginError, match=r"a\.txt: its gaze reader promises recordings; came: {'x': 1}"):
        GazeFile(path, "sound", Fits()).read()


@pytest.mark.parametrize(
    "wrap", [lambda odd: odd, lambda odd: WithLost(odd, ((0.0, 0.0),)), lambda odd: OfReaders(odd, ("r1",))]
)
def test_a_reader_that_returns_nothing_is_named(tmp_path: Path, wrap: Any) -> None:
    odd = SimpleNamespace(read=lambda _: None)
    with pytest.raises(PluginError, match=r"a\.txt: its gaze reader promises recordings; came: None"):
        GazeFile(tmp_path / "a.txt", "odd", wrap(odd)).read()
