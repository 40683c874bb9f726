"""The depth of images of 16 bits belongs to the data set: found over all, said once, kept for prediction."""

from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit
from made_dicom import write
from made_preparation import Listed, prepare
from PIL import Image
from predicting import pair, predicted

from gazekit.api import load
from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.not_prepared import JOURNAL as NAME
from gazekit.preparing.estimate import estimate
from gazekit.preparing.journal import Journal
from gazekit.preparing.one_exam import Task, prepare_exam
from gazekit.reading import bit_depth
from gazekit.reading.bit_depth import find_depth
from gazekit.records.exam import Exam
from gazekit.records.refused import Refused

SIZE = (16, 24)


def made(root, largest, suffix=".png"):
    """An exam per number: a ramp from 0 to it."""
    root.mkdir(exist_ok=True)
    exams = []
    for number, most in enumerate(largest):
        values = np.linspace(0, most, SIZE[0] * SIZE[1]).round().astype(np.uint16).reshape(SIZE)
        path = root / f"{number}{suffix}"
        np.save(path, values) if suffix == ".npy" else Image.fromarray(values).save(path)
        exams.append(Exam(f"e{number}", f"p{number}", str(number % 2), {"cc": path}))
    return Listed(exams)


def prepared(source, root, out, **options):
    notes = []
    options = {"size": SIZE, "crop": "none", "dtype": "uint16", "jobs": 0, "note": notes.append} | options
    summary = prepare(source, root, out, **options)
    return PreparedDataset.open(out), summary, notes


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize(
    ("largest", "depth"), [([4090, 900], 12), ([4090, 4100], 14), ([200, 255], 8), ([300, 65535], 16)]
)
def test_one_depth_for_all_images_and_said_once(tmp_path, suffix, largest, depth):
    source = made(tmp_path / "raw", largest, suffix)
    dataset, _, notes = prepared(source, tmp_path / "raw", tmp_path / "out")
    assert dataset.settings.bit_depth == depth
    for row, most in enumerate(largest):
        assert dataset.images[row].max() == round(most / (2**depth - 1) * 65535)
    (said,) = [note for note in notes if "bits" in note]
    assert f"are read as {depth} bits in the whole data set; --bit-depth sets another number" in said


def test_an_image_that_leaves_four_bits_unused_or_shows_nothing_is_named(tmp_path):
    """8 bits in a set of 12, 12 in one of 16: the model would see a black image."""
    source = made(tmp_path / "raw", [65535, 4097, 4095, 255, 0])
    _, summary, _ = prepared(source, tmp_path / "raw", tmp_path / "out")
    assert [(each.kind, each.about, each.what.partition(":")[0]) for each in summary.findings] == [
        ("odd", "e2 cc", "is nearly black, its brightest pixel at 6.2% of white"),
        ("odd", "e3 cc", "is nearly black, its brightest pixel at 0.4% of white"),
        ("odd", "e4 cc", "shows nothing"),
    ]


def test_a_depth_that_is_given_is_taken_and_what_it_does_not_hold_refused(tmp_path):
    source = made(tmp_path / "raw", [4090, 900, 5000, 10])
    dataset, summary, notes = prepared(source, tmp_path / "raw", tmp_path / "out", bit_depth=12)
    assert dataset.settings.bit_depth == 12 and len(dataset) == 3
    assert [round(float(image.max()) / 65535 * 4095) for image in dataset.images] == [4090, 900, 10]
    (refused,) = summary.refused
    assert refused.key == "e2"
    assert "the value 5000 does not fit into the 12 bits of the data set" in refused.reason
    assert not [note for note in notes if "--bit-depth" in note]
    dataset, _, _ = prepared(source, tmp_path / "raw", tmp_path / "wide", bit_depth=16)
    assert [int(image.max()) for image in dataset.images] == [4090, 900, 5000, 10]
    for wrong in (7, 17):
        with pytest.raises(ConfigurationError, match=f"bit_depth is {wrong}; expected 8 to 16"):
            prepared(source, tmp_path / "raw", tmp_path / "wrong", bit_depth=wrong)


def test_files_that_state_their_depth_are_not_read_for_it(tmp_path, monkeypatch):
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    eight = tmp_path / "8.png"
    Image.fromarray(ramp.astype(np.uint8)).save(eight)
    np.save(tmp_path / "real.npy", ramp / 4095)
    (tmp_path / "a.pgm").write_bytes(b"P5\n64 64\n4095\n" + ramp.astype(">u2").tobytes())
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    paths = [eight, tmp_path / "real.npy", write(tmp_path / "a.dcm", ramp), tmp_path / "damaged.png"]
    monkeypatch.setattr("gazekit.reading.bit_depth.read_picture", None)
    assert find_depth(paths, 0) is None
    monkeypatch.undo()
    assert find_depth([*paths, tmp_path / "a.pgm", tmp_path / "absent.png"], 0) is None
    Image.fromarray(ramp).save(tmp_path / "16.png")
    assert find_depth([*paths, tmp_path / "16.png"], 1) == 12


def test_colour_images_count_where_they_are_prepared_in_colour(tmp_path):
    np.save(tmp_path / "colour.npy", np.full((*SIZE, 3), [100, 200, 4000], dtype=np.uint16))
    assert find_depth([tmp_path / "colour.npy"], 0, colour=True) == 12
    exams = [
        Exam(f"e{number}", f"p{number}", str(number), {"cc": tmp_path / "colour.npy"}) for number in range(2)
    ]
    dataset, summary, _ = prepared(Listed(exams), tmp_path, tmp_path / "out", colour=True)
    assert not summary.refused and dataset.settings.bit_depth == 12
    assert dataset.images[0, 0, :, 0, 0].tolist() == [round(v / 4095 * 65535) for v in (100, 200, 4000)]
    work, whole = (tmp_path / "out/images.npy").stat().st_size, exams
    needed = estimate(whole, dataset.settings, 1)
    assert needed.disk_bytes == pytest.approx(work, rel=0.05)  # with masks


def test_the_search_ends_where_nothing_larger_can_come(tmp_path, monkeypatch):
    source = made(tmp_path, [100, 65535, 4000])
    read = []
    real = bit_depth.read_picture
    monkeypatch.setattr(
        "gazekit.reading.bit_depth.read_picture",
        lambda path, **more: read.append(path.name) or real(path, **more),
    )
    assert find_depth([exam.images["cc"] for exam in source.listed], 0) == 16
    assert read == ["0.png", "1.png"]


def test_a_call_again_takes_the_depth_that_was_found(tmp_path, monkeypatch):
    source = made(tmp_path / "raw", [4090, 900, 4000])
    append, calls = Journal.append, []

    def killed(journal, result):
        if len(journal.entries) == 1:
            raise KeyboardInterrupt
        append(journal, result)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            prepared(source, tmp_path / "raw", tmp_path / "out")
    assert (tmp_path / "out" / NAME).exists()
    monkeypatch.setattr("gazekit.preparing.prepare.find_depth", lambda *_, **__: calls.append(1))
    for _ in range(2):  # one goes on, one finds it finished
        dataset, summary, _ = prepared(source, tmp_path / "raw", tmp_path / "out")
        assert (dataset.settings.bit_depth, summary.exams, calls) == (12, 3, [])
    with pytest.raises(DataError, match="bit_depth is 12 there, 14 now"):
        prepared(source, tmp_path / "raw", tmp_path / "out", bit_depth=14)


@pytest.mark.parametrize("window", ["range", "1000,500"])
def test_a_window_needs_no_depth(tmp_path, window, monkeypatch):
    monkeypatch.setattr("gazekit.preparing.prepare.find_depth", None)
    dataset, _, _ = prepared(
        made(tmp_path / "raw", [4090, 900]), tmp_path / "raw", tmp_path / "out", window=window
    )
    assert dataset.settings.bit_depth is None
    assert dataset.images[1].max() == (65535 if window == "range" else round((900 - 750) / 500 * 65535))


def test_new_images_take_the_depth_of_the_prepared_ones(tmp_path):
    settings = prepared(made(tmp_path / "raw", [4090, 300]), tmp_path / "raw", tmp_path / "out")[0].settings
    new = made(tmp_path / "new", [1000, 4100])
    dark, bright = (prepare_exam(Task(exam, {}, settings, tmp_path)) for exam in new.listed)
    assert dark.images.max() == round(1000 / 4095 * 65535)
    assert isinstance(bright, Refused) and "the value 4100 does not fit into the 12 bits" in bright.reason


def test_predict_refuses_to_guess_what_the_training_data_do_not_tell(
    tiny_run: Path, raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gazekit.prediction.predict.available_cores", lambda: 0)
    files = []
    for path in pair(raw_folder, 5):
        files.append(tmp_path / path.name)
        Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16) * 16).save(files[-1])
    (refused,) = predicted(tiny_run, *files, code=3).values()
    assert (
        "no such image was in the training data" in refused["reason"] and "--bit-depth" in refused["reason"]
    )
    (eight,) = predicted(tiny_run, *pair(raw_folder, 5)).values()
    (twelve,) = predicted(tiny_run, *files, "--bit-depth", 12).values()
    assert twelve["probabilities"] == pytest.approx(eight["probabilities"], abs=0.01)
    (sixteen,) = predicted(tiny_run, *files, "--bit-depth", 16).values()
    assert sixteen["probabilities"] != twelve["probabilities"]
    gazekit("predict", tiny_run, *files, "--bit-depth", 7, code=2)


def test_from_python_too(
    tiny_run: Path, raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gazekit.prediction.predict.available_cores", lambda: 0)
    files = []
    for path in pair(raw_folder, 5):
        files.append(tmp_path / path.name)
        Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16) * 257).save(files[-1])
    trained = load(tiny_run, device="cpu")
    (eight,) = trained.predict_images(*pair(raw_folder, 5))
    (sixteen,) = trained.predict_images(*files, bit_depth=16)
    np.testing.assert_allclose(sixteen.probabilities, eight.probabilities, atol=1e-6)
