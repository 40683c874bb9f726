"""Preparation: geometry end to end, resuming, refused exams, privacy, full disks."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_preparation import Reader, X, Y, breast, run, write_exams
from PIL import Image

from gazekit.errors import DataError, StorageError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.verification import faults_of
from gazekit.preparing.growing_array import GrowingArray
from gazekit.records.exam import Exam
from gazekit.records.recording import Recording
from gazekit.records.refused import Refused


@pytest.fixture
def root(tmp_path):
    return tmp_path / "raw"


@pytest.fixture
def exams(root):
    return write_exams(root)


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.parametrize("crop", ["breast", "none"])
@pytest.mark.parametrize("laterality", ["auto", "off"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_known_pixel_is_found_again_in_image_mask_gaze_and_fixation(
    root, tmp_path, crop, laterality, dtype
):
    """Click a raw pixel: crop, flip and resize keep it within one prepared pixel, and back within one raw."""
    exams = write_exams(root, 2, laterality="R")
    run(exams, root, tmp_path / "out", crop=crop, laterality=laterality, dtype=dtype)
    dataset = PreparedDataset.open(tmp_path / "out")
    geometry = dataset.geometry[0]["cc"]
    assert geometry.flip == (laterality == "auto")
    clicked = geometry.apply(X, Y)
    rows, columns = np.indices(dataset.size) + 0.5

    def centre(image):
        return (image * columns).sum() / image.sum(), (image * rows).sum() / image.sum()

    full = np.iinfo(dtype).max
    bright = dataset.images[0, 0] > 0.8 * full
    mask, gaze = dataset.masks[0, 0], dataset.heat_map(0, "cc")
    peak = np.unravel_index(gaze.argmax(), gaze.shape)
    found = dataset.fixations(0, "cc")[0]
    np.testing.assert_allclose(centre(bright), clicked, atol=1)
    np.testing.assert_allclose(centre(mask), clicked, atol=0.5)
    np.testing.assert_allclose((peak[1] + 0.5, peak[0] + 0.5), clicked, atol=0.71)
    np.testing.assert_allclose((found.x[0], found.y[0]), clicked, atol=1e-9)
    np.testing.assert_allclose(geometry.inverse(found.x[0], found.y[0]), (X, Y), atol=1e-6)
    assert (gaze.max(), set(np.unique(mask))) == (1, {0, 255})


@pytest.mark.parametrize("laterality", ["L", "R"])
def test_views_at_one_scale_keep_gaze_fixations_and_masks_on_the_pixels_they_marked(
    root, tmp_path, laterality
):
    """The second view is the first with every pixel as three by three: it fills the image, the first a third of it."""
    exams = write_exams(root, 2, laterality=laterality)
    for exam in exams:
        for path in (exam.images["mlo"], exam.masks["mlo"][0].path):
            pixels = np.asarray(Image.open(exam.images["cc"] if path == exam.images["mlo"] else path))
            Image.fromarray(np.kron(pixels, np.ones((3, 3), dtype=pixels.dtype))).save(path)
    summary = run(exams, root, tmp_path / "same", size=(96, 80), scale="same")
    run(exams, root, tmp_path / "fill", size=(96, 80))
    dataset, filled = PreparedDataset.open(tmp_path / "same"), PreparedDataset.open(tmp_path / "fill")
    small, large = (dataset.geometry[0][view] for view in ("cc", "mlo"))
    assert small.scale == large.scale and large == filled.geometry[0]["mlo"]
    assert 2.8 < filled.geometry[0]["cc"].scale / small.scale < 3.2
    np.testing.assert_array_equal(dataset.images[:, 1], filled.images[:, 1])
    assert (small.offset_x, small.flip) == (0, laterality == "R")
    lit = dataset.images[0, 0] > 0.1 * 255
    assert lit[:, :30].any() and not lit[:, 30:].any() and not lit[:24].any() and not lit[-24:].any()
    rows, columns = np.indices(dataset.size) + 0.5
    x, y = small.apply(X, Y)
    mask = dataset.masks[0, 0] > 0
    np.testing.assert_allclose((columns[mask].mean(), rows[mask].mean()), (x, y), atol=0.5)
    found = dataset.fixations(0, "cc")[0]
    np.testing.assert_allclose((found.x[0], found.y[0]), (x, y), atol=1e-9)
    expected = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (30 / 800 * 160 * small.scale) ** 2))
    np.testing.assert_allclose(dataset.heat_map(0, "cc"), expected / expected.max(), atol=1e-6)
    assert dataset.settings.scale == "same" and dataset.fingerprint != filled.fingerprint
    mirrored = "lies in its image as one of side L does, but is of side R: check the side, or mirror the stored image"
    assert {each.what for each in summary.findings} == {
        "scaled with the other views by pixels: one of them has no pixel spacing",
        "fills less than half of its image at the scale of the other views: check its pixel spacing",
        *([mirrored] if laterality == "R" else []),
    }


def test_a_view_without_the_others_fills_its_image_also_at_one_scale(root, tmp_path):
    exams = write_exams(root, 2)
    exams[0] = replace(exams[0], images={"cc": exams[0].images["cc"]})
    for scale in ("fill", "same"):
        run(exams, root, tmp_path / scale, missing_views="keep", scale=scale)
    one, other = (PreparedDataset.open(tmp_path / scale) for scale in ("fill", "same"))
    np.testing.assert_array_equal(one.images[0], other.images[0])


def test_a_right_breast_becomes_its_mirror_image(root, tmp_path):
    """The mirrored image marked R prepares to the same arrays as the image marked L."""
    exams = write_exams(root, 2)
    pixels, _ = breast(0)
    Image.fromarray(np.ascontiguousarray(pixels[:, ::-1])).save(exams[1].images["cc"])
    Image.fromarray(pixels).save(exams[0].images["cc"])
    exams = [replace(exam, gaze={}, masks={}) for exam in exams]
    run([exams[0], replace(exams[1], laterality={"cc": "R"})], root, tmp_path / "out", views=["cc"])
    images = PreparedDataset.open(tmp_path / "out").images
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0, 0, :, 0] > 0).sum() > 20  # the chest wall is at the left edge, without padding


def test_the_heat_map_is_the_mean_of_the_readers_maps(root, exams, tmp_path):
    places = zip("ABC", [(X, Y), (X - 30, Y + 10), (X - 30, Y + 10)], strict=True)
    exams[0].gaze["cc"].write_text("".join(f"{x},{y},e0,{reader}\n" for reader, (x, y) in places))
    run(exams, root, tmp_path / "out")
    dataset = PreparedDataset.open(tmp_path / "out")
    geometry = dataset.geometry[0]["cc"]
    sigma = 30 / 800 * 160 * geometry.scale
    expected = np.zeros(dataset.size)
    rows, columns = np.indices(dataset.size) + 0.5
    for x, y in [(X, Y), (X - 30, Y + 10), (X - 30, Y + 10)]:
        at = geometry.apply(x, y)
        one = np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / (2 * sigma**2))
        expected += one / one.max()
    np.testing.assert_allclose(dataset.heat_map(0, "cc"), expected / expected.max(), atol=1e-6)
    assert len(dataset.fixations(0, "cc")) == 3


def test_several_looks_of_an_unnamed_reader_are_one_readers(root, exams, tmp_path):
    exams[0].gaze["cc"].write_text(f"{X},{Y}\n{X - 30},{Y + 10}\n")
    run(exams, root, tmp_path / "out")
    assert PreparedDataset.open(tmp_path / "out").readers(0, "cc") == ("1",)


def test_onsets_count_from_the_start_of_each_recording_on_whatever_clock(root, exams, tmp_path):
    clock = 7_283_910.5 + 4.0 * np.arange(250)  # the tracker's, which runs on from image to image
    at = np.repeat([[X, Y], [X - 40, Y]], 125, axis=0).T
    samples = Recording(tmp_path / "a.asc", *at, clock, exam_id="e0", view="cc", reader="A")
    again = replace(samples, t_ms=clock + 60_000)
    found = replace(samples, x=at[0, ::125], y=at[1, ::125], t_ms=clock[::125], duration_ms=np.full(2, 400.0))
    run(
        [replace(exam, gaze={}, gaze_reader=None) for exam in exams],
        root,
        tmp_path / "out",
        recordings=[samples, again, replace(found, view="mlo")],
    )
    dataset = PreparedDataset.open(tmp_path / "out")
    (looks,), (fixations,) = (dataset.fixations(0, view) for view in ("cc", "mlo"))
    assert fixations.onset_ms.tolist() == [0, 500]
    assert looks.onset_ms[0] == looks.onset_ms[2] == 0 < looks.onset_ms[1] == looks.onset_ms[3]


def test_no_gaze_is_a_state_and_an_empty_mask_is_none(root, exams, tmp_path):
    Image.fromarray(np.zeros((160, 120), dtype=np.uint8)).save(exams[1].masks["mlo"][0].path)
    summary = run([replace(exams[0], gaze={}, gaze_reader=None), *exams[1:]], root, tmp_path / "out")
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.has_gaze.tolist() == [[False, False], *[[True, False]] * 5]
    assert dataset.has_mask[1].tolist() == [True, False]
    assert not dataset.heat_map(0, "cc").any() and dataset.heat_map(1, "cc").max() == 1
    assert dataset.fixations(0, "cc") == ()
    assert (summary.with_gaze, summary.with_mask) == ({"cc": 5, "mlo": 0}, {"cc": 6, "mlo": 5})
    assert (summary.exams, summary.classes) == (6, {"0": 3, "1": 3})


def test_workers_change_nothing(root, exams, tmp_path):
    """Every byte is the same with no worker, with one and with two."""
    done = []
    run(exams, root, tmp_path / "none", jobs=0)
    run(exams, root, tmp_path / "one", jobs=1)
    run(exams, root, tmp_path / "two", jobs=2, progress=lambda *at: done.append(at))
    assert contents(tmp_path / "none") == contents(tmp_path / "one") == contents(tmp_path / "two")
    assert done == [(i + 1, 6) for i in range(6)]


@pytest.mark.parametrize("torn", ["nothing", "journal line", "array row", "lost row"])
def test_an_interrupted_preparation_goes_on_and_ends_the_same(root, exams, tmp_path, torn):
    run(exams, root, tmp_path / "whole")
    out = tmp_path / "out"

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(exams, root, out, jobs=1, progress=interrupt)
    with pytest.raises(DataError, match="incomplete"):
        PreparedDataset.open(out)
    if torn == "journal line":
        with (out / "journal.jsonl").open("a") as file:
            file.write('{"exam_id": "e3", "pat')
    if torn == "array row":
        with (out / "images.npy").open("ab") as file:
            file.write(b"torn")
    if torn == "lost row":
        os.truncate(out / "masks.npy", (out / "masks.npy").stat().st_size - 1)
    done = []
    run(exams, root, out, jobs=1, progress=lambda *at: done.append(at[0]))
    assert done == ([3, 4, 5, 6] if torn == "lost row" else [4, 5, 6])
    assert contents(out) == contents(tmp_path / "whole")


def test_a_killed_process_can_be_resumed(root, exams, tmp_path):
    script = f"""
import os, signal, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1] / "helpers")!r}]
from pathlib import Path
from made_preparation import run
root = Path({str(root)!r})
def kill(done, total):
    if done == 2:
        os.kill(os.getpid(), signal.SIGKILL)
import pickle
exams = pickle.loads(Path({str(tmp_path / "exams.pickle")!r}).read_bytes())
run(exams, root, Path({str(tmp_path / "out")!r}), jobs=1, progress=kill)
"""
    (tmp_path / "exams.pickle").write_bytes(pickle.dumps(exams))
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run(exams, root, tmp_path / "out")
    run(exams, root, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_finished_preparation_is_left_alone_and_another_refused(root, exams, tmp_path):
    out = tmp_path / "out"
    first = run(exams, root, out)
    before = contents(out)
    again = run(exams, root, out, jobs=2, progress=lambda *at: pytest.fail("prepared again"))
    assert again == replace(first, work=None)
    (out / "journal.jsonl").write_text(
        "{}\n"
    )  # as where it could not be removed, the last step of a preparation
    assert run(exams, root, out) == again and contents(out) == before
    assert (first.work.exams, first.work.files) == (6, 30)
    files = {path for e in exams for path in (*e.images.values(), *e.gaze.values())}
    masks = {mask.path for e in exams for (mask,) in e.masks.values()}
    assert first.work.read_bytes == sum(path.stat().st_size for path in files | masks)
    with pytest.raises(DataError, match=r'size is \[48, 40\] there, \[32, 32\] now; crop is "breast"'):
        run(exams, root, out, size=(32, 32), crop="none")
    Image.fromarray(breast(99)[0]).save(exams[2].images["cc"])
    with pytest.raises(
        DataError, match=r"files of the source, or those of its gaze, have changed.*--overwrite"
    ):
        run(exams, root, out)
    assert contents(out) == before
    run(exams, root, out, size=(32, 32), overwrite=True)
    assert PreparedDataset.open(out).images.shape == (6, 2, 32, 32)


def test_the_fingerprint_follows_the_content_and_not_the_place(root, exams, tmp_path):
    run(exams, root, tmp_path / "a")
    other = write_exams(tmp_path / "elsewhere")
    run(other, tmp_path / "elsewhere", tmp_path / "b")
    fingerprint = PreparedDataset.open(tmp_path / "a").fingerprint
    assert PreparedDataset.open(tmp_path / "b").fingerprint == fingerprint
    other[3].gaze["cc"].write_text(f"{X + 5},{Y}\n")
    run(other, tmp_path / "elsewhere", tmp_path / "b", overwrite=True)
    assert PreparedDataset.open(tmp_path / "b").fingerprint != fingerprint


def test_files_that_reading_takes_besides_are_files_of_the_source(root, exams, tmp_path):
    class Beside(Reader):
        def beside(self, path):
            return [path.with_suffix(".list")]

    def prepared(**options):
        return run(exams, root, tmp_path / "out", gaze_reader=lambda _: Beside(), **options)

    exams[2].gaze["cc"].with_suffix(".list").write_text("one")
    prepared(), prepared()
    exams[2].gaze["cc"].with_suffix(".list").write_text("another")
    with pytest.raises(DataError, match="the files of the source, or those of its gaze, have changed"):
        prepared()


def test_a_finished_heat_map_is_a_file_of_the_source_of_its_own_depth(root, exams, tmp_path):
    """The images have 12 bits; the map has 16, and its values are shares of its maximum, whatever the window."""
    path = root / "0_map.png"

    def drawn(column):
        pixels = np.zeros((160, 120), dtype=np.uint16)
        pixels[60:100, column : column + 20], pixels[:60] = 65535, 6000
        Image.fromarray(pixels).save(path)

    exams = [replace(exam, gaze={}, gaze_reader=None) for exam in exams]
    exams[0] = replace(exams[0], heat_maps={"cc": path})
    for window in ("first", "1000,1800"):
        drawn(20)
        summary = run(exams, root, tmp_path / "out", window=window, bit_depth=12, crop="none", overwrite=True)
        assert not summary.refused
        found = PreparedDataset.open(tmp_path / "out").heat_map(0, "cc")
        assert found.max() == 1 and found[5, 20] == pytest.approx(6000 / 65535, abs=0.01)
    drawn(80)
    with pytest.raises(DataError, match="the files of the source, or those of its gaze, have changed"):
        run(exams, root, tmp_path / "out", window=window, bit_depth=12, crop="none")


def test_an_overwriting_that_was_stopped_leaves_a_folder_that_can_be_prepared_again(
    root, exams, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    run(exams, root, out)
    with monkeypatch.context() as patch:
        patch.setattr("gazekit.preparing.prepare._OURS", ("dataset.json", "images.npy", 3))
        with pytest.raises(TypeError):
            run(exams, root, out, size=(24, 20), overwrite=True)
    run(exams, root, out, size=(24, 20))  # what was there is gone: nothing more to ask for
    assert PreparedDataset.open(out).images.shape == (6, 2, 24, 20)


def test_names_that_a_table_cannot_hold_are_refused_or_written_in_printable_characters(root, exams, tmp_path):
    broken = [replace(exam, targets={"density": "scat\rtered"}) for exam in exams]
    with pytest.raises(DataError, match=r"its target density is 'scat\\rtered'; expected printable"):
        run(broken, root, tmp_path / "broken")

    class Signed(Reader):
        def read(self, path):
            for each in super().read(path):
                yield replace(each, reader="J\udcfcrg\ren")

    run(exams, root, tmp_path / "out", gaze_reader=lambda _: Signed(), jobs=0)
    dataset = PreparedDataset.open(tmp_path / "out")
    assert set(dataset.fixation_table.readers) == {r"J\udcfcrg\ren"}
    assert not faults_of(tmp_path / "out").faults


def test_labels_found_are_sorted_as_numbers(root, exams, tmp_path):
    exams = [replace(exam, label=label) for exam, label in zip(exams, ["10", "9", "2"] * 2, strict=True)]
    run(exams, root, tmp_path / "out", classes=None)
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.classes == ("2", "9", "10")
    assert dataset.labels.tolist() == [2, 1, 0] * 2


def test_identical_images_under_two_ids_are_reported(root, exams, tmp_path):
    for view, source in (("cc", exams[1].images["cc"]), ("mlo", exams[4].images["cc"])):
        exams[3].images[view].write_bytes(source.read_bytes())
    summary = run(
        [*exams[:3], replace(exams[3], laterality={"cc": "R", "mlo": "R"}), *exams[4:]],
        root,
        tmp_path / "out",
    )
    assert set(summary.duplicates) == {("e1", "e3"), ("e3", "e4")}
    assert PreparedDataset.open(tmp_path / "out").duplicates == summary.duplicates


def test_external_recordings_join_by_image_name(root, exams, tmp_path):
    at = np.array([0.0])
    found = [
        Recording(tmp_path / "g.csv", at + X, at + Y, at, at + 300, image=f"C:\\screens\\{name}.jpg")
        for name in ("2_mlo", "unknown")
    ]
    summary = run(exams, root, tmp_path / "out", recordings=found)
    assert (summary.with_gaze, summary.unmatched_recordings) == ({"cc": 0, "mlo": 1}, 1)
    dataset = PreparedDataset.open(tmp_path / "out")
    assert np.argwhere(dataset.has_gaze).tolist() == [[2, 1]]
    with pytest.raises(DataError, match="none of the 1 gaze recordings matches"):
        run(exams, root, tmp_path / "none", recordings=found[1:])


@pytest.mark.parametrize(
    "other",
    [
        {"duration_ms": np.array([900.0])},
        {"t_ms": np.array([5.0])},
        {"pixels_per_degree": 3.0},
        {"display_height": 150.0},
        {"display_height": 160.0, "display_width": 110.0},
        {"suspect": np.array([True])},
    ],
)
def test_external_recordings_that_differ_in_more_than_their_places_are_others(root, exams, tmp_path, other):
    at = np.array([0.0])
    found = Recording(tmp_path / "g.csv", at + X, at + Y, at, at + 300, image="2_mlo.png")
    run(exams, root, tmp_path / "out", recordings=[found])
    run(exams, root, tmp_path / "out", recordings=[replace(found)])
    with pytest.raises(
        DataError,
        match="holds another preparation: the files of the source, or those of its gaze, have changed",
    ):
        run(exams, root, tmp_path / "out", recordings=[replace(found, **other)])


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_the_rest_is_kept(root, exams, tmp_path, monkeypatch, code):
    write, rows = GrowingArray._write, []

    def full(self, content):
        rows.append(len(content))
        if len(rows) > 12:
            raise OSError(code, os.strerror(code))
        write(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(GrowingArray, "_write", full)
        with pytest.raises(StorageError, match=r"(images|masks)\.npy: cannot write: .*free some space"):
            run(exams, root, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out" / "dataset.json").exists()
    run(exams, root, tmp_path / "out")
    run(exams, root, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_patients_of_dicom_files_stay_out_of_everything_written(root, tmp_path):
    from made_dicom import write

    exams = []
    for i in range(4):
        path = root / f"{i}.dcm"
        root.mkdir(exist_ok=True)
        write(path, breast(i)[0], ImageLaterality="R", PatientID="SECRET-ID", ImagerPixelSpacing=[0.1, 0.1])
        exams.append(Exam(f"e{i}", f"p{i}", str(i % 2), {"cc": path}))
    bad = root / "3.dcm"
    bad.write_bytes(bad.read_bytes()[:-500])
    summary = run(exams, root, tmp_path / "out")
    truncated = "the pixel data is truncated: 37900 of 38400 bytes; copy the file again"
    assert summary.refused == (Refused("e3", f"the image of view cc: {truncated}"),)
    assert run(exams, root, tmp_path / "named", image_names=True, jobs=0).refused == (
        Refused("e3", f"3.dcm: {truncated}"),
    )
    assert all(geometry["cc"].flip for geometry in PreparedDataset.open(tmp_path / "out").geometry)
    for name, content in contents(tmp_path / "out").items():
        assert b"SECRET" not in content.upper(), name
        assert b"19500101" not in content, name


def test_the_manifest_says_what_was_done(root, exams, tmp_path):
    run(exams, root, tmp_path / "out", laterality="off")
    manifest = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert manifest["preparation"]["views"] == ["cc", "mlo"]
    assert manifest["preparation"]["laterality"] == "off"
    assert manifest["preparation"]["fixations"]["sigma_degrees"] == 1.0
    assert manifest["counts"]["exams"] == 6


def test_preparing_does_not_import_torch():
    """Workers would each pay seconds and hundreds of megabytes for it."""
    code = "import sys, gazekit.preparing.prepare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
