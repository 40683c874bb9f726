"""Fifteen viewers of twelve pictures: how well they predict each other, and a model beside that."""

import json
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import gazekit
from made_viewers import PAGE, prepare_viewers

from gazekit.errors import DataError
from gazekit.measures.catalogue import MEASURES
from gazekit.measures.evaluate import evaluate
from gazekit.measures.gaze.agreement import correlation, nss
from gazekit.measures.gaze.fixated_pixels import fixation_counts
from gazekit.measures.gaze.information_gain import centre_bias, information_gain
from gazekit.measures.gaze.looked_at import LookedAt
from gazekit.measures.gaze.reader_comparison import _elsewhere, _predictions, compare_readers
from gazekit.measures.gaze.scanpath import dtw_distance
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset


@pytest.fixture(scope="module")
def viewed(tmp_path_factory):
    return PreparedDataset.open(prepare_viewers(tmp_path_factory.mktemp("viewers")))


@pytest.fixture(scope="module")
def found(viewed):
    return compare_readers(viewed)


@pytest.fixture
def once(monkeypatch, found):
    """The command prints a comparison that was made before: it takes seconds."""
    monkeypatch.setattr("gazekit.measures.gaze.reader_comparison.compare_readers", lambda *_, **__: found)


@pytest.fixture
def compared(once, viewed):
    return json.loads(gazekit("gaze", "compare", viewed.root, "--json").stdout)


def predicting(dataset, maps):
    """What a model would say whose attention are these maps."""
    even = np.full((len(dataset), 2), 0.5, dtype=np.float32)
    return Predictions(np.arange(len(dataset)), even, even, {"photo": np.array(maps, dtype=np.float32)})


def mean_maps(dataset, readers=None):
    return [
        np.mean(
            [
                dataset.heat_map(exam, "photo", readers=(name,))
                for name in readers or dataset.readers(exam, "photo")
            ],
            axis=0,
        )
        for exam in range(len(dataset))
    ]


def test_the_heat_map_of_14_viewers_predicts_the_fifteenth_better_than_the_centre_bias(compared):
    found = compared["prediction"]
    assert compared["images"] == 12 and compared["pairs"] == 12 * 105 and len(compared["readers"]) == 15
    gain = found["information_gain"]
    assert gain["low"] > 1 and gain["control"]["value"] == 0  # bits per fixation
    for name in ("nss", "auc_judd", "shuffled_auc"):
        assert found[name]["low"] > found[name]["control"]["high"]
    assert all(values["information_gain"] > 0 for values in compared["readers"].values())


def test_two_viewers_of_a_picture_go_about_it_more_alike_than_about_different_pictures(compared):
    found = compared["scanpaths"]
    assert found["dtw_distance"]["high"] < found["dtw_distance"]["control"]["low"]
    for name in ("multimatch_shape", "multimatch_direction", "multimatch_position", "scanmatch"):
        assert found[name]["low"] > found[name]["control"]["high"]
    duration = found["multimatch_duration"]  # drawn at random
    assert duration["value"] == pytest.approx(duration["control"]["value"], abs=0.02)


def test_the_page_prints_what_the_command_prints(once, viewed):
    printed = gazekit("gaze", "compare", viewed.root).stdout
    (block,) = re.findall(r"^```text\n(.*?)^…\n```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    number = r"\d+\.\d+"
    shown = "\n".join(line.rstrip() for line in printed.splitlines()[: len(block.splitlines())])
    assert re.sub(number, "N", shown).split() == re.sub(number, "N", block).split()
    numbers = [[float(found) for found in re.findall(number, text)] for text in (shown, block)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.002)


def test_the_page_of_areas_prints_what_its_command_prints(viewed, tmp_path, monkeypatch):
    text = (PAGE.parent / "areas.md").read_text()
    (script,), (block,) = (
        re.findall(rf"^```{kind}\n(.*?)^{end}\n", text, flags=re.DOTALL | re.MULTILINE)[:1]
        for kind, end in (("python", "```"), ("text", "…"))
    )
    monkeypatch.chdir(tmp_path)
    exec(script, {})
    printed = gazekit("gaze", "areas", viewed.root, "--areas", "areas.csv").stdout
    assert [line.split() for line in printed.splitlines()[:4]] == [
        line.split() for line in block.splitlines()
    ]


def test_the_comparison_is_its_slow_definition(found, viewed):
    gains = []
    of_reader = {name: {"gain": [], "distance": []} for name in found.by_reader}
    for exam in range(len(viewed)):
        others = [each for e in range(len(viewed)) if e != exam for each in viewed.fixations(e, "photo")]
        x, y = (np.concatenate([getattr(each, axis) for each in others]) for axis in ("x", "y"))
        bias = centre_bias(fixation_counts(np.stack([x, y], axis=1), viewed.size))
        paths = dict(zip(viewed.readers(exam, "photo"), viewed.fixations(exam, "photo"), strict=True))
        for name, path in paths.items():
            rest = np.mean(
                [viewed.heat_map(exam, "photo", readers=(each,)) for each in paths if each != name], axis=0
            )
            gains.append(information_gain(rest, np.stack([path.x, path.y], axis=1), bias))
            of_reader[name]["gain"].append(gains[-1])
            of_reader[name]["distance"].append(
                np.mean([dtw_distance(path, paths[each], viewed.size) for each in paths if each != name])
            )
    assert found.prediction["information_gain"].found.value == pytest.approx(np.mean(gains))
    distances = [each for values in of_reader.values() for each in values["distance"]]
    assert found.scanpaths["dtw_distance"].found.value == pytest.approx(np.mean(distances))
    for name, measures in found.by_reader.items():
        assert measures["information_gain"] == pytest.approx(np.mean(of_reader[name]["gain"]))
        assert measures["dtw_distance"] == pytest.approx(np.mean(of_reader[name]["distance"]))


def test_the_heat_map_of_all_readers_is_the_mean_of_theirs_scaled_to_one(viewed):
    (mean,) = mean_maps(viewed)[:1]
    assert viewed.heat_map(0, "photo") == pytest.approx(mean / mean.max(), abs=1e-6)
    one = viewed.heat_map(0, "photo", readers=("viewer03",))
    assert one.max() == 1 and correlation(one, mean) > 0.3
    assert not viewed.heat_map(0, "photo", readers=("nobody",)).any()


def test_a_score_is_the_mean_over_readers_and_stands_beside_the_ceiling(found, viewed):
    maps = mean_maps(viewed, readers=("viewer03", "viewer08"))
    measured = evaluate(viewed, predicting(viewed, maps), resamples=50)["gaze_agreement"]
    looked = LookedAt.of(viewed, range(len(viewed)), ["photo"])
    expected = np.mean(
        [
            np.mean([nss(maps[exam], own, viewed.size) for own in looked.points(exam, "photo").values()])
            for exam in range(len(viewed))
        ]
    )
    assert measured["nss"].value == pytest.approx(expected)
    for name in ("nss", "information_gain"):
        assert measured[f"{name}_ceiling"].value == pytest.approx(found.prediction[name].found.value)
        share = measured[name].value / measured[f"{name}_ceiling"].value
        assert measured[f"{name}_share"].value == pytest.approx(share)
        assert 0 < share < 1, "two viewers know less than fourteen"
    assert set(measured) == {name for name, measure in MEASURES.items() if measure.group == "gaze_agreement"}
    assert set(found.scanpaths) == {
        name for name, measure in MEASURES.items() if measure.group == "scanpaths"
    }


def test_each_named_reader_is_measured_unless_there_are_many(viewed, monkeypatch):
    maps = mean_maps(viewed, readers=("viewer03", "viewer08"))
    few = evaluate(viewed, predicting(viewed, maps), resamples=50)
    assert not any(group.startswith("reader_") for group in few)
    monkeypatch.setattr("gazekit.measures.images._MOST_READERS", 15)
    measured = evaluate(viewed, predicting(viewed, maps), resamples=50)
    assert sum(group.startswith("reader_viewer") for group in measured) == 15
    looked = LookedAt.of(viewed, range(len(viewed)), ["photo"])
    own = [looked.points(exam, "photo")["viewer05"] for exam in range(len(viewed))]
    expected = np.mean([nss(maps[exam], own[exam], viewed.size) for exam in range(len(viewed))])
    assert measured["reader_viewer05"]["nss"].value == pytest.approx(expected)
    assert measured["reader_viewer03"]["nss"].value > measured["reader_viewer05"]["nss"].value


def test_attention_that_knows_nothing_has_no_share(viewed):
    maps = np.random.default_rng(0).random((len(viewed), 4, 4))
    found = evaluate(viewed, predicting(viewed, maps), resamples=50)["gaze_agreement"]
    assert abs(found["nss_share"].value) < 0.15
    assert found["information_gain"].value < 0, "worse than the centre bias"


def test_data_with_one_reader_have_no_ceiling_and_nothing_to_compare(dataset):
    maps = np.random.default_rng(0).random((len(dataset), 4, 4))
    even = np.full((len(dataset), 2), 0.5, dtype=np.float32)
    predictions = Predictions(np.arange(len(dataset)), even, even, {"cc": maps.astype(np.float32)})
    found = evaluate(dataset, predictions, resamples=50)["gaze_agreement"]
    assert "information_gain" in found and not any(name.endswith(("ceiling", "share")) for name in found)
    with pytest.raises(DataError, match="no image has the gaze of two readers"):
        compare_readers(dataset)
    said = gazekit("gaze", "compare", dataset.root, code=3).stderr
    assert "no image has the gaze of two readers" in said


def test_one_patient_gives_values_without_intervals(viewed, monkeypatch):
    monkeypatch.setattr(
        "gazekit.measures.gaze.reader_comparison.scanpath_similarity", lambda *_: {"scanmatch": 0.5}
    )
    alone = replace(viewed, patient_ids=("one",) * len(viewed))
    found = compare_readers(alone, resamples=10)
    assert found.scanpaths["scanmatch"].found.value == 0.5 and found.scanpaths["scanmatch"].control is None
    assert math.isnan(found.prediction["nss"].found.low)
    monkeypatch.setattr("gazekit.measures.gaze.reader_comparison.compare_readers", lambda *_, **__: found)
    assert (
        json.loads(gazekit("gaze", "compare", viewed.root, "--json").stdout)["prediction"]["nss"]["low"]
        is None
    )
    assert "nan" not in gazekit("gaze", "compare", viewed.root).stdout


def test_the_centre_bias_of_an_image_is_estimated_once_for_its_control(viewed, monkeypatch):
    looked = LookedAt.of(viewed, range(len(viewed)), viewed.views)
    image = next(image for image, readers in looked.scanpaths.items() if len(readers) > 1)
    calls = []
    monkeypatch.setattr(
        "gazekit.measures.gaze.reader_comparison.centre_bias",
        lambda counts: calls.append(counts) or centre_bias(counts),
    )
    controls = _predictions(viewed, looked, image)[1]
    assert len(controls) == 4 and len(calls) == 1


@pytest.mark.parametrize("seed", range(20))
def test_the_other_image_is_the_next_of_its_view_and_of_another_patient(seed):
    random = np.random.default_rng(seed)
    patients = random.integers(0, random.integers(1, 5), 12).tolist()
    shared = [(exam, view) for exam in range(12) for view in ("cc", "mlo") if random.random() < 0.7]

    def slowly(image):
        position = shared.index(image)
        for exam, view in (*shared[position + 1 :], *shared[:position]):
            if view == image[1] and patients[exam] != patients[image[0]]:
                return exam, view
        return None

    found = _elsewhere(SimpleNamespace(patient_ids=patients), shared)
    assert [found.get(image) for image in shared] == [slowly(image) for image in shared]
