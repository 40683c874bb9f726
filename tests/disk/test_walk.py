"""Folders as people keep them: links and circles of links, hidden files, leftovers of archives."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from closed_folder import CLOSED, REASON, close_folders
from made_cbis import LESIONS, write_images, write_tables
from made_data import make_folder
from made_mammography import make_cmmd, make_inbreast, make_vindr_mammo

from gazekit.disk.walk import files_below
from gazekit.errors import DataError
from gazekit.gaze.collecting import SkippedFile, read_all
from gazekit.gaze.formats import gaze_files
from gazekit.preparing.redaction import finding_of
from gazekit.records.exam import Exam, Finding
from gazekit.registry.registry import Registry

LITTER = ("._scan.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden/scan.png", "__MACOSX/P1/scan.png")


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(root: Path, files: Iterable[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in files]


def test_litter_is_passed_over_and_the_folder_given_may_be_hidden(tmp_path: Path) -> None:
    root = tmp_path / ".cache"
    touch(*(root / name for name in (*LITTER, "P2/b.png", "P1/a.png", "c.png")))
    assert names(root, files_below(root)) == ["c.png", "P1/a.png", "P2/b.png"]


def test_links_are_followed_and_a_folder_is_entered_once_by_its_own_path(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    touch(root / "z" / "real.png", elsewhere / "far.png", elsewhere / "deep" / "deeper.png")
    (root / "a_link_to_z").symlink_to(root / "z")
    (root / "far").symlink_to(elsewhere)
    (root / "far_again").symlink_to(elsewhere)
    (root / "one.png").symlink_to(elsewhere / "far.png")
    (root / "broken.png").symlink_to(tmp_path / "nowhere")
    found = names(root, files_below(root))
    assert found == ["broken.png", "one.png", "z/real.png", "far/far.png", "far/deep/deeper.png"]


def test_circles_of_links_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    touch(root / "a" / "one.png", root / "b" / "two.png")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a")
    (root / "b" / "over").symlink_to(root / "a")
    assert names(root, files_below(root)) == ["a/one.png", "b/two.png"]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: the folder cannot be listed"):
        list(files_below(tmp_path / "nowhere"))


def test_a_closed_folder_below_costs_what_lies_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_folders(monkeypatch)
    touch(tmp_path / "a" / "one.png", tmp_path / CLOSED / "two.png", tmp_path / "z.png")
    told: dict[Path, str] = {}
    assert names(tmp_path, files_below(tmp_path, told.__setitem__)) == ["z.png", "a/one.png"]
    assert told == {tmp_path / CLOSED: REASON}
    with pytest.raises(DataError, match="closed: the folder cannot be listed"):
        list(files_below(tmp_path))
    with pytest.raises(DataError, match="closed: the folder cannot be listed"):
        list(files_below(tmp_path / CLOSED, told.__setitem__))


def test_a_closed_folder_among_recordings_is_said_and_skipped(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = {"plain": registry.create("gaze_reader", "plain")}
    (tmp_path / "a.csv").write_text("exam_id,view,t_ms,x,y\ne,cc,0,1,2\n")
    touch(tmp_path / CLOSED / "b.csv")
    close_folders(monkeypatch)
    warned: list[str] = []
    skipped: list[SkippedFile] = []
    (found,) = read_all(tmp_path, readers, warned.append, skip=skipped.append)
    assert found.exam_id == "e"
    assert warned == [f"{tmp_path / CLOSED}: {REASON}; what lies in it is skipped"]
    assert [(each.path.name, each.reason) for each in skipped] == [(CLOSED, REASON)]
    (closed,) = skipped
    assert finding_of(closed, named=False) == Finding("refused", "a folder of recordings", REASON)
    assert finding_of(closed, named=True) == Finding("refused", CLOSED, REASON)
    with pytest.raises(DataError, match="closed: the folder cannot be listed"):
        read_all(tmp_path, readers, warned.append, strict=True)


@pytest.mark.parametrize("name", ["cbis_ddsm", "cmmd", "vindr_mammo"])
def test_a_closed_folder_in_a_source_is_a_finding(
    name: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = SOURCES[name](tmp_path / "home")
    source = registry.create("dataset", name)
    plain = list(source.exams(home))
    (home / "images" / CLOSED if name == "vindr_mammo" else home / CLOSED).mkdir()
    close_folders(monkeypatch)
    found = list(source.exams(home))
    assert Finding("missing", CLOSED, REASON) in found
    assert [each for each in found if isinstance(each, Exam)] == [
        each for each in plain if isinstance(each, Exam)
    ]


def make_cbis(root: Path) -> Path:
    root.mkdir()
    write_tables(root, LESIONS)
    write_images(root, LESIONS, "new")
    return root


SOURCES: dict[str, Callable[[Path], Path]] = {
    "cbis_ddsm": make_cbis,
    "cmmd": make_cmmd,
    "inbreast": make_inbreast,
    "vindr_mammo": make_vindr_mammo,
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_reads_through_links_and_past_litter(
    name: str, registry: Registry, tmp_path: Path
) -> None:
    home = SOURCES[name](tmp_path / "home")
    source = registry.create("dataset", name)
    plain = list(source.exams(home))
    assert any(isinstance(each, Exam) for each in plain)
    linked = tmp_path / "linked"
    linked.mkdir()
    for item in home.iterdir():
        (linked / item.name).symlink_to(item)
    for folder in [home, *(path for path in home.rglob("*") if path.is_dir())]:
        touch(*(folder / litter for litter in ("._1-1.dcm", ".DS_Store", "Thumbs.db", "__MACOSX/1-9.dcm")))
    found = list(source.exams(linked))
    assert told(found) == told(plain)


def told(found: Iterable[Exam | Finding]) -> list[tuple[str, str]]:
    return sorted(
        (each.exam_id, "exam") if isinstance(each, Exam) else (each.about, each.what) for each in found
    )


def test_gaze_files_are_found_through_links_and_past_litter(registry: Registry, tmp_path: Path) -> None:
    raw = make_folder(tmp_path / "raw", exams=4, without_gaze=0)
    readers = {"plain": registry.create("gaze_reader", "plain")}
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "recordings").symlink_to(raw)
    (raw / "again").symlink_to(linked)
    (raw / "._e000_cc.csv").write_bytes((raw / "e000_cc.csv").read_bytes())
    found, _ = gaze_files(linked, readers)
    assert len(found) == 8 and all("._" not in each.path.name for each in found)
