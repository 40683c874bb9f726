"""An id gives a file name inside its folder, one per id, that no table or terminal obeys."""

import csv
import io
import re
from pathlib import Path

import pytest
from command_line import gazekit
from hypothesis import given
from hypothesis import strategies as some
from made_data import write_exams

from gazekit.cli import console
from gazekit.disk.file_names import file_name
from gazekit.disk.own_files import FileKind
from gazekit.disk.plain_text import from_cell, has_controls, to_cell, visible
from gazekit.errors import DataError
from gazekit.prepared.index import as_csv, rows_of
from gazekit.reporting.study.formats import tidy_csv

HOSTILE = [
    "../../x/a",
    "/etc/passwd",
    "a/b",
    "..",
    ".",
    "",
    "a\\b",
    "C:x",
    "nul",
    "a\0b",
    "a\nb",
    ".hidden",
    "x" * 5000,
]


@pytest.mark.parametrize("key", HOSTILE)
def test_a_name_stays_in_its_folder(tmp_path: Path, key: str) -> None:
    path = tmp_path / f"{file_name(key)}.png"
    path.write_bytes(b"")
    assert path.resolve().parent == tmp_path.resolve() and not path.name.startswith(".")


def test_plain_ids_are_names_as_they_are() -> None:
    for key in ("exam-0001_cc", "P_00001_LEFT", "1.2.840.113619", "Müller 3", "é=1,b+c@d"):
        assert file_name(key) == key


@given(some.lists(some.text(max_size=200), unique=True, max_size=30))
def test_two_ids_have_two_names(keys: list[str]) -> None:
    names = [file_name(key) for key in keys]
    assert len(set(names)) == len(keys)
    assert all(
        name and len(name.encode()) <= 200 and "/" not in name and not has_controls(name) for name in names
    )


def test_a_name_that_looks_like_a_made_one_is_not_taken_for_it() -> None:
    made = file_name("a/b")
    assert file_name(made) != made


def test_two_exams_and_views_that_read_alike_have_two_names() -> None:
    assert file_name("a", "cc") == "a_cc" and file_name("a_b", "cc") == "a_b_cc"
    assert file_name("a", "b_c") != file_name("a_b", "c")


@given(
    some.sets(
        some.tuples(some.sampled_from(["a", "b", "_", "a_b", "_a"]), some.text("ab_", max_size=3)),
        max_size=20,
    )
)
def test_two_pairs_of_ids_have_two_names(pairs: set[tuple[str, str]]) -> None:
    assert len({file_name(*pair) for pair in pairs}) == len(pairs)


def test_overlays_of_exams_with_hostile_ids_stay_in_their_folder(
    tiny_run: Path, raw_folder: Path, tmp_path: Path
) -> None:
    """Exam ids of a prepared set come from its table, which nothing keeps from holding ``../``."""
    raw = tmp_path / "raw"
    raw.mkdir()
    for file in raw_folder.iterdir():
        (raw / file.name).write_bytes(file.read_bytes())
    with (raw / "exams.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:6]
    for row, key in zip(rows, ("../../x/a", "a/b", "=1+1", "@a"), strict=False):
        row["exam_id"] = key
        row |= {f"{view}_gaze": "" for view in ("cc", "mlo")}
    with (raw / "exams.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    prepared, overlays = tmp_path / "in" / "prepared", tmp_path / "in" / "overlays"
    gazekit("data", "prepare", "folder", raw, prepared, "--size", "16", "--crop", "none", "--jobs", 1)
    before = {path for path in tmp_path.rglob("*") if overlays not in path.parents}
    said = gazekit("predict", tiny_run, prepared, "--overlays", overlays, "--format", "csv")
    assert {path for path in tmp_path.rglob("*") if overlays not in path.parents} - before == {overlays}
    assert len(list(overlays.iterdir())) == 2 * len(rows)
    table = list(csv.reader(io.StringIO(said.stdout)))
    assert {"../../x/a", "a/b", "'=1+1", "'@a"} <= {row[2] for row in table}


@given(some.text())
def test_a_cell_comes_back_and_none_is_carried_out(text: str) -> None:
    cell = to_cell(text)
    assert from_cell(cell) == text
    assert not cell or cell[0] not in "=+-@\t\r" or cell == text


@pytest.mark.parametrize("number", ["-1", "+2.5", "-1e-9", "-.5", "1", "-inf"])
def test_numbers_stay_numbers(number: str) -> None:
    assert to_cell(number) == number == from_cell(number)


def test_a_table_of_ours_comes_back(tmp_path: Path) -> None:
    ids = ["=cmd|' /C calc'!A0", "'=1", "''@x", "-3", "plain", '"quoted", id', "-x"]
    path = tmp_path / "table.csv"
    path.write_text(as_csv(["exam_id", "x"], ([each, 1.5] for each in ids)))
    assert not [line for line in path.read_text().splitlines() if line.startswith(("=", "@", "-x", '"='))]
    rows = rows_of(path, ("exam_id",), FileKind("a table", 10_000, "write it again"))
    assert [row["exam_id"] for row in rows] == ids


def test_gaze_that_was_imported_for_hostile_ids_is_theirs_again_and_its_drawings_stay_in_their_folder(
    raw_folder: Path, tmp_path: Path
) -> None:
    raw, gaze, drawn = tmp_path / "raw", tmp_path / "recordings", tmp_path / "in" / "drawn"
    raw.mkdir()
    gaze.mkdir()
    ids = ["=1+1", "../../x", "a/b", "a_b"]
    rows = []
    for key, of in zip(ids, ("e000", "e001", "e002", "e003"), strict=True):
        for view in ("cc", "mlo"):
            (raw / f"{of}_{view}.png").write_bytes((raw_folder / f"{of}_{view}.png").read_bytes())
            text = (raw_folder / f"{of}_{view}.csv").read_text()
            (gaze / f"{of}_{view}.csv").write_text(text.replace(f"{of},", f"{key},"))
        label = ("benign", "malignant")[len(rows) % 2]
        views = {view: f"{of}_{view}.png" for view in ("cc", "mlo")}
        rows.append({"exam_id": key, "patient_id": key, "label": label} | views)
    write_exams(raw, rows)
    source, table = ["--dataset", "folder", "--source", raw], tmp_path / "gaze.csv"
    gazekit("gaze", "import", gaze, table, *source)
    assert {row.partition(",")[0] for row in table.read_text().splitlines()[1:]} == {"'=1+1", *ids[1:]}
    said = gazekit("gaze", "validate", table, *source, "--overlays", drawn).stdout
    assert re.search(r"recordings that match an image +8", said)
    names = sorted(path.name for path in drawn.iterdir())
    assert len(names) == 8 and sorted(path.name for path in drawn.parent.iterdir()) == ["drawn"]
    (drawn / names[0]).unlink()
    (drawn / names[0]).symlink_to(raw / "exams.csv")
    before = (raw / "exams.csv").read_bytes()
    gazekit("gaze", "validate", table, *source, "--overlays", drawn)
    assert (raw / "exams.csv").read_bytes() == before


def test_a_table_of_a_study_holds_no_cell_that_is_carried_out() -> None:
    from made_study import made_result

    rows = list(csv.DictReader(io.StringIO(tidy_csv(made_result(dataset="=HYPERLINK(1)")))))
    assert {row["data"] for row in rows} == {"'=HYPERLINK(1)"}
    assert all(float(row["auc_mean"]) for row in rows if row["auc_mean"])


def test_what_steers_a_terminal_is_shown() -> None:
    assert visible("a\x1b[31mb\r\x07\x9b\u202e\udcff") == r"a\x1b[31mb\r\x07\x9b\u202e\udcff"
    assert visible("two\nlines", keep="\n") == "two\nlines" and visible("Müller – 3 µm") == "Müller – 3 µm"


def test_no_escape_of_an_id_or_a_file_name_reaches_the_terminal(tmp_path: Path) -> None:
    hostile = tmp_path / "\x1b[2J\x1b]0;title\x07.toml"
    for command in (["runs", "list", hostile], ["train", "--preset", hostile], ["data", "verify", hostile]):
        code = 2 if command[0] == "train" else 3
        said = gazekit(*command, code=code)
        assert "\x1b" not in said.stdout + said.stderr and r"\x1b[2J" in said.stderr
    (tmp_path / "runs" / "\x1b[31mred").mkdir(parents=True)
    (tmp_path / "runs" / "\x1b[31mred" / "run.json").write_text("{}")
    said = gazekit("runs", "list", tmp_path / "runs")
    assert "\x1b" not in said.stdout + said.stderr and r"\x1b[31mred" in said.stdout


def test_a_message_is_never_longer_than_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table.csv"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"no column exam_id; the file has \[{40}; write it again") as error:
        list(rows_of(path, ("exam_id",), FileKind("a table", 10**6, "write it again")))
    assert len(str(error.value)) < 1000
    console.stderr.cache_clear()
    console.fail("x" * 10**6)
    long = capsys.readouterr().err
    assert len(long) < 600 and long.startswith("error: xxx") and " … xxx" in long
    console.warn(f"no fusion '{'a' * 20_000}'; expected one of: concat")
    said = capsys.readouterr().err
    assert len(said) < 600 and "no fusion 'aaa" in said and said.endswith("aaa'; expected one of: concat\n")
    console.fail(f"{'a b ' * 10_000}: write it again")
    console.stderr.cache_clear()
    said = capsys.readouterr().err
    assert len(said) < 11_000 and said.endswith(": write it again\n")


def test_an_id_that_no_table_gives_back_is_refused_before_anything_is_prepared(
    raw_folder: Path, tmp_path: Path
) -> None:
    from gazekit.preparing.raw.source import list_exams
    from gazekit.records.exam import Exam

    class Source:
        classes = None

        def exams(self, root: Path) -> list[Exam]:
            return [Exam(exam_id="e\r1" + "\1" * 200, patient_id="p", label="a", images={})]

    with pytest.raises(
        DataError, match=r"exam 'e\\r1.*': its exam_id is 'e\\r1.*'; expected printable"
    ) as caught:
        list_exams(Source(), raw_folder)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 300 + len(str(raw_folder))
