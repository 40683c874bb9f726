"""Masks, heat maps and overlays beside the images are told by name and content, and images never are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gazekit.prediction.by_products import by_product
from gazekit.reading.limits import MOST_BYTES

MASK = np.zeros((200, 150), dtype=np.uint8)
MASK[50:90, 40:100] = 255
SCAN = np.random.default_rng(0).integers(20, 230, (200, 150)).astype(np.uint8)


def saved(path: Path, pixels: np.ndarray, **options: object) -> Path:
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "a.jpg"])
def test_a_picture_of_two_values_is_a_mask_in_any_format(tmp_path: Path, name: str) -> None:
    options = {"compression": "tiff_deflate"} if name.endswith("tif") else {}
    path = saved(tmp_path / name, MASK, **options)
    assert by_product(path, [path.stem]) == "black and white only, like a mask"
    path = saved(tmp_path / name, SCAN)
    assert by_product(path, [path.stem]) == ""


def test_truth_values_are_a_mask_and_an_empty_image_is_none(tmp_path: Path) -> None:
    assert by_product(saved(tmp_path / "a.png", MASK > 0), ["a"]) == "black and white only, like a mask"
    assert by_product(saved(tmp_path / "b.npy", MASK > 0), ["b"]) == "black and white only, like a mask"
    assert by_product(saved(tmp_path / "c.png", np.zeros_like(MASK)), ["c"]) == ""


def test_colour_is_a_drawing_and_grey_in_three_channels_is_none(tmp_path: Path) -> None:
    grey = np.repeat(SCAN[:, :, None], 3, axis=2)
    assert by_product(saved(tmp_path / "a.png", grey), ["a"]) == ""
    drawn = grey.copy()
    drawn[20:30, 20:30] = 255, 0, 0
    assert by_product(saved(tmp_path / "c.png", drawn), ["c"]) == "in colour, like drawings over an image"


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["12_cc_mask"], "a mask, by its name"),
        (["masks", "12_cc"], "a mask, by its name"),
        (["12_cc_heatmap"], "a heat map, by its name"),
        (["overlays", "12_cc"], "an overlay, by its name"),
        (["unmasked_12_cc"], ""),
    ],
)
def test_names_say_it_by_words(tmp_path: Path, names: list[str], what: str) -> None:
    assert by_product(saved(tmp_path / "a.png", SCAN), names) == what


@pytest.mark.parametrize(
    "array",
    [
        np.array([["a", "b"], ["c", "d"]]),
        np.array([[b"a", b"b"]]),
        np.zeros((8, 8), dtype=[("a", "u1"), ("b", "f4")]),
        np.zeros((8, 8), dtype="V4"),
        np.array([["2024-01-01", "2024-01-02"]], dtype="datetime64[D]"),
        np.array([[0, 1j]]),
        np.array([[None, 1]]),
        np.zeros((0, 8)),
        np.zeros((8, 0), dtype=np.uint8),
        np.float64(1),
    ],
    ids=lambda array: f"{array.dtype.kind}{array.shape}",
)
def test_an_array_that_holds_no_pixels_is_left_to_whoever_reads_it(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    assert by_product(tmp_path / "a.npy", ["a"]) == ""


def test_an_array_larger_than_any_image_is_not_looked_through(tmp_path: Path) -> None:
    shape = (20_000, MOST_BYTES // 20_000 + 1)
    array = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=bool, shape=shape)  # sparse
    array[0, 0] = True
    assert by_product(tmp_path / "a.npy", ["a"]) == ""


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\x93NUMPY\x01\x00", b"\x89PNG\r\n\x1a\n" + b"\0" * 40]
)
def test_what_cannot_be_read_is_left_to_whoever_reads_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert by_product(path, ["a"]) == ""
