"""A prepared data set opens with the content it was made with, or its damage is one clear line."""

import json
import shutil

import numpy as np
import pytest
from made_preparation import run, write_exams

from gazekit.errors import DataError
from gazekit.prepared.dataset import PreparedDataset


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    exams = write_exams(folder / "raw", 4)
    run(exams, folder / "raw", folder / "out", size=(32, 24), image_names=True)
    return folder / "out"


def test_what_was_prepared_comes_back(prepared):
    dataset = PreparedDataset.open(str(prepared))
    assert (len(dataset), dataset.views, dataset.size) == (4, ("cc", "mlo"), (32, 24))
    assert dataset.exam_ids == ("e0", "e1", "e2", "e3")
    assert dataset.patient_ids == ("p0", "p0", "p1", "p1")
    assert [dataset.classes[label] for label in dataset.labels] == ["0", "1", "0", "1"]
    assert dataset.image_names[2]["mlo"] == "2_mlo.png"
    assert dataset.parts is None
    stored = np.load(prepared / "images.npy")
    assert (stored.shape, stored.dtype) == ((4, 2, 32, 24), np.uint8)
    np.testing.assert_array_equal(dataset.images, stored)
    packed = np.load(prepared / "masks.npy")
    assert (packed.shape, packed.dtype, dataset.masks.shape) == ((4, 2, 32, 3), np.uint8, (4, 2, 32, 24))
    np.testing.assert_array_equal(dataset.masks[1:3], 255 * np.unpackbits(packed[1:3], axis=-1))
    np.testing.assert_array_equal(np.asarray(dataset.masks)[3, 1], dataset.masks[3, 1])
    assert dataset.settings.to_json() == {
        key: value
        for key, value in json.loads((prepared / "dataset.json").read_text())["preparation"].items()
        if key not in ("classes", "source", "image_names", "layout")
    }


def test_the_arrays_are_mapped_and_read_only(prepared):
    dataset = PreparedDataset.open(prepared)
    base = dataset.images
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        dataset.images[0] = 0


def test_a_split_of_the_source_comes_back(tmp_path):
    from dataclasses import replace

    parts = ("train", "train", "test", "test")
    exams = write_exams(tmp_path / "raw", 4)
    exams = [replace(exam, part=part) for exam, part in zip(exams, parts, strict=True)]
    run(exams, tmp_path / "raw", tmp_path / "out")
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.parts == parts
    with pytest.warns(FutureWarning, match="split is now parts"):
        assert dataset.split == parts


def change_manifest(root, **values):
    path = root / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def cut(path, share=0.6):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda root: (root / "dataset.json").unlink(), "not a prepared data set"),
        (lambda root: (root / "dataset.json").rename(root / "journal.jsonl"), "incomplete"),
        (lambda root: cut(root / "dataset.json"), "not JSON"),
        (lambda root: (root / "dataset.json").write_text("[]"), "not the manifest"),
        (lambda root: change_manifest(root, schema=1), "schema version 1; this gazekit reads version 6"),
        (lambda root: change_manifest(root, format="other"), "not the manifest"),
        (lambda root: cut(root / "images.npy"), r"images.npy: has \d+ bytes, its header says \d+"),
        (lambda root: cut(root / "masks.npy", 0), "masks.npy: is not an array in NPY format"),
        (lambda root: (root / "masks.npy").unlink(), "masks.npy: there is no such file"),
        (
            lambda root: np.save(root / "images.npy", np.zeros((4, 2, 8, 8), np.uint8)),
            r"expected uint8 \[4, 2, 32",
        ),
        (lambda root: cut(root / "index.csv"), "index.csv"),
        (
            lambda root: (root / "index.csv").write_text("exam_id,view\n"),
            r"index.csv: has 13 bytes, expected \d+",
        ),
        (lambda root: (root / "index.csv").unlink(), "index.csv: there is no such file"),
    ],
)
def test_damage_is_one_clear_line(prepared, tmp_path, damage, expected):
    prepared = shutil.copytree(prepared, tmp_path / "out")
    damage(prepared)
    with pytest.raises(DataError, match=expected) as caught:
        PreparedDataset.open(prepared)
    assert str(prepared) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_folder_is_one_clear_line(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        PreparedDataset.open(tmp_path / "absent")
