"""The region from preparation to prediction: masks, doubts told everywhere, data cut by other rules refused."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit
from conftest import MakeDistribution
from gazekit_datasets.mammography.breast import Breast
from made_data import write_exams
from made_preparation import prepare
from PIL import Image

from gazekit.errors import ConfigurationError, DataError, PluginError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.index import read_findings
from gazekit.prepared.manifest import MANIFEST
from gazekit.prepared.not_prepared import JOURNAL
from gazekit.prepared.settings import PreparationSettings
from gazekit.preparing.regions import finder_of, found_region
from gazekit.records.exam import Exam, Finding
from gazekit.records.lesions import Outline
from gazekit.records.region import Region
from gazekit.registry.discovery import load_registry

HEIGHT, WIDTH = 160, 120
LABEL = (slice(6, 20), slice(90, 115))
"""Rows and columns of letters beside the breast."""


def mammogram(seed: int = 0, letters: bool = True) -> np.ndarray:
    """A half ellipse with its chest wall on the left, 8 bits, and letters in the upper right corner."""
    rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
    inside = (columns / 80) ** 2 + ((rows - 85) / 60) ** 2 <= 1
    image = np.where(inside, np.random.default_rng(seed).integers(70, 150, (HEIGHT, WIDTH)), 0).astype(
        np.uint8
    )
    if letters:
        image[LABEL] = 255
    return image


def square(x: float, y: float, side: float) -> Outline:
    return Outline(((x, y), (x + side, y), (x + side, y + side), (x, y + side)))


class Listed:
    classes = ("0", "1")
    region = "breast"

    def __init__(self, exams: list[Exam]) -> None:
        self.listed = exams

    def exams(self, _root: Path) -> list[Exam]:
        return self.listed


def written(
    root: Path, images: list[np.ndarray], lesions: dict[int, tuple[Outline, ...]] | None = None
) -> list[Exam]:
    """An exam of one view per image."""
    root.mkdir(exist_ok=True)
    exams = []
    for number, image in enumerate(images):
        path = root / f"DOE_{number}.png"
        Image.fromarray(image).save(path)
        masks = {"cc": lesions[number]} if lesions and number in lesions else {}
        exams.append(Exam(f"e{number}", f"p{number}", str(number % 2), {"cc": path}, masks=masks))
    return exams


def prepared(root: Path, out: Path, exams: list[Exam], **options: object) -> PreparedDataset:
    options = {"size": (HEIGHT, WIDTH), "jobs": 0} | options
    prepare(Listed(exams), root, out, **options)
    return PreparedDataset.open(out)


def seen(data: PreparedDataset, x: float, y: float, exam: int = 0) -> int:
    """The prepared pixel at a place of the raw image."""
    geometry = data.geometry[exam]["cc"]
    at = [int(each[0]) for each in geometry.apply(np.array([x]), np.array([y]))]
    return int(data.images[exam, 0, at[1], at[0]])


def test_what_lies_outside_the_breast_becomes_background_or_stays_as_asked(tmp_path: Path) -> None:
    exams = written(tmp_path / "raw", [mammogram(0), mammogram(1)])
    masked = prepared(tmp_path / "raw", tmp_path / "a", exams)
    unmasked = prepared(tmp_path / "raw", tmp_path / "b", exams, mask_outside=False)
    whole = prepared(tmp_path / "raw", tmp_path / "c", exams, crop="none")
    whole_masked = prepared(tmp_path / "raw", tmp_path / "d", exams, crop="none", mask_outside=True)
    assert [each.settings.mask_outside for each in (masked, unmasked, whole, whole_masked)] == [
        True,
        False,
        False,
        True,
    ]
    assert [each.settings.region for each in (masked, unmasked, whole, whole_masked)] == [2, 2, 0, 2]
    assert masked.geometry == unmasked.geometry
    assert seen(whole, 100, 12) == 255 and seen(whole_masked, 100, 12) == 0
    inside = unmasked.images[:, 0] > 40
    np.testing.assert_array_equal(masked.images[:, 0][inside], unmasked.images[:, 0][inside])
    assert len({each.fingerprint for each in (masked, unmasked, whole, whole_masked)}) == 4


def test_air_is_black_within_the_crop_too(tmp_path: Path) -> None:
    image = np.maximum(mammogram(letters=False), 12)
    image[60:70, 100:110] = 200  # a sticker within the rows of the breast
    exams = written(tmp_path / "raw", [image, mammogram(1)])
    masked = prepared(tmp_path / "raw", tmp_path / "a", exams)
    unmasked = prepared(tmp_path / "raw", tmp_path / "b", exams, mask_outside=False)
    assert seen(unmasked, 75, 30) == 12 and seen(masked, 75, 30) == 0
    assert seen(masked, 40, 80) == seen(unmasked, 40, 80) > 60


def test_an_image_without_a_plausible_breast_is_kept_whole_and_named(tmp_path: Path) -> None:
    exams = written(tmp_path / "raw", [mammogram(0), 255 - mammogram(1, letters=False), mammogram(2)])
    data = prepared(tmp_path / "raw", tmp_path / "a", exams)
    what = "kept whole: its surroundings are white, as in an inverted image"
    assert read_findings(tmp_path / "a") == [Finding("doubtful", "e1 cc", what)]
    geometry = data.geometry[1]["cc"]
    assert (geometry.left, geometry.top, geometry.right, geometry.bottom) == (0, 0, WIDTH, HEIGHT)
    np.testing.assert_array_equal(data.images[1, 0], 255 - mammogram(1, letters=False))
    prepared(tmp_path / "raw", tmp_path / "b", exams, image_names=True)
    assert read_findings(tmp_path / "b") == [Finding("doubtful", "e1 cc (DOE_1.png)", what)]


def test_an_interrupted_preparation_keeps_its_doubts(tmp_path: Path) -> None:
    exams = written(tmp_path / "raw", [255 - mammogram(0, letters=False), mammogram(1), mammogram(2)])

    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path / "raw", tmp_path / "out", exams, progress=stop)
    prepared(tmp_path / "raw", tmp_path / "out", exams)
    assert [each.about for each in read_findings(tmp_path / "out")] == ["e0 cc"]


def test_a_lesion_at_the_edge_keeps_its_pixels_and_one_outside_keeps_the_image_whole(tmp_path: Path) -> None:
    edge, outside = square(72, 80, 10), square(100, 140, 10)  # the skin is at 80
    lesions = {0: (edge,), 1: (square(30, 70, 10), outside)}
    exams = written(tmp_path / "raw", [mammogram(0), mammogram(1)], lesions)
    data = prepared(tmp_path / "raw", tmp_path / "out", exams)
    assert read_findings(tmp_path / "out") == [
        Finding("doubtful", "e1 cc", "kept whole: a marked lesion lies outside the region found")
    ]
    scale = data.geometry[0]["cc"].scale
    assert (data.masks[0, 0] > 0).sum() == pytest.approx((10 * scale) ** 2, rel=0.1)
    assert (data.masks[1, 0] > 0).sum() == 10 * 10 + 10 * 10
    assert seen(data, 100, 12, exam=1) == 255, "kept whole means that nothing is masked either"


def test_the_commands_name_the_doubtful_images(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    rows = []
    for number in range(4):
        image = 255 - mammogram(number, letters=False) if number == 2 else mammogram(number)
        Image.fromarray(image).save(raw / f"DOE_{number}.png")
        rows.append(
            {
                "exam_id": f"e{number}",
                "patient_id": f"p{number}",
                "label": "ab"[number % 2],
                "cc": f"DOE_{number}.png",
            }
        )
    write_exams(raw, rows)
    finished = gazekit("data", "prepare", "folder", raw, tmp_path / "out", "--size", 32)
    said = " ".join(finished.stderr.split())
    assert "exam e2 cc kept whole: its surroundings are white, as in an inverted image" in said
    assert said.count("its surroundings are white") == 1, "said once"
    assert "--crop none" in said and "DOE" not in said
    found = json.loads(gazekit("data", "validate", "folder", raw, "--json").stdout)
    assert found["faults"]["doubtful"] == [
        ["e2", "cc", "kept whole: its surroundings are white, as in an inverted image"]
    ]
    validated = " ".join(gazekit("data", "validate", "folder", raw).stdout.split())
    assert "images without a plausible breast 1" in validated
    gazekit("data", "prepare", "folder", raw, tmp_path / "off", "--size", 32, "--no-mask-outside")
    manifest = json.loads((tmp_path / "off" / MANIFEST).read_text())
    assert (manifest["preparation"]["mask_outside"], manifest["preparation"]["region"]) == (False, 2)


def forget_the_region(path: Path) -> None:
    """Make the settings those of a version that had neither mask nor region."""
    if path.name == JOURNAL:
        path.write_text(path.read_text().replace(', "mask_outside": true, "region": 2', ""))
        return
    manifest = json.loads(path.read_text())
    for name in ("mask_outside", "region"):
        del manifest["preparation"][name]
    path.write_text(json.dumps(manifest))


def test_data_cut_by_earlier_rules_are_read_but_never_mixed(tmp_path: Path) -> None:
    exams = written(tmp_path / "raw", [mammogram(number) for number in range(3)])
    out = tmp_path / "out"

    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path / "raw", out, exams, progress=stop)
    assert '"region": 2' in (out / JOURNAL).read_text()
    forget_the_region(out / JOURNAL)
    assert "region" not in (out / JOURNAL).read_text().splitlines()[0]
    refused = "mask_outside is false there, true now; the region was cut out by another version of its rules"
    with pytest.raises(DataError, match=refused):
        prepared(tmp_path / "raw", out, exams)
    prepared(tmp_path / "raw", out, exams, overwrite=True)
    forget_the_region(out / MANIFEST)
    with pytest.raises(DataError, match=refused):
        prepared(tmp_path / "raw", out, exams)
    old = PreparedDataset.open(out)
    assert (old.settings.mask_outside, old.settings.region) == (False, 1)
    with pytest.raises(DataError, match=r"another version of its rules \(1; the one installed is 2\)"):
        finder_of(old.settings, load_registry(), "the training data")


def test_data_that_were_never_cut_stay_the_same(tmp_path: Path) -> None:
    exams = written(tmp_path / "raw", [mammogram(number) for number in range(2)])
    data = prepared(tmp_path / "raw", tmp_path / "out", exams, crop="none")
    written_settings = json.loads((tmp_path / "out" / MANIFEST).read_text())["preparation"]
    assert not {"mask_outside", "region"} & set(written_settings), "so that the fingerprint stays the same"
    assert data.settings == PreparationSettings(("cc",), (HEIGHT, WIDTH), "none")
    assert (data.settings.mask_outside, data.settings.region) == (False, 0)


@pytest.fixture
def cut_run(tiny_run: Path, tmp_path: Path) -> Path:
    """A run whose training data, it says, were cut to the breast."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "checksums.json").unlink()
    change(run, crop="breast", mask_outside=True, region=2)
    return run


def change(run: Path, **settings: object) -> None:
    facts = json.loads((run / "run.json").read_text())
    facts["preparation"] |= settings
    (run / "run.json").write_text(json.dumps(facts))


def test_prediction_masks_as_the_training_did_and_tells_doubts(cut_run: Path, tmp_path: Path) -> None:
    files = tmp_path / "new"
    files.mkdir()
    for name, invert in (("a", False), ("b", True)):
        for number, view in enumerate(("cc", "mlo")):
            image = mammogram(number, letters=not invert)
            Image.fromarray(255 - image if invert and view == "mlo" else image).save(
                files / f"{name}_{view}.png"
            )
    what = "view mlo kept whole: its surroundings are white, as in an inverted image"
    finished = gazekit("predict", cut_run, files, "--json")
    exams = json.loads(finished.stdout)["exams"]
    assert sorted(exam["findings"] for exam in exams) == [[], [what]]
    assert f"warning: b: {what}" in " ".join(finished.stderr.split())
    rows = csv.DictReader(gazekit("predict", cut_run, files, "--format", "csv").stdout.splitlines())
    assert sorted(row["findings"] for row in rows) == ["", what]
    with_letters = {exam["exam"]: exam["probabilities"] for exam in exams}
    for view in ("cc", "mlo"):  # letters do not reach the model, for they are masked as in training
        image = np.array(Image.open(files / f"a_{view}.png"))
        image[LABEL] = 90
        Image.fromarray(image).save(files / f"a_{view}.png")
    again = json.loads(gazekit("predict", cut_run, files, "--json").stdout)["exams"]
    clean = next(exam["exam"] for exam in exams if not exam["findings"])
    other = {exam["exam"]: exam["probabilities"] for exam in again}
    assert other[clean] == with_letters[clean]


def test_prediction_refuses_a_model_of_earlier_crops_unless_data_are_prepared(
    cut_run: Path, raw_folder: Path
) -> None:
    facts = json.loads((cut_run / "run.json").read_text())
    for name in ("mask_outside", "region"):
        del facts["preparation"][name]
    (cut_run / "run.json").write_text(json.dumps(facts))
    files = [raw_folder / f"e003_{view}.png" for view in ("cc", "mlo")]
    finished = gazekit("predict", cut_run, *files, code=3)
    assert "another version of its rules (1; the one installed is 2)" in " ".join(finished.stderr.split())


def test_a_prepared_set_must_be_cut_as_the_training_data_were(
    cut_run: Path, dataset: PreparedDataset
) -> None:
    change(cut_run, crop="none")
    finished = gazekit("predict", cut_run, dataset.root, code=3)
    assert "prepared with mask_outside False" in " ".join(finished.stderr.split())


LOWER_HALF = """
import gazekit
from gazekit.records.region import Region, whole_image

class LowerHalf:
    '''The lower half.'''
    version = 3
    def find(self, pixels):
        height, width = pixels.shape
        outline = whole_image(pixels.shape).outline
        return Region((0, 0, width, height), (0, height // 2, width, height), outline, max(pixels.shape))

@gazekit.hookimpl
def gazekit_regions():
    return {"lower_half": LowerHalf}
"""


@pytest.mark.parametrize("jobs", [0, 1])
def test_a_strangers_region_cuts_here_and_in_a_worker(
    tmp_path: Path, distribution: MakeDistribution, jobs: int
) -> None:
    distribution("halves", "1.0", LOWER_HALF)
    exams = written(tmp_path / "raw", [mammogram(0), mammogram(1)])
    data = prepared(tmp_path / "raw", tmp_path / "out", exams, crop="lower_half", jobs=jobs)
    assert {each["cc"].top for each in data.geometry} == {HEIGHT // 2}
    assert (data.settings.crop, data.settings.region, data.settings.mask_outside) == ("lower_half", 3, True)


def test_a_source_without_a_region_keeps_the_whole_image(tmp_path: Path) -> None:
    exams = written(tmp_path / "raw", [mammogram(0), mammogram(1)])
    source = Listed(exams)
    source.region = "none"
    prepare(source, tmp_path / "raw", tmp_path / "out", size=(HEIGHT, WIDTH), jobs=0)
    assert PreparedDataset.open(tmp_path / "out").settings.crop == "none"
    with pytest.raises(ConfigurationError, match="mask_outside needs a region"):
        prepare(source, tmp_path / "raw", tmp_path / "masked", mask_outside=True)


def test_data_that_are_masked_but_not_cut_say_by_which_region(tmp_path: Path) -> None:
    exams = written(tmp_path / "raw", [mammogram(0), mammogram(1)])
    out = tmp_path / "out"
    settings = prepared(tmp_path / "raw", out, exams, crop="none", mask_outside=True).settings
    assert settings.region_name == "breast" and PreparationSettings.from_json(settings.to_json()) == settings
    manifest = json.loads((out / MANIFEST).read_text())
    del manifest["preparation"]["masked_by"]  # as version 0.1 left it
    (out / MANIFEST).write_text(json.dumps(manifest))
    old = prepared(tmp_path / "raw", out, exams, crop="none", mask_outside=True).settings
    assert old.region_name == ""
    assert isinstance(finder_of(old, load_registry(), "the data"), Breast), "the only region there is"


def test_prediction_names_the_region_whose_plugin_is_missing(cut_run: Path, raw_folder: Path) -> None:
    change(cut_run, crop="lungs", region=1)
    finished = gazekit("predict", cut_run, raw_folder / "e003_cc.png", raw_folder / "e003_mlo.png", code=1)
    said = " ".join(finished.stderr.split())
    assert "cut to the region 'lungs', which new images need, too: no region 'lungs'" in said
    assert "Install the plugin that brings it" in said


def test_a_region_without_a_version_is_refused_with_its_reason(distribution: MakeDistribution) -> None:
    distribution("halves", "1.0", LOWER_HALF.replace("version = 3", ""))
    registry = load_registry()
    assert [component.name for component in registry.components("region")] == ["breast"]
    (failure,) = registry.failures
    assert "LowerHalf has no version of its rules" in str(failure)


class OddFinder:
    """A region that breaks its contract."""

    version = 1

    def __init__(self, find):
        self._find = find

    def find(self, pixels):
        return self._find(pixels)


@pytest.mark.parametrize(
    ("find", "said"),
    [
        (lambda _: None, "a Region; came: None"),
        (lambda pixels: pixels.fill(0), "to raise nothing; came: ValueError"),
        (lambda _: Region((0, 0, 6, 4), (-5, 0, 6, 4), np.ones((4, 6), bool)), r"came: \(-5, 0, 6, 4\)"),
    ],
)
def test_a_region_that_breaks_its_contract_is_named(find, said):
    pixels = np.full((4, 6), 0.5, dtype=np.float32)
    with pytest.raises(PluginError, match=f"region test_region.OddFinder promises .*{said}"):
        found_region(OddFinder(find), pixels)
    assert (pixels == 0.5).all()


@pytest.mark.parametrize(
    "box",
    [(-1, 0, 6, 4), (0, -1, 6, 4), (0, 0, 7, 4), (0, 0, 6, 5), (3, 0, 3, 4), (0, 2, 6, 2), (4, 0, 3, 4)],
)
def test_a_box_that_is_empty_or_not_of_the_image_breaks_the_contract(box):
    def finding(found):
        return OddFinder(lambda _: Region((0, 0, 6, 4), found, np.ones((4, 6), bool)))

    for shape in ((4, 6), (4, 6, 3)):
        pixels = np.zeros(shape, dtype=np.float32)
        with pytest.raises(PluginError, match="promises a box within"):
            found_region(finding(box), pixels)
        assert found_region(finding((5, 3, 6, 4)), pixels).box == (5, 3, 6, 4)


@pytest.mark.parametrize("error", [MemoryError(), DataError("nothing to see")])
def test_an_image_that_is_too_large_for_its_region_is_no_fault_of_the_region(error):
    """Its exam alone is refused, as one that is too large to be read."""

    def fail(_):
        raise error

    with pytest.raises(type(error)):
        found_region(OddFinder(fail), np.full((4, 6), 0.5, dtype=np.float32))
