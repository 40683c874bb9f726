"""The phantom's readers: their ratings follow the binormal model, and the better ones look longer at the lesion."""

import csv
from pathlib import Path

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.plain import Plain
from gazekit_datasets.mammography.phantom import Phantom
from gazekit_datasets.mammography.phantom.drawing import draw_scene
from gazekit_datasets.mammography.phantom.readers import Reader, population, rating
from scipy.special import ndtr
from scipy.stats import spearmanr

from gazekit.records.arrays import Floats

EXAMS = 3000


def ratings(reader: Reader, phantom: Phantom) -> tuple[Floats, Floats]:
    """Ratings of malignant and of benign exams."""
    found = [rating(reader, phantom.settings, 1, i, malignant=i % 2 == 1) for i in range(EXAMS)]
    return np.array(found[1::2]), np.array(found[::2])


@pytest.mark.parametrize("skill", [0.0, 1.5, 2.5])
def test_a_reader_has_the_area_under_the_curve_of_his_skill(skill: float) -> None:
    malignant, benign = ratings(Reader("R1", skill, 0.7, 0.5), Phantom(reader_skill=skill))
    area = np.mean(malignant[:, None] > benign[None, :])
    assert area == pytest.approx(ndtr(skill / np.sqrt(2)), abs=0.03)
    assert np.concatenate([malignant, benign]).mean() == pytest.approx(0.7, abs=0.1)


@pytest.mark.parametrize("disagreement", [0.0, 0.4, 1.0])
def test_two_readers_of_an_exam_correlate_by_what_they_do_not_disagree_on(disagreement: float) -> None:
    phantom = Phantom(disagreement=disagreement)
    one, two = (ratings(Reader(name, 1.0, 0.0, 0.5), phantom)[0] for name in ("R1", "R2"))
    assert np.corrcoef(one, two)[0, 1] == pytest.approx(1 - disagreement, abs=0.06)
    assert one.var() == pytest.approx(1.0, abs=0.1)


def test_a_population_spreads_by_what_was_asked_for_and_the_skilled_dwell_longer() -> None:
    readers = [
        r for seed in range(20) for r in population(Phantom(readers=50, reader_spread=0.5).settings, seed)
    ]
    for name, mean in (("skill", 1.5), ("criterion", 0.0)):
        values = np.array([getattr(reader, name) for reader in readers])
        assert values.mean() == pytest.approx(mean, abs=0.06)
        assert values.std() == pytest.approx(0.5, abs=0.05)
    assert spearmanr([r.skill for r in readers], [r.dwell for r in readers]).statistic == pytest.approx(1.0)
    alike = population(Phantom(readers=4, reader_spread=0.0).settings, 3)
    assert {(r.skill, r.criterion, round(r.dwell, 9)) for r in alike} == {(1.5, 0.0, 0.75)}
    fewer = population(Phantom(readers=3).settings, 3)
    assert fewer == population(Phantom(readers=9).settings, 3)[:3]


def test_files_hold_a_recording_and_a_rating_of_each_reader(tmp_path: Path) -> None:
    phantom = Phantom(image_height=64, readers=3)
    phantom.generate(tmp_path, exams=4, seed=2, progress=lambda done, total: None)
    gaze = sorted((tmp_path / "gaze").iterdir())
    assert len(gaze) == 8
    for path in gaze:
        recordings = list(Plain().read(path))
        assert [recording.reader for recording in recordings] == ["R1", "R2", "R3"]
        assert len({recording.x.tobytes() for recording in recordings}) == 3
    with (tmp_path / "ratings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    scenes = [draw_scene(phantom.settings, 2, index) for index in range(4)]
    expected = [(scene.exam_id, scene.label, f"R{number}") for scene in scenes for number in (1, 2, 3)]
    assert [(row["exam_id"], row["label"], row["reader"]) for row in rows] == expected


def test_the_first_of_several_readers_starts_as_the_only_one_would(tmp_path: Path) -> None:
    """The recording of R1 depends on the dwell time alone; without a spread it is that of the single reader."""
    for readers in (1, 2):
        Phantom(image_height=64, readers=readers, reader_spread=0.0).generate(
            tmp_path / str(readers), exams=1, seed=2, progress=lambda done, total: None
        )
    name = next((tmp_path / "1" / "gaze").iterdir()).name
    alone, first = (next(iter(Plain().read(tmp_path / str(n) / "gaze" / name))) for n in (1, 2))
    np.testing.assert_allclose(alone.x, first.x, atol=0.011)
