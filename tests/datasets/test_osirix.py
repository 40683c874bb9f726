"""Regions of OsiriX: those of INbreast are read; damaged or hostile property lists are refused."""

import plistlib
from time import process_time

import pytest
from gazekit_datasets import osirix
from gazekit_datasets.osirix import read_regions
from made_mammography import SQUARE, write_regions

from gazekit.errors import DataError

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><plist version="1.0"><dict><key>Images</key><string>&c;</string></dict>
</plist>"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "20586960.xml"


def change(path, **entries):
    """Overwrite entries of the only region; None deletes."""
    content = plistlib.loads(write_regions(path, [("Mass", SQUARE)]).read_bytes())
    region = content["Images"][0]["ROIs"][0]
    region.update({key: value for key, value in entries.items() if value is not None})
    for key in [key for key, value in entries.items() if value is None]:
        del region[key]
    path.write_bytes(plistlib.dumps(content))


def test_polygons_points_and_points_outside(path):
    write_regions(path, [("Mass ", SQUARE), ("Calcification", ((3.25, 7.5),)), ("", ((-6, 1e4), (1, 2)))])
    mass, calcification, nameless = read_regions(path)
    assert (mass.name, mass.outline.points) == ("Mass", SQUARE)
    assert calcification.outline.points == ((3.25, 7.5),)
    assert (nameless.name, nameless.outline.points) == ("", ((-6, 10_000), (1, 2)))
    assert read_regions(write_regions(path, [])) == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an XML property list, or damaged"),
        (b"\0" * 100, "not an XML property list, or damaged"),
        (LAUGHS, "not an XML property list, or damaged"),
        (b"<html><body/></html>", "not an XML property list, or damaged|not the regions"),
        (plistlib.dumps({"Images": []}, fmt=plistlib.FMT_BINARY), "not an XML property list"),
        (plistlib.dumps(["Images"]), "not the regions of an image; expected a dictionary with Images"),
        (plistlib.dumps({}), "expected the regions of one image"),
        (plistlib.dumps({"Images": []}), "expected the regions of one image"),
        (plistlib.dumps({"Images": [{}, {}]}), "expected the regions of one image"),
        (plistlib.dumps({"Images": ["ROIs"]}), "expected the regions of one image"),
        (plistlib.dumps({"Images": [{}]}), "no list of regions; expected ROIs"),
        (plistlib.dumps({"Images": [{"ROIs": ["Mass"]}]}), "region 1 has no points; expected Point_px"),
        (b"<plist>" + b"<array>" * 50_000, "not an XML property list, or damaged"),
        (b"<plist>" + b"<array>" * 50_000 + b"</array>" * 50_000 + b"</plist>", "not the regions"),
    ],
)
def test_files_that_hold_no_regions(path, content, message):
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_regions(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("start", [b"", b"<plist><", b"<plist><!--", b"<plist><string>"])
def test_a_piece_without_end_is_refused_at_once(path, start):
    path.write_bytes(start + b"a" * 2**22)
    begin = process_time()
    with pytest.raises(DataError, match="not an XML property list, or damaged"):
        read_regions(path)
    assert process_time() - begin < 3, "looked through again with each part, it takes minutes"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"Point_px": None}, "region 1 has no points; expected Point_px"),
        ({"Point_px": "(1, 2)"}, "region 1 has no points; expected Point_px"),
        ({"Point_px": [], "NumberOfPoints": 0}, "region 1 has no points; expected one or more"),
        ({"NumberOfPoints": 5}, r"region 1 has 4 points; expected 5 \(NumberOfPoints\)"),
        (
            {"Point_px": ["(1, 2)", "(3, 4)", "(5, 6)", 7]},
            r"has the point '7'; expected '\(x, y\)' in pixels",
        ),
        *(
            ({"Point_px": [text], "NumberOfPoints": 1}, "has the point")
            for text in (
                "(1)",
                "1, 2",
                "(nan, 2)",
                "(1, inf)",
                "(1e99, 2)",
                "(1, 2, 3)",
                "(1,, 2)",
                "(1e5, 2)",
                "",
            )
        ),
    ],
)
def test_regions_that_are_not_as_they_should_be(path, entries, message):
    change(path, **entries)
    with pytest.raises(DataError, match=message):
        read_regions(path)


def test_a_cut_off_file_is_never_a_shorter_list_of_regions(path):
    whole = write_regions(path, [("Mass", SQUARE), ("Mass", SQUARE)]).read_bytes()
    end = whole.rindex(b"</plist>")
    for length in range(0, end, 37):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_regions(path)


def test_larger_files_than_any_of_the_set_are_not_parsed(path, monkeypatch):
    monkeypatch.setattr(osirix, "MAXIMUM_BYTES", 500)
    with pytest.raises(DataError, match="larger than 0 MiB; expected the regions of one image"):
        read_regions(write_regions(path, [("Mass", SQUARE)]))
    with pytest.raises(DataError, match="cannot be opened"):
        read_regions(path.parent)
