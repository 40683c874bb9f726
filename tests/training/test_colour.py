"""Colour images from their files to a trained, exported model and its report."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import gazekit
from PIL import Image
from tiny import SMALL, tiny

import gazekit as api
from gazekit.errors import DataError
from gazekit.feeding.feed import prepared_exams
from gazekit.prepared.dataset import PreparedDataset
from gazekit.presets.tables import AugmentationSettings
from gazekit.reading.image import read_image
from gazekit.records.geometry import Geometry
from gazekit.registry.registry import Registry


def write_fundi(root: Path, exams: int = 24, side: int = 32) -> None:
    """Images of one view whose label is their colour alone: red or green of the same luminance."""
    random = np.random.default_rng(0)
    root.mkdir(parents=True)
    rows = []
    for number in range(exams):
        label = number % 2
        grey = random.uniform(0.2, 0.5, (side, side, 1))
        tint = np.array([[1.0, 0.4, 0.4], [0.5, 0.75, 0.4]][label])
        values = np.rint(255 * np.clip(grey * tint, 0, 1)).astype(np.uint8)
        Image.fromarray(values).save(root / f"{number}.png")
        rows.append([f"e{number}", f"p{number}", ["a", "b"][label], f"{number}.png"])
    with (root / "exams.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["exam_id", "patient_id", "label", "photo"], *rows])


@pytest.fixture(scope="module")
def fundi(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    root = tmp_path_factory.mktemp("fundi")
    write_fundi(root / "raw")
    options = {"size": 16, "crop": "none", "laterality": "off", "jobs": 0}
    with pytest.raises(DataError, match="the image is in colour; expected grey"):
        api.prepare("folder", root / "raw", root / "grey", note=lambda _: None, **options)
    return api.prepare("folder", root / "raw", root / "prepared", colour=True, note=lambda _: None, **options)


def test_each_channel_is_prepared_as_a_grey_image_would_be(fundi: PreparedDataset) -> None:
    assert fundi.images.shape == (24, 1, 3, 16, 16) and fundi.is_checked
    raw = np.asarray(Image.open(fundi.root.parent / "raw" / "5.png")).astype(np.float32) / 255
    geometry = Geometry.fit((0, 0, 32, 32), (16, 16))
    for channel in range(3):
        expected = np.rint(255 * geometry.warp(raw[..., channel]))
        assert np.array_equal(fundi.images[5, 0, channel], expected.astype(np.uint8))


def test_grey_and_colour_files_give_three_channels_and_the_luminance(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "colour.png")
    Image.fromarray(values[..., 0]).save(tmp_path / "grey.png")
    colour, grey = (read_image(tmp_path / f"{name}.png", colour=True) for name in ("colour", "grey"))
    expected = values.astype(np.float64) @ [0.2126, 0.7152, 0.0722] / 255
    np.testing.assert_allclose(colour.pixels, expected, atol=1e-6)
    assert colour.colour is not None and grey.colour is not None
    np.testing.assert_allclose(colour.colour, np.moveaxis(values, 2, 0) / 255, atol=1e-6)
    for channel in grey.colour:
        assert np.array_equal(channel, grey.pixels)


def test_channels_change_alike(fundi: PreparedDataset, registry: Registry) -> None:
    settings = AugmentationSettings(gain=0.5, rotation=0, translation=0, flip_horizontal=0, flip_vertical=0)
    preset = tiny(
        registry, 'views=["photo"]', "gaze=none", "data.mean=0.0", "data.std=1.0", preset="single_cc"
    )
    exams = prepared_exams(fundi, np.arange(6), preset, torch.device("cpu"), with_gaze=False)
    (changed,) = exams.augmented([np.arange(6)], settings, seed=0, epoch=0)
    images = exams.batch(np.arange(6)).images["photo"]
    ratio = changed.images["photo"] / images
    inside = (images > 0.05) & (changed.images["photo"] < 0.99)
    for exam in range(6):
        found = ratio[exam][inside[exam]]
        assert found.std() < 1e-4 and not torch.allclose(found.mean(), torch.tensor(1.0), atol=1e-3)


def test_a_model_reads_the_colours_and_goes_through_every_command(
    fundi: PreparedDataset, tmp_path: Path
) -> None:
    run, raw = tmp_path / "run", fundi.root.parent / "raw"
    sets = ['views=["photo"]', "gaze=none", *SMALL, "training.batch_size=8", "training.learning_rate=0.01"]
    sets += ["training.select=last"]
    options = [part for each in sets for part in ("--set", each)]
    gazekit("train", "--preset", "single_cc", "--data", fundi.root, "--out", run, "--epochs", 25, *options)
    result = json.loads(gazekit("evaluate", run, "--part", "all", "--resamples", 100, "--json").stdout)
    assert result["metrics"]["classification"]["auc"]["value"] > 0.9
    prepared, files = (
        json.loads(gazekit("predict", run, source, "--json").stdout)["exams"]
        for source in (fundi.root, raw / "exams.csv")
    )
    assert {e["exam"]: e["probabilities"] for e in prepared} == {e["exam"]: e["probabilities"] for e in files}
    photo = tmp_path / "3_photo.png"
    photo.write_bytes((raw / "3.png").read_bytes())
    (loose,) = json.loads(gazekit("predict", run, photo, "--json").stdout)["exams"]
    assert loose["probabilities"] == next(each["probabilities"] for each in files if each["exam"] == "e3")
    gazekit("report", run, "--part", "all", "--cases", 2, "--originals", raw, "--dataset", "folder")
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(api.export(run, tmp_path / "model.onnx"))
    (given,) = session.get_inputs()
    assert given.shape[1:] == [3, 16, 16]
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["gazekit"])
    assert metadata["preparation"]["colour"] and "red, green and blue" in metadata["input"]
