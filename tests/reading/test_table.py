"""Text tables as they come: encodings, separators, decimal commas, and faults with file and row."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazekit.errors import DataError
from gazekit.reading.tables.table import Table, beginning_with, first_columns, open_table


def write(folder, text, encoding="utf-8"):
    path = folder / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_way_to_write_a_table_reads_alike(tmp_path, encoding, separator, end):
    number = "1.5" if separator == "," else "1,5"
    lines = [["name ", "x"], [" Jörg", number], [], ["Å", ""]]
    path = write(tmp_path, "".join(separator.join(cells) + end for cells in lines), encoding)
    table = open_table(path, ["x"])
    assert table.columns == ("name", "x") == first_columns(path)
    first, second = table.rows()
    assert (first["name"], first.number("x")) == ("Jörg", 1.5)
    assert second["name"] == "Å" and math.isnan(second.number("x", may_be_lost=True))
    assert first.where == f"{path} row 2" and second.where == f"{path} row 4"


def test_a_quoted_line_break_and_a_quote_in_a_tab_separated_cell(tmp_path):
    (row,) = open_table(write(tmp_path, 'a,b\r\n"x/1.dcm\n",2\r\n')).rows()
    assert row["a"] == "x/1.dcm" and row["b"] == "2"
    (row,) = open_table(write(tmp_path, 'a\tb\n5" screen\t2\n')).rows()
    assert row["a"] == '5" screen'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first row is empty"),
        ("\n\n", "the first row is empty"),
        ("a,b,a\n1,2,3\n", "column 'a' comes twice"),
        ("a,c\n1,2\n", "no column b; the file has a, c"),
        ("a,b\n1,2\n1\n", "row 3: 1 cell; expected 2"),
        ("a,b\n1,2,3\n", "row 2: 3 cells; expected 2"),
        (
            'a,b\n1,2\n"1,2\n3,4\n5,6\n',
            r"row 3: not a row of a text table: a quote opens a cell that ends only with the table \(up to row 5\); "
            r'check its quotes: each opens or closes a cell, and within one it is written twice \(""\)$',
        ),
        (
            'a,b\n1,2\n"1,2\n3,"4"\n5,6\n',
            "row 3: .*: a cell goes on after its closing quote in row 4; check its",
        ),
        (
            'a,b\n1,2\n1,"2' + "\n3,4" * 100_000,
            r"row 3: .* longer than 131072 .* \(up to row \d{5}\), as where a",
        ),
        (
            "a,b\n1," + "9" * 200_000 + "\n",
            "row 2: not a row of a text table: a cell is longer than 131072 char",
        ),
        ('"a","b"\n"1\n1",2\n3,"4"5\n6,7\n', "row 4: not a row of a text table: a cell goes on after its"),
        ("a" * 70_000, "the first line is longer"),
        (b"\x89PNG\r\n\0\0", "not a text table but an image; give the table"),
        (
            b"PK\x03\x04\x14\0",
            "not a text table but a workbook or an archive; save its sheet as CSV, or unpack it",
        ),
        (b"\x1f\x8b\x08\xe9,\x08", "not a text table but compressed by gzip; unpack it first"),
        (b"\xe9\x08\x7f,b\n1,2\n", "row 1: contains bytes that are not text; expected a text table$"),
        (b"a,b\n1,2\n\0,2\n", "row 3: contains bytes that are not text"),
        ("a,b\n1,2\n" + "1,3\n" * 300_000 + "\0" * 9, "row 300003: contains bytes that are not text"),
        ("a,b\n1,2\na,b\n1,2\n", "row 3: repeats the names of the columns"),
        ("a,b\n1,2\n A ,B\n1,2\n", "row 3: repeats the names of the columns"),
        ('\ufeff"a","b"\n1,2\n\ufeff"a","b"\n1,2\n', "row 3: repeats the names of the columns"),
        (b"\xff\xfea\0,\0b\0\n\0\0\xd8", "not valid utf-16"),
        (b"\xef\xbb\xbfa,b\n\xff,1\n", "not valid utf-8-sig"),
        ("a,b\n1,two\n", "row 2: b is 'two'; expected a number"),
        ("a,b\n1,inf\n", "row 2: b is 'inf'; expected a number"),
        ("a,b\n1,-1.797e308\n", "row 2: b is '-1.797e308'; expected a number of at most 3.4e"),
        ("a,b\n1,1_0\n", "row 2: b is '1_0'; expected a number"),
        ("a,b\n1,\n", "row 2: b is ''; expected a number"),
        ("a,b\n,1\n", "row 2: a is empty"),
        ("a;b\nx;1.000,5\n", "row 2: b is '1.000,5'; expected a number"),
    ],
)
def test_faults_name_file_and_row(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        [(row.word("a"), row.number("b")) for row in open_table(path, ["a", "b"]).rows()]
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_zeros_after_the_first_line_do_not_hide_which_columns_a_file_has(tmp_path):
    assert first_columns(write(tmp_path, "a,b\n1,2\n\0\0\0")) == ("a", "b")
    assert first_columns(write(tmp_path, "a,b\0\n1,2\n")) == ()


def test_what_is_no_file_is_an_error_or_fits_nothing(tmp_path):
    for path, fault in ((tmp_path / "absent", "there is no such file"), (tmp_path, "cannot be read")):
        with pytest.raises(DataError, match=fault):
            open_table(path)
        assert first_columns(path) == ()


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.csv"
    path.write_bytes(content)
    first_columns(path)
    with suppress(DataError):
        table = open_table(path)
        for row in table.rows():
            assert len(row.cells) == len(table.columns)
            assert not math.isinf(row.number(table.columns[0], may_be_lost=True))


def test_a_header_whose_quotes_make_no_cells_is_shown_as_it_is(tmp_path):
    """R's write.table separates cells by blanks, unless told otherwise."""
    path = write(tmp_path, '"a" "b"\n"1" 2 3\n')
    assert first_columns(path) == ('"a" "b"',)
    with pytest.raises(DataError, match='no column a, b; the file has "a" "b"; expected a first row'):
        open_table(path, ["a", "b"])


def test_what_is_not_asked_for_may_come_twice_and_row_names_have_no_column(tmp_path):
    (row,) = open_table(write(tmp_path, "a,b,c,c\n1,2,3,4\n"), ["a"]).rows()
    assert (row.number("a"), row.number("b")) == (1, 2)
    with pytest.raises(DataError, match="row 2: column 'c' comes twice; expected it once"):
        row.word("c")
    for text in ('"a"\t"b"\n"x"\t1\t2\n"y"\t3\t4\n', "a\tb\n1\t1\t2\n2\t3\t4\n", "a,b\n1,2,\n3,4,\n"):
        rows = list(open_table(write(tmp_path, text), ["a", "b"]).rows())
        assert [(row.number("a"), row.number("b")) for row in rows] == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("a\tb\n1,234\t0,5\n", 1.234),
        ("a\tb\n1,234\t1234,125\n", 1.234),
        ('"a"\t"b"\n"1,234"\t"12,5"\n', 1.234),
        ("a;b\n1,234;2\n", 1.234),
        ("a\tb\n0,234\t7\n", 0.234),
        ("a\tb\n1.234\t7.5\n", 1.234),
        ("a;b\n1.234;2\n", 1.234),
        ("a\tb\n1.234\t7,5\n0.5\t8,5\n", 1.234),  # this column has points, the other commas
        ("a\tb\n1,250\t0.5\n12,5\t3.25\n", 1.25),  # and the other way round
        ("a\tb\n1,250\t2.500\n12,5\t3.500\n", 1.25),
        ("a\tb\tc\n1.234\t1024.125\t3,4\n", 1.234),  # commas of a list; other fractions have points
        ("a\tb\n1.234\t7,5\n", None),
        ("a\tb\n1.234\t7\n12,5\t8\n", None),
        ("a\tb\n1.234\t7\n12,5\t8\n0.5\t8\n", None),
        ("a\tb\n1,234\t7\n12,5\t8\n0.5\t8\n", None),
        ("a\tb\n1,234\t7,5\n0.5\t8,5\n", None),
        ("a\tb\n1,234\t1,2345\n", 1.234),
        ("a\tb\tday\n1,234\t0,5\t1.5.2020\n", 1.234),
        ("a\tb\n1,234\t3,5 mm\n", None),
        ("a\tb\n-12,500\t7\n", None),
        ("a\tb\n1,234\t2\n", None),
        ("a\tb\n1,234\t567,890\n", None),
        ("a\tb\n1,234\t0.5\n", None),
        ("a\tb\n1,234\t1,5\n3\t2.5\n", None),
        ("a;b\n1,234;2.5\n", None),
        ('a,b\n"1,234",2\n', None),
    ],
)
def test_a_comma_before_three_digits_is_decimal_where_the_table_says_so(tmp_path, text, number):
    path = tmp_path / "t.tsv"
    path.write_text(text)
    row = next(open_table(path).rows())
    if number is not None:
        assert row.number("a") == number
        return
    with pytest.raises(DataError, match=r"t\.tsv row 2: a is '-?1"):
        row.number("a")


@pytest.mark.parametrize(("separator", "more"), [(";", 0), ("\t", 1)])
def test_a_table_without_points_is_not_read_twice_to_understand_its_commas(
    tmp_path, monkeypatch, separator, more
):
    rows = [separator.join((f"{number},125", f"{number},5")) for number in range(1, 500)]
    table = open_table(write(tmp_path, "\n".join([separator.join("ab"), *rows])))
    read, all_rows = [], Table.rows

    def counted(table, **options):
        for row in all_rows(table, **options):
            read.append(row)
            yield row

    monkeypatch.setattr(Table, "rows", counted)
    assert [row.number("a") for row in table.rows()] == [number + 0.125 for number in range(1, 500)]
    assert len(read) == 499 + more


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_a_table_in_another_encoding_says_so_too(tmp_path, encoding):
    path = write(tmp_path, "a\tb\tÅ\n1,234\t0,5\tö\n", encoding)
    assert next(open_table(path).rows()).number("a") == 1.234


def test_columns_that_begin_with_a_word_and_their_numbers(tmp_path):
    path = write(tmp_path, "id,covariate_age,Covariate_BMI,covariate_ dose_2\n1,50,NA,\n")
    table = open_table(path)
    columns = beginning_with("covariate_", table.columns, path)
    assert columns == {"age": "covariate_age", "BMI": "Covariate_BMI", "dose_2": "covariate_ dose_2"}
    assert next(table.rows()).numbers(columns) == {"age": 50.0}
    for bad in ("covariate_", "covariate_2nd", "covariate_a b", "covariate_größe"):
        with pytest.raises(DataError, match="expected covariate_NAME with letters, digits and _"):
            beginning_with("covariate_", [bad], path)
    for one, other in (("covariate_age", "covariate_Age"), ("covariate_age", "covariate_age")):
        with pytest.raises(DataError, match=f"columns {one} and {other} both stand for covariate_[aA]ge"):
            beginning_with("covariate_", [one, other], path)


def test_a_number_that_may_be_two_is_refused_with_both(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("a\tb\n1,234\t2\n")
    with pytest.raises(
        DataError, match=r"a is .1,234., which may be 1234 or 1\.234; expected numbers without a sep"
    ):
        next(open_table(path).rows()).number("a")
