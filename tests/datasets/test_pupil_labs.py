"""Exports of Pupil Labs: surfaces, reference images and scene, wearers, the two tables of an export, and each fault."""

import json

import numpy as np
import pytest
from gaze_formats import READERS
from gazekit_datasets.gaze_readers.pupil_labs import PupilLabs
from PIL import Image

from gazekit.errors import DataError
from gazekit.gaze.formats import gaze_files, nothing_read

CORE = "world_timestamp,world_index,gaze_timestamp,x_norm,y_norm,x_scaled,y_scaled,on_surf,confidence\n"
CORE_FOUND = (
    "world_timestamp,world_index,fixation_id,start_timestamp,duration,dispersion,norm_pos_x,norm_pos_y,x_scaled,"
    "y_scaled,on_surf\n"
)
IDS = "section id,recording id,"
ON_SURFACE = (
    f"{IDS}timestamp [ns],gaze detected on surface,gaze position on surface x [normalized],"
    "gaze position on surface y [normalized],fixation id,blink id\n"
)
FOUND = f"{IDS}fixation id,start timestamp [ns],end timestamp [ns],duration [ms],"
FOUND_ON_SURFACE = f"{FOUND}fixation detected on surface,fixation x [normalized],fixation y [normalized]\n"
IN_IMAGE = (
    f"{IDS}timestamp [ns],gaze detected in reference image,gaze position in reference image x [px],"
    "gaze position in reference image y [px],fixation id\n"
)
FOUND_IN_IMAGE = f"{FOUND}fixation detected in reference image,fixation x [px],fixation y [px]\n"
SCENE = (
    f"{IDS}timestamp [ns],gaze x [px],gaze y [px],worn,fixation id,blink id,azimuth [deg],elevation [deg]\n"
)
SECTIONS = "section id,recording id,recording name,wearer id,wearer name,section start time [ns]\n"
HEADERS = {
    "core": CORE,
    "core fixations": CORE_FOUND,
    "surface": ON_SURFACE,
    "surface fixations": FOUND_ON_SURFACE,
    "picture": IN_IMAGE,
    "picture fixations": FOUND_IN_IMAGE,
    "scene": SCENE,
    "scene fixations": f"{FOUND}fixation x [px],fixation y [px],azimuth [deg],elevation [deg]\n",
}
NS = 1_754_690_230_000_000_000


def write(folder, text, name="a_cc.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def read(path, **options):
    return list(PupilLabs(**options).read(path))


def one(path, **options):
    (found,) = read(path, **options)
    return found


@pytest.mark.parametrize("kind", HEADERS)
def test_each_table_is_of_one_format_by_its_columns(tmp_path, kind):
    path = write(tmp_path, HEADERS[kind])
    assert [name for name, reader in READERS.items() if reader.fits(path)] == ["pupil_labs"]
    with pytest.raises(DataError, match="holds no gaze"):
        read(path)


@pytest.mark.parametrize(
    "columns",
    [
        "gaze_timestamp,world_index,confidence,norm_pos_x,norm_pos_y,base_data",
        "id,start_timestamp,duration,start_frame_index,end_frame_index,norm_pos_x,norm_pos_y,dispersion",
        "section id,recording id,recording name,wearer id,wearer name",
        "aoi id,aoi name,section id,recording id,fixation id,fixation duration [ms]",
        f"{FOUND}fixation status,fixation x [px],fixation y [px]",
    ],
)
def test_what_pupil_labs_exports_besides_is_no_gaze_on_an_image(tmp_path, columns):
    path = write(tmp_path, f"{columns}\n")
    assert not any(reader.fits(path) for reader in READERS.values())
    with pytest.raises(DataError, match="expected those of gaze or fixations on a surface"):
        read(path)


def test_core_counts_fractions_of_its_surface_upwards_and_seconds(tmp_path):
    rows = "9,1,329357.758,0.25,0.75,1,1,True,0.9\n9,1,329357.762,1.5,-0.5,1,1,False,0.6\n"
    rows += "9,1,329357.766,0.5,0.5,1,1,True,0.59\n9,1,329357.77,0.5,0.5,1,1,True,\n"
    rows += "9,1,329357.774,nan,nan,1,1,False,1\n"
    path = write(tmp_path, CORE + rows, "gaze_positions_on_surface_a_cc.csv")
    found = one(path)
    np.testing.assert_allclose(found.t_ms, 329357758 + 4.0 * np.arange(5))
    np.testing.assert_allclose(found.x, [250, 1500, np.nan, np.nan, np.nan])  # thousandths of the surface
    np.testing.assert_allclose(found.y, [250, 1500, np.nan, np.nan, np.nan])
    assert (found.image, found.reader, found.duration_ms) == ("a_cc", None, None)
    on_image = found.in_image_pixels(1000, 800)
    np.testing.assert_allclose(on_image.x[:2], [200, 1200])
    np.testing.assert_allclose(on_image.y[:2], [250, 1500])
    on_part = one(path, shown=(0.125, 0.125, 0.5, 0.25)).in_image_pixels(1000, 800)
    np.testing.assert_allclose((on_part.x[0], on_part.y[0]), (200, 500))
    assert on_part.stretch == on_image.stretch == 1  # a surface may have other proportions than 1 to 1
    assert np.isfinite(one(path, confidence=0).x).tolist() == [True, True, True, False, False]


def test_a_fixation_of_core_lies_at_the_mean_of_its_frames(tmp_path):
    rows = "9,121,18,100.5,80.104,1.4,0.25,0.75,1,1,True\n9,122,18,100.5,80.104,1.4,0.5,0.25,1,1,True\n"
    rows += "9,130,19,101,152.7,1.4,nan,nan,1,1,False\n9,131,19,101,152.7,1.4,0.5,-0.5,1,1,False\n"
    rows += "9,140,20,102,90,1.4,nan,nan,1,1,False\n"
    found = one(write(tmp_path, CORE_FOUND + rows, "fixations_on_surface_Cover page.csv"))
    np.testing.assert_allclose(found.t_ms, [100500, 101000, 102000])
    np.testing.assert_allclose(found.duration_ms, [80.104, 152.7, 90])
    np.testing.assert_allclose(found.x, [375, 500, np.nan])
    np.testing.assert_allclose(found.y, [500, 1500, np.nan])
    assert found.image == "Cover page"


def test_cloud_counts_nanoseconds_and_downwards_and_keeps_what_is_beside(tmp_path):
    rows = (
        f"s,r,{NS},true,0.25,0.75,,\ns,r,{NS + 5_000_000},false,0.6,1.2,1,\ns,r,{NS + 10_000_000},false,,,,\n"
    )
    rows += f"s,r,{NS + 15_000_000},true,0.5,0.5,,3\n"  # a blink
    found = one(write(tmp_path, ON_SURFACE + rows))
    np.testing.assert_allclose(np.diff(found.t_ms), [5, 5, 5], atol=1e-3)
    np.testing.assert_allclose(found.x, [250, 600, np.nan, np.nan])
    np.testing.assert_allclose(found.y, [750, 1200, np.nan, np.nan])
    assert found.image is None  # its own name says it


def test_each_section_is_a_recording_of_its_wearer(tmp_path):
    rows = f"a,r,1,{NS},{NS},125,true,0.25,0.75\na,r,2,{NS + 10**9},{NS},75.5,true,0.5,0.5\n"
    rows += f"b,q,1,{NS},{NS},60,false,,\n"
    path = write(tmp_path, FOUND_ON_SURFACE + rows, "fixations.csv")
    assert [each.reader for each in read(path)] == [None, None]
    sections = write(
        tmp_path, SECTIONS + "a,r,2025,w,TB,1\nb,q,2025,v,Ann,1\nc,q,2025,v,,1\n", "sections.csv"
    )
    first, second = read(path)
    assert [first.reader, second.reader] == ["TB", "Ann"]
    np.testing.assert_allclose(first.duration_ms, [125, 75.5])
    np.testing.assert_allclose(np.diff(first.t_ms), [1000])
    assert np.isnan(second.x).all()
    assert PupilLabs().beside(path) == [sections]


@pytest.mark.parametrize(
    ("folder", "image"),
    [
        ("study_REFERENCE-IMAGE-MAPPER_a_cc_csv", "a_cc"),
        ("my_study_MARKER-MAPPER_a_cc_csv", "a_cc"),
        ("a_cc", "a_cc"),
    ],
)
def test_an_enrichment_names_the_image_and_so_does_a_folder(tmp_path, folder, image):
    for name in ("gaze.csv", "fixations.csv"):
        header = IN_IMAGE if name == "gaze.csv" else FOUND_IN_IMAGE
        row = f"s,r,{NS},true,1,2,\n" if name == "gaze.csv" else f"s,r,1,{NS},{NS},80,true,1,2\n"
        assert one(write(tmp_path / name / folder, header + row, name)).image == image


def test_pixels_of_a_reference_image_are_scaled_to_the_original(tmp_path):
    path = write(tmp_path, IN_IMAGE + f"s,r,{NS},true,40,20,\ns,r,{NS + 10**7},false,-4,100,\n")
    assert "reference_image is not beside it" in one(path).notes[0]
    Image.new("L", (80, 40)).save(tmp_path / "reference_image.jpeg")
    found = one(path)
    assert found.notes == () and tmp_path / "reference_image.jpeg" in PupilLabs().beside(path)
    on_image = found.in_image_pixels(400, 1600)
    np.testing.assert_array_equal(on_image.x, [800, -80])
    np.testing.assert_array_equal(on_image.y, [200, 1000])
    assert on_image.stretch == 1
    on_part = one(path, shown=(30, 10, 20, 20)).in_image_pixels(400, 1600)
    np.testing.assert_array_equal(on_part.x[:1], [800])
    np.testing.assert_array_equal(on_part.y[:1], [200])


def test_the_scene_is_no_image_and_tells_pixels_per_degree(tmp_path):
    rows = [f"s,r,{NS + i * 10**7},{800 + i},{600 + 15.5 * i},1,,,{i},{-i}" for i in range(12)]
    rows += [
        f"s,r,{NS + 12 * 10**7},1,1,0,,,1,1",
        f"s,r,{NS + 13 * 10**7},1,1,-1,,5,1,1",
        f"s,r,{NS + 14 * 10**7},1,2,,,,1,-90",
    ]
    path = write(tmp_path, SCENE + "\n".join(rows[:12]) + "\n", "gaze.csv")
    found = one(path)
    assert found.on_screen and found.image is None
    assert found.pixels_per_degree == pytest.approx(15.5)
    assert "which moves with the head" in found.notes[0]
    path.write_text(SCENE + "\n".join(rows[12:]) + "\n")
    found = one(path)
    np.testing.assert_array_equal(found.x, [np.nan, np.nan, 1])  # not worn; a blink; not said
    assert found.pixels_per_degree is None
    (tmp_path / "info.json").write_text(json.dumps({"wearer_name": "Ann"}))
    assert one(path).reader == "Ann"
    (tmp_path / "info.json").write_text("{")
    assert one(path).reader is None
    placed = one(path, shown=(1, 1, 10, 10))
    assert not placed.on_screen and placed.y[2] == 1


def test_of_the_two_tables_of_an_export_one_is_read(tmp_path):
    gaze = write(tmp_path / "cloud", ON_SURFACE + f"s,r,{NS},true,0.1,0.2,,\n", "gaze.csv")
    found = write(
        tmp_path / "cloud", FOUND_ON_SURFACE + f"s,r,1,{NS},{NS},80,true,0.3,0.4\n", "fixations.csv"
    )
    assert (one(gaze).x.tolist(), read(found)) == ([100], [])
    assert (read(gaze, events="fixations"), one(found, events="fixations").x.tolist()) == ([], [300])
    files, _ = gaze_files(found, READERS)
    assert "its gaze is read from gaze.csv; give that file" in str(nothing_read(found, files))
    gaze.unlink()
    assert one(found).x.tolist() == [300]
    write(tmp_path / "cloud", SCENE, "gaze.csv")  # of another export
    assert one(found).x.tolist() == [300]
    core = write(tmp_path, CORE + "9,1,100,0.1,0.2,1,1,True,1\n", "gaze_positions_on_surface_a.csv")
    core_found = write(
        tmp_path, CORE_FOUND + "9,1,1,100,80,1,0.3,0.4,1,1,True\n", "fixations_on_surface_a.csv"
    )
    other = write(tmp_path, CORE_FOUND + "9,1,1,100,80,1,0.3,0.4,1,1,True\n", "fixations_on_surface_b.csv")
    assert [len(read(path)) for path in (core, core_found, other)] == [1, 0, 1]
    assert [len(read(path, events="fixations")) for path in (core, core_found, other)] == [0, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CORE + "9,1,soon,0.1,0.2,1,1,True,1\n", "row 2: gaze_timestamp is 'soon'; expected a number"),
        (CORE + "9,1,2,0.1,0.2,1,1,True,high\n", "row 2: confidence is 'high'"),
        (CORE + "9,1,2,0.1,0.2,1,1,True,1\n9,1,1,0.1,0.2,1,1,True,1\n", "row 3: time 1000 ms after 2000 ms"),
        (CORE + "9,1,2,left,0.2,1,1,True,1\n", "row 2: x_norm is 'left'"),
        (CORE_FOUND + "9,1,,2,80,1,0.1,0.2,1,1,True\n", "row 2: fixation_id is empty"),
        (CORE_FOUND + "9,1,1,2,-80,1,0.1,0.2,1,1,True\n", "row 2: the fixation lasts -80 ms"),
        (ON_SURFACE + "s,r,1,true,0.1\n", "row 2: 5 cells; expected 8"),
        (ON_SURFACE + "s,r,,true,0.1,0.2,,\n", r"row 2: timestamp \[ns\] is ''"),
        (FOUND_ON_SURFACE + f"s,r,1,{NS},{NS},,true,0.1,0.2\n", r"row 2: duration \[ms\] is ''"),
        (SCENE + f"s,r,{NS},1,2,yes,,,1,1\n", "row 2: worn is 'yes'"),
    ],
)
def test_a_fault_is_named_with_its_row(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damaged", "faulty", "fault"),
    [
        (f"b,q,{NS},true,left,0.5,,\n", ["Ben"], "row 3: gaze position on surface x"),
        ("b,q,17\n", ["Ann", "Ben"], "row 3: 3 cells; expected 8"),
    ],
)
def test_a_damaged_row_costs_the_gaze_of_its_wearer_or_of_those_beside_it(tmp_path, damaged, faulty, fault):
    a, b, c = (f"{section},q,{NS},true,0.5,0.5,,\n" for section in "abc")
    path = write(tmp_path, ON_SURFACE + a + damaged + b + c, "gaze.csv")
    write(tmp_path, SECTIONS + "a,q,1,1,Ann,1\nb,q,1,1,Ben,1\nc,q,1,1,Cid,1\n", "sections.csv")
    found = read(path)
    assert [each.reader for each in found] == ["Ann", "Ben", "Cid"]
    assert [each.reader for each in found if each.fault] == faulty
    assert all(each.fault.startswith(fault) for each in found if each.fault)
    assert [len(each.x) for each in found] == [int(each.fault is None) for each in found]


def test_a_reference_image_that_is_damaged_is_named(tmp_path):
    path = write(tmp_path, IN_IMAGE + f"s,r,{NS},true,40,20,\n")
    (tmp_path / "reference_image.jpeg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=r"reference_image\.jpeg: its size cannot be read"):
        read(path)
