"""The points of a tuning: functions of the seed and the trials before, inside the space, never twice."""

import sys

import numpy as np
import pytest

from gazekit.errors import ConfigurationError
from gazekit.presets.tables import ValueRange
from gazekit.registry.registry import Registry
from gazekit.study.tuning.sampling import TriedPoint, changes, own_point, point_of, size, suggest

SPACE = {
    "training.learning_rate": ValueRange(low=1e-5, high=1e-2, log=True),
    "gaze.target": ("label", "positive"),
    "fusion.vectors.hidden": ([4, 6], [8]),
}


def drawn(sampler: str, trials: int, seed: int = 0, value=lambda _point: 0.5) -> list[TriedPoint]:
    found: list[TriedPoint] = []
    for _ in range(trials):
        point = suggest(SPACE, found, sampler=sampler, seed=seed)
        found.append(TriedPoint(point, value(point)))
    return found


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_point_follows_from_the_seed_and_the_trials_before(sampler: str) -> None:
    trials = drawn(sampler, 8)
    for number in range(8):  # as a stopped tuning would ask, in another process
        assert suggest(SPACE, trials[:number], sampler=sampler, seed=0) == trials[number].point
    assert drawn(sampler, 3, seed=1) != trials[:3]
    for trial in trials:
        assert 1e-5 <= trial.point["training.learning_rate"] <= 1e-2
        assert trial.point["gaze.target"] in SPACE["gaze.target"]
        assert trial.point["fusion.vectors.hidden"] in SPACE["fusion.vectors.hidden"]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_rounded_number_stays_within_its_range_and_a_narrow_one_is_tried_between_its_ends(sampler) -> None:
    """Of a moving average between 0.999 and 0.9999, three digits leave the ends alone, tried again and again."""
    ends = {"a": (0.12341, 0.12349), "training.ema": (0.999, 0.9999), "c": (1000, 1004), "d": (1, 1.12)}
    for key, (low, high) in ends.items():
        space, found = {key: ValueRange(low=low, high=high)}, []
        for _ in range(6):
            found.append(TriedPoint(suggest(space, found, sampler=sampler, seed=0), 0.5))
        values = [each.point[key] for each in found]
        assert len(set(values)) == 6 and all(low <= value <= high for value in values)
        assert max(len(f"{value:.12g}") for value in values) <= 8


def test_usual_ranges_are_tried_in_three_digits() -> None:
    for low, high in ((1e-5, 1e-2), (0, 4), (0.5, 0.9), (-1, 1)):
        space = {"a": ValueRange(low=low, high=high)}
        values = [suggest(space, [], sampler="random", seed=seed)["a"] for seed in range(8)]
        assert values == [float(f"{value:.3g}") for value in values] and len(set(values)) == 8


def test_random_draws_do_not_depend_on_values_and_cover_a_range_by_its_logarithm() -> None:
    low = drawn("random", 60, value=lambda point: point["training.learning_rate"])
    high = drawn("random", 60, value=lambda point: -point["training.learning_rate"])
    assert [each.point for each in low] == [each.point for each in high]
    shares = np.log10([each.point["training.learning_rate"] for each in low])
    assert abs(shares.mean() + 3.5) < 4 * np.sqrt(9 / 12 / 60)  # uniform on [-5, -2]


def test_tpe_learns_where_values_are_high() -> None:
    def value(point):
        distance = abs(np.log10(point["training.learning_rate"]) + 3)
        return 1 - distance / 4 - (0.3 if point["gaze.target"] == "label" else 0)

    learnt, random = (drawn(sampler, 40, value=value)[20:] for sampler in ("tpe", "random"))
    assert np.mean([t.value for t in learnt]) > np.mean([t.value for t in random]) + 0.1


def test_a_failed_trial_tells_nothing_but_is_not_tried_again() -> None:
    space = {"a": (1, 2)}
    (first,) = [suggest(space, [], sampler="tpe", seed=0)]
    assert suggest(space, [TriedPoint(first, None)], sampler="tpe", seed=0) != first


def test_small_spaces_are_tried_whole() -> None:
    space = {"a": (1, 2), "b": ("x", "y", "z")}
    assert size(space) == 6 and size(SPACE) is None
    for sampler in ("random", "tpe"):
        trials: list[TriedPoint] = []
        for number in range(6):
            trials.append(TriedPoint(suggest(space, trials, sampler=sampler, seed=3), number / 10))
        assert len({tuple(t.point.items()) for t in trials}) == 6


def test_items_of_a_point_read_back() -> None:
    point = {"loss.gaze_weight": 2, "gaze.target": "label", "a.b": [4, 6], "training.learning_rate": 1.35e-05}
    items = changes(point)
    assert items == (
        "loss.gaze_weight=2",
        "gaze.target=label",
        "a.b=[4, 6]",
        "training.learning_rate=1.35e-05",
    )
    assert point_of(items) == point
    assert point_of(changes({"gaze.alignment_loss": "mse"})) == {"gaze.alignment_loss": "mse"}


def test_the_values_of_a_preset_are_a_point_if_they_lie_in_its_space(registry: Registry) -> None:
    preset = registry.preset("ga_net")
    assert own_point(preset, preset.space) == {
        "training.learning_rate": 1e-4,
        "loss.gaze_weight": 2,
        "gaze.target": "label",
    }
    assert own_point(registry.preset("ga_net", overrides=["loss.gaze_weight=3"]), preset.space) is None
    assert own_point(registry.preset("ga_net", overrides=["training.learning_rate=1"]), preset.space) is None
    for low, high in ((1e-4, 1e-3), (1e-5, 1e-4)):  # its rate is an end of the range
        ends = {"training.learning_rate": ValueRange(low=low, high=high)}
        assert own_point(preset, ends) == {"training.learning_rate": 1e-4}
    assert own_point(preset, {"gaze.alignment_loss": ("mse", "pyramid")}) == {"gaze.alignment_loss": "mse"}


def test_without_optuna_a_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        ConfigurationError, match=r"sampler tpe needs Optuna; install it with: pip install .*(optuna|tune)"
    ):
        suggest(SPACE, [], sampler="tpe", seed=0)
