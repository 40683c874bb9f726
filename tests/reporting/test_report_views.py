"""Reports show every breast as the viewer of the original would, from the original where it is at hand."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from command_line import gazekit, one_exam
from made_data import make_folder
from made_mammography import view_sequence, write_mammogram

from gazekit.errors import ConfigurationError, DataError
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.index import INDEX, SPACING_COLUMNS, TABLE, read_table, write_table
from gazekit.prepared.manifest import MANIFEST
from gazekit.reading.image import read_image
from gazekit.reporting.drawing.attention import attention_panels
from gazekit.reporting.drawing.originals.files import find_originals
from gazekit.reporting.drawing.originals.views import ShownViews
from gazekit.reporting.run.cases import make_cases
from gazekit.runs.trained import open_trained

SPACING = 0.3


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A left and a right breast with lesions that lie on their chest walls."""
    root = tmp_path_factory.mktemp("sides") / "raw"
    rows = []
    for number, side in enumerate("LRLR"):
        row = {"exam_id": f"e{number}_{side}", "patient_id": f"p{number}", "label": "ab"[number // 2]}
        for view in ("cc", "mlo"):
            about = {"ImageLaterality": side, "ViewCodeSequence": view_sequence(view.upper())}
            path = root / f"image{number}{view}.dcm"
            write_mammogram(path, side=side, seed=number, ImagerPixelSpacing=[SPACING, SPACING], **about)
            row[view] = path.name
        rows.append(row)
    write_table(root / "exams.csv", list(rows[0]), [list(row.values()) for row in rows])
    return root


@pytest.fixture(scope="module")
def sides(raw):
    out = raw.parent / "prepared"
    gazekit("data", "prepare", "folder", raw, out, "--size", 16, "--jobs", 1)
    return PreparedDataset.open(out)


@pytest.fixture(scope="module")
def sources(raw, sides, registry):
    return find_originals(sides, raw, registry.create("dataset", "folder"))


def show(shown, exam, view="cc"):
    return shown.show(exam, view, longest=1024)


def test_prepared_images_are_turned_back_and_know_side_and_spacing(sides):
    shown = ShownViews(sides)
    for exam, side in enumerate("LRLR"):
        picture, prepared = show(shown, exam), sides.images[exam, 0] / 255
        expected = prepared[:, ::-1] if side == "R" else prepared
        np.testing.assert_allclose(picture.image, expected, atol=1e-6)
        assert (picture.side, picture.original) == (side, False)
        assert picture.mm_per_pixel == pytest.approx(SPACING / sides.geometry[exam]["cc"].scale)
    assert "the prepared images (16 × 16 px), turned back as the originals lie" in shown.words()


def test_originals_are_shown_as_they_lie_in_their_files(raw, sides, sources):
    shown = ShownViews(sides, sources)
    for exam in range(4):
        picture = show(shown, exam)
        assert picture.original and picture.side == "LRLR"[exam]
        np.testing.assert_array_equal(picture.image, read_image(raw / f"image{exam}cc.dcm").pixels)
        assert picture.mm_per_pixel == pytest.approx(SPACING)
    assert shown.words() == "Shown are the originals, as they lie in their files."


def test_attention_gaze_and_lesions_move_with_their_image(sides, sources):
    """A map that is high at the chest wall of the prepared image, its left, is high at the wall that is shown."""
    maps = np.zeros((4, 4, 4), dtype=np.float32)
    maps[:, :, 0] = 1
    predictions = Predictions(
        np.arange(4),
        np.zeros((4, 1), np.float32),
        np.full((4, 2), 0.5, np.float32),
        {"cc": maps, "mlo": maps},
    )
    for shown in (ShownViews(sides), ShownViews(sides, sources)):
        panels = attention_panels(shown, range(4), {"one": predictions}, sides.views)
        for side, panel in zip("LRLR", panels, strict=True):
            view = panel.views["cc"]
            assert view.title == f"{side} CC"
            middle = view.image.shape[1] // 2
            for values in (view.attention["one"], view.image):
                left, right = values[:, :middle].sum(), values[:, middle:].sum()
                assert (left > right) == (side == "L"), side
            assert view.attention["one"].shape == view.image.shape
    cases = make_cases(ShownViews(sides), [predictions], sides.views, threshold=0.5, most=2, budget=10**6)
    titles = [view.title for case in cases for view in case.views]
    assert titles == ["L CC", "L MLO", "R CC", "R MLO"]


def test_what_no_longer_is_the_original_is_not_shown_as_it(raw, sides, registry, tmp_path):
    copy = Path(shutil.copytree(raw, tmp_path / "raw"))
    (copy / "image0cc.dcm").unlink()
    (copy / "image1cc.dcm").write_bytes((copy / "image1cc.dcm").read_bytes()[:-500])
    smaller = pydicom.dcmread(copy / "image2cc.dcm")
    smaller.Rows, smaller.PixelData = 32, smaller.PixelData[: 32 * smaller.Columns * 2]
    smaller.save_as(copy / "image2cc.dcm")
    shown = ShownViews(sides, find_originals(sides, copy, registry.create("dataset", "folder")))
    assert [show(shown, exam).original for exam in (0, 1, 2, 3, 0)] == [False, False, False, True, False]
    assert shown.missing == {
        "no such original": 1,
        "an original that cannot be read": 1,
        "an original of another size than the one that was prepared": 1,
    }
    assert shown.words().startswith("Shown are the originals; 3 views are the prepared images")


def test_originals_are_found_by_their_names_or_their_data_set(raw, sides, registry, tmp_path):
    with pytest.raises(ConfigurationError, match="keeps no names of images"):
        find_originals(sides, raw, None)
    names = tuple({view: f"image{exam}{view}.dcm" for view in sides.views} for exam in range(4))
    named = find_originals(replace(sides, image_names=names), raw, None)
    assert named("e1_R", "mlo") == raw / "image1mlo.dcm"
    with pytest.raises(DataError, match="there is no such folder"):
        find_originals(sides, tmp_path / "nowhere", registry.create("dataset", "folder"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image of"):
        find_originals(replace(sides, image_names=names), tmp_path / "empty", None)


def test_a_set_of_an_earlier_version_has_no_spacing_and_opens(sides, tmp_path):
    old = Path(shutil.copytree(sides.root, tmp_path / "old"))
    rows = read_table(old / INDEX, (), TABLE)
    columns = [name for name in rows[0] if name not in SPACING_COLUMNS]
    write_table(old / INDEX, columns, ([row[name] for name in columns] for row in rows))
    manifest = json.loads((old / MANIFEST).read_text())
    (old / MANIFEST).write_text(json.dumps(manifest | {"schema": 3, "files": {}}))  # nor had it checksums
    opened = PreparedDataset.open(old)
    assert opened.spacing_mm == ({},) * 4 and sides.spacing_mm[0]["cc"] == (SPACING, SPACING)
    assert show(ShownViews(opened), 0).mm_per_pixel is None
    assert [each["cc"] for each in opened.laterality] == list("LRLR")


@pytest.mark.usefixtures("undrawn")
def test_the_report_draws_the_originals_on_request(tiny_run, raw_folder, tmp_path):
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    refused = gazekit("report", run, "--originals", raw_folder, code=2).stderr
    assert "add --dataset KIND" in refused
    assert (
        "--dataset and --set say what is in --originals"
        in gazekit("report", run, "--dataset", "folder", code=2).stderr
    )
    gazekit("report", run, *one_exam(run))
    prepared = (run / "report.html").read_text()
    assert "Shown are the prepared images (16 × 16 px), turned back" in prepared
    gazekit("report", run, "--originals", raw_folder, "--dataset", "folder", *one_exam(run))
    assert "Shown are the originals, as they lie in their files." in (run / "report.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_every_number_of_a_report_is_at_its_threshold(tiny_run, registry, dataset, tmp_path):
    trained = open_trained(tiny_run, registry, torch.device("cpu"))
    predictions = trained.predict(dataset, "all", explain=False)
    chances, positive = predictions.probabilities[:, 1], dataset.labels[predictions.indices] == 1
    cut = float(np.sort(chances)[5:7].mean())
    page = tmp_path / "page.html"
    gazekit("report", tiny_run, "--part", "all", "--out", page, "--cases", 0, "--threshold", cut)
    accuracy = np.mean((chances > cut) == positive)
    assert accuracy != np.mean((chances > 0.5) == positive)
    shown = dict(re.findall(r'<span class="name">(\w+)</span><span class="big">([\d.]+)', page.read_text()))
    assert float(shown["Accuracy"]) == pytest.approx(accuracy, abs=5e-4)
    for name, called in (("sensitivity", chances > cut), ("specificity", chances <= cut)):
        value = np.mean(called[positive if name == "sensitivity" else ~positive])
        for before in (f'data-rate="{name}">', f"{name.capitalize()}<small>"):
            after = page.read_text().split(before)[1]
            assert float(re.search(r'class="value">([\d.]+)', after)[1]) == pytest.approx(value, abs=5e-4)


@pytest.mark.usefixtures("undrawn")
def test_a_report_on_other_data_says_so_and_takes_its_threshold_from_the_training_data(tiny_run, tmp_path):
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    raw = make_folder(tmp_path / "raw", exams=8, seed=7)
    others = tmp_path / "others"
    gazekit("data", "prepare", "folder", raw, others, "--size", 16, "--crop", "none", "--jobs", 1)
    page = tmp_path / "page.html"
    given = ("report", run, "--part", "all", "--out", page, "--exam", "e000", "--cases", 1)
    gazekit(*given, "--data", others)
    assert "On other data (others), 8 exams of 4 patients" in page.read_text()
    assert "their numbers flatter it" not in page.read_text()
    gazekit(*given, "--data", others, "--threshold", "val")
    assert "greatest Youden index on the validation part" in page.read_text()
    gazekit(*given)
    assert "On the data it was trained on, 24 exams" in page.read_text()
    assert "The model was trained on most of these exams: their numbers flatter it." in page.read_text()
