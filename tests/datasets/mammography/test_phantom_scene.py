"""The phantom's scenes: patients, labels, look-alikes, and lesions that both views agree on."""

import csv
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from gazekit_datasets.mammography.phantom import Phantom
from gazekit_datasets.mammography.phantom.drawing import APART, draw_scene
from gazekit_datasets.mammography.phantom.geometry import FIELD_MM, image_shape, in_pectoral, inside, project
from gazekit_datasets.mammography.phantom.lesions import draw_finding
from gazekit_datasets.mammography.phantom.render import render
from gazekit_datasets.mammography.phantom.scene import VIEWS, Scene, SceneFinding, Settings, View, generator
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from gazekit.records.arrays import Floats

SCENES = 300
FEW = 100
"""Enough where the share is 0 or 1, which every scene must keep."""
DEFAULT = Phantom().settings


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(DEFAULT, 11, index) for index in range(SCENES)]


def changed(**options: object) -> Settings:
    return Phantom(**options).settings  # type: ignore[arg-type]


def test_exams_have_unique_ids_and_some_patients_have_both_breasts(scenes: list[Scene]) -> None:
    assert len({scene.exam_id for scene in scenes}) == SCENES
    sides: dict[str, list[str]] = {}
    for scene in scenes:
        sides.setdefault(scene.patient_id, []).append(scene.laterality)
    assert all(sorted(side) in (["L"], ["R"], ["L", "R"]) for side in sides.values())
    both = sum(len(side) == 2 for side in sides.values()) / (SCENES / 2)
    assert 0.2 < both < 0.5


def test_patients_of_another_seed_are_other_patients(scenes: list[Scene]) -> None:
    others = {draw_scene(DEFAULT, 12, index).patient_id for index in range(SCENES)}
    assert not others & {scene.patient_id for scene in scenes}
    assert draw_scene(DEFAULT, 0, 0).patient_id == "P00001"


def test_labels_are_balanced_and_are_the_lesions(scenes: list[Scene]) -> None:
    assert 0.37 < np.mean([scene.malignant for scene in scenes]) < 0.53
    for scene in scenes:
        (lesion,) = scene.lesions
        assert lesion.views == VIEWS
        assert scene.label == ("malignant" if lesion.malignant else "benign")


def test_a_look_alike_is_of_the_other_kind_and_in_one_view_only(scenes: list[Scene]) -> None:
    superposed = set()
    for scene in scenes:
        for look_alike in (f for f in scene.findings if f.role == "look_alike"):
            assert len(look_alike.views) == 1
            assert look_alike.malignant != scene.malignant
            superposed.add((scene.malignant, look_alike.views))
        assert not any(f.malignant for f in scene.findings if f.role == "density")
    assert len(superposed) == 4  # both kinds in both views


def test_look_alikes_of_two_views_and_the_lesion_lie_at_distances_that_do_not_match() -> None:
    """They are 16 mm apart behind the nipple where there is room, and nearly always beyond the 10 mm of readers."""
    options = changed(unmatched=1.0, look_alikes=1.0)
    least = []
    for index in range(SCENES):
        scene = draw_scene(options, 5, index)
        alike = [f for f in scene.findings if f.role == "look_alike"]
        assert sorted(f.views for f in alike) == [("cc",), ("mlo",)]
        behind = sorted(f.position[0] for f in (*scene.lesions, *alike))
        least.append(min(np.diff(behind)))
    assert np.mean(np.array(least) >= APART) > 0.75
    assert np.mean(np.array(least) * FIELD_MM > 10.0) > 0.98
    assert min(least) * FIELD_MM > 8.0


@pytest.mark.parametrize(("share", "exams"), [(0.0, FEW), (0.4, SCENES), (1.0, FEW)])
def test_share_of_exams_with_a_look_alike_in_each_view_is_respected(share: float, exams: int) -> None:
    drawn = [draw_scene(changed(unmatched=share, look_alikes=1.0), 2, index) for index in range(exams)]
    both = [sum(f.role == "look_alike" for f in scene.findings) == 2 for scene in drawn]
    assert np.mean(both) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / exams))


def test_several_lesions_are_alike_in_kind_and_in_both_views() -> None:
    drawn = [draw_scene(changed(findings=(1, 3)), 2, index) for index in range(60)]
    assert {len(scene.lesions) for scene in drawn} == {1, 2, 3}
    for scene in drawn:
        assert {(f.malignant, f.views) for f in scene.lesions} == {(scene.malignant, VIEWS)}
        _, mask = render(scene, "cc", image_shape(64), difficulty=0.5, rng=generator(2, 0, "cc"))
        for lesion in scene.lesions:
            x, y = project(lesion.position, "cc", scene.outlines["cc"]) * 64
            column = int(x) if scene.laterality == "L" else mask.shape[1] - 1 - int(x)
            assert mask[int(y) - 2 : int(y) + 3, column - 2 : column + 3].any()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), index=st.integers(0, 10_000))
def test_findings_lie_in_the_breast_and_apart(seed: int, index: int) -> None:
    scene = draw_scene(DEFAULT, seed, index)
    for view in VIEWS:
        outline = scene.outlines[view]
        seen = [f for f in scene.findings if view in f.views]
        places = np.array([project(f.position, view, outline) for f in seen])
        for place, finding in zip(places, seen, strict=True):
            angle = np.linspace(0, 2 * np.pi, 32)
            x, y = place[:, None] + finding.diameter / 2 * np.stack([np.cos(angle), np.sin(angle)])
            assert (x > 0).all()
            assert (inside(x, y, outline) > 0).all()
            assert in_pectoral(place[:1], place[1:], outline) < 0
        gaps = np.linalg.norm(places[0] - places[1:], axis=1)
        reach = np.array([(seen[0].diameter + f.diameter) / 2 for f in seen[1:]])
        assert (gaps > 0.9 * reach).all()  # they touch where the breast is too small for all


@settings(max_examples=25, deadline=None)
@given(index=st.integers(0, 10_000))
def test_options_do_not_move_what_they_do_not_name(index: int) -> None:
    plain = draw_scene(DEFAULT, 3, index)
    varied = draw_scene(changed(gaze_quality=0.2, contrast=2.5, without_gaze=0.5), 3, index)
    assert [f.position for f in plain.findings] == [f.position for f in varied.findings]
    assert plain.label == varied.label
    for one, two in zip(plain.findings, varied.findings, strict=True):
        assert two.contrast == pytest.approx(2 * one.contrast)


@pytest.mark.parametrize(("share", "exams"), [(0.0, FEW), (0.25, SCENES), (1.0, FEW)])
def test_share_without_gaze_is_respected(share: float, exams: int) -> None:
    without = [not draw_scene(changed(without_gaze=share), 2, index).has_gaze for index in range(exams)]
    assert np.mean(without) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / exams))


@pytest.mark.parametrize(("share", "exams"), [(0.0, FEW), (0.3, SCENES)])
def test_look_alikes_are_left_out_of_scenes_that_stay_as_they_are(
    scenes: list[Scene], share: float, exams: int
) -> None:
    assert changed(look_alikes=1.0) == DEFAULT
    fewer = [draw_scene(changed(look_alikes=share), 11, index) for index in range(exams)]
    kept = [any(finding.role == "look_alike" for finding in scene.findings) for scene in fewer]
    assert np.mean(kept) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / exams))
    for with_all, scene, there in zip(scenes[:exams], fewer, kept, strict=True):
        assert scene.findings == tuple(f for f in with_all.findings if there or f.role != "look_alike")
        assert (scene.label, scene.outlines) == (with_all.label, with_all.outlines)


@pytest.mark.parametrize(("share", "exams"), [(0.0, FEW), (0.5, SCENES), (1.0, FEW)])
def test_share_of_calcifications_is_respected(share: float, exams: int) -> None:
    options = changed(calcifications=share)
    kinds = [draw_scene(options, 2, index).findings[0].kind == "calcifications" for index in range(exams)]
    assert np.mean(kinds) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / exams))


def test_harder_means_fainter_findings_and_look_alikes_have_the_contrast_asked_for() -> None:
    def mean_contrasts(difficulty: float, ratio: float) -> tuple[float, ...]:
        options = changed(look_alikes=1.0, difficulty=difficulty, look_alike_contrast=ratio)
        findings = [f for index in range(60) for f in draw_scene(options, 4, index).findings]
        roles = ("lesion", "look_alike")
        return tuple(float(np.mean([f.contrast for f in findings if f.role == role])) for role in roles)

    found = {(d, ratio): mean_contrasts(d, ratio) for d in (0.0, 1.0) for ratio in (0.5, 1.0)}
    for (_, ratio), (lesion, look_alike) in found.items():
        assert look_alike / lesion == pytest.approx(ratio, rel=0.05)
        assert found[0.0, ratio][0] > found[1.0, ratio][0]


def test_distance_behind_the_nipple_agrees_between_the_written_masks(tmp_path: Path) -> None:
    """Measured on the files alone: the nipple is the breast's foremost point, the lesion its mask's centroid."""
    phantom = Phantom(image_height=256)
    phantom.generate(tmp_path, exams=8, seed=9, progress=lambda done, total: None)
    with (tmp_path / "exams.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for number, row in enumerate(table):
        distance = []
        scene = draw_scene(phantom.settings, 9, number)
        for view in VIEWS:
            mask = np.asarray(Image.open(tmp_path / row[f"{view}_mask"])) > 0
            x = np.nonzero(mask)[1].mean() + 0.5
            foremost = scene.outlines[view].depth * 256
            distance.append(foremost - (x if scene.laterality == "L" else mask.shape[1] - x))
        assert distance[0] == pytest.approx(distance[1], abs=2.5)  # of 256 rows: 2.3 mm; readers accept 10 mm


def drawn(view: View, *, malignant: bool, kind: Literal["mass", "calcifications"]) -> Floats:
    finding = SceneFinding("lesion", kind, malignant, (0.25, 0.02, 0.05), 0.15, 0.3, VIEWS, 42)
    outline = draw_scene(DEFAULT, 0, 0).outlines[view]
    return draw_finding(finding, view, outline, image_shape(1024)).brightness


@pytest.mark.parametrize("view", VIEWS)
def test_malignant_masses_are_rougher_than_benign_ones(view: View) -> None:
    """At equal nominal size there is more border, the spicules, in relation to the brightness."""

    def roughness(malignant: bool) -> float:
        brightness = drawn(view, malignant=malignant, kind="mass")
        return float(np.hypot(*np.gradient(brightness)).sum() / brightness.sum())

    assert roughness(True) > 1.3 * roughness(False)


@pytest.mark.parametrize("view", VIEWS)
def test_malignant_calcifications_are_many_and_unlike_each_other(view: View) -> None:
    grains, spread = {}, {}
    for malignant in (False, True):
        brightness = drawn(view, malignant=malignant, kind="calcifications")
        labels, grains[malignant] = ndimage.label(brightness > 0.3 * brightness.max())
        peaks = ndimage.maximum(brightness, labels, range(1, grains[malignant] + 1))
        spread[malignant] = np.std(peaks) / np.mean(peaks)
    assert 4 <= grains[False] <= 8
    assert grains[True] > grains[False]
    assert spread[True] > 2 * spread[False]


def test_an_image_of_128_pixels_tells_malignant_from_benign_calcifications() -> None:
    """Counting the grains is enough: each is a peak still."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for index in range(60):
        scene = draw_scene(changed(calcifications=1.0, look_alikes=0.0), 13, index)
        image, mask = render(scene, "cc", image_shape(256), difficulty=0.5, rng=generator(13, index, "cc"))
        small = image[:256, :204].reshape(128, 2, 102, 2).mean((1, 3))  # as prepared at 128 pixels
        inside_it = mask[:256, :204].reshape(128, 2, 102, 2).any((1, 3))
        fine = small - ndimage.gaussian_filter(small, 2.0)
        peaks = (small == ndimage.maximum_filter(small, 3)) & (fine > 0.05) & inside_it
        found[scene.malignant].append(float(peaks.sum()))
    wins = np.mean([m > b for m in found[True] for b in found[False]])  # the area under the ROC curve
    assert wins > 0.9


def test_a_look_alike_changes_the_pixels_of_its_own_view_only() -> None:
    scene = draw_scene(changed(look_alikes=1.0, unmatched=0.0), 0, 1)
    (look_alike,) = (f for f in scene.findings if f.role == "look_alike")
    without = Scene(
        **{name: getattr(scene, name) for name in Scene.__slots__ if name != "findings"},
        findings=tuple(f for f in scene.findings if f is not look_alike),
    )
    for view in VIEWS:
        there, gone = (
            render(s, view, image_shape(128), difficulty=0.5, rng=generator(0, 1, view))[0]
            for s in (scene, without)
        )
        assert np.array_equal(there, gone) == (view not in look_alike.views)
