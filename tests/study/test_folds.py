"""The splits of a study: as its presets say, one for all systems."""

from pathlib import Path

import pytest
from tiny import tiny

from gazekit.errors import ConfigurationError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import k_folds, make_split, write_split
from gazekit.registry.registry import Registry
from gazekit.study.folds import protocol, study_splits
from gazekit.study.settings import StudySettings, parse_study


def study(**values: object) -> StudySettings:
    rows = [{"name": "a", "preset": "mammonet_small"}, {"name": "b", "preset": "mammonet_small"}]
    return parse_study({"data": "prepared", "system": rows, **values}, "STUDY.toml", folder=Path())


def test_folds_are_dealt_with_the_seed_and_the_validation_share_of_the_preset(
    registry: Registry, dataset: PreparedDataset
) -> None:
    plain, other = tiny(registry), tiny(registry, "data.split_seed=3", "data.val=0.6")
    usual = study_splits(dataset, study(folds=2), {"a": plain})
    assert list(usual.values()) == k_folds(dataset, 2)
    dealt = study_splits(dataset, study(folds=2), {"a": other})
    assert list(dealt.values()) == k_folds(dataset, 2, 3, val=0.6) != k_folds(dataset, 2, 3)
    again = study_splits(dataset, study(folds=2, repeats=2), {"a": other})
    assert list(again) == [f"repeat-{repeat}-fold-{fold}" for repeat in (1, 2) for fold in (1, 2)]
    assert list(again.values()) == [
        *k_folds(dataset, 2, 3, val=0.6),
        *k_folds(dataset, 2, 3, val=0.6, repeat=1),
    ]


def test_random_splits_have_the_shares_of_the_study_and_seeds_one_after_another(
    registry: Registry, dataset: PreparedDataset
) -> None:
    preset = tiny(registry, "data.split_seed=3", "data.test=0.1", "data.val=0.1")
    settings = study(folds={"test": 0.4, "val": 0.3}, repeats=2)
    splits = study_splits(dataset, settings, {"a": preset})
    assert splits == {
        f"split-{number}": make_split(dataset, seed=2 + number, test=0.4, val=0.3, anew=True)
        for number in (1, 2)
    }
    assert splits["split-1"] != splits["split-2"]
    said = protocol(dataset, settings, splits, preset)
    assert said.startswith("2 random splits by patient, 40 % of the patients in the test part: about ")


def test_one_split_is_made_as_training_makes_it(registry: Registry, dataset: PreparedDataset) -> None:
    preset = tiny(registry, "data.split_seed=3", "data.test=0.4", "data.val=0.4")
    splits = study_splits(dataset, study(folds="given"), {"a": preset})
    assert splits == {"fold-1": make_split(dataset, seed=3, test=0.4, val=0.4)}
    assert "one split by patient, 6:4" in protocol(dataset, study(folds="given"), splits, preset)


def test_systems_that_split_in_different_ways_are_refused_by_name_and_key(
    registry: Registry, dataset: PreparedDataset
) -> None:
    presets = {"a": tiny(registry), "b": tiny(registry, "data.split_seed=3", "data.test=0.4")}
    with pytest.raises(
        ConfigurationError,
        match=r"different ways: a with data.split_seed=0, data.test=0.3; b with data.split_seed=3, data.test=0.4",
    ):
        study_splits(dataset, study(folds=2), presets)


def test_keys_that_do_not_change_the_split_may_differ(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    presets = {"a": tiny(registry), "b": tiny(registry, "data.test=0.4")}
    assert list(study_splits(dataset, study(folds=2), presets).values()) == k_folds(dataset, 2)
    split = make_split(dataset, seed=5)
    write_split(tmp_path / "mine.csv", dataset, split)
    presets = {"a": tiny(registry), "b": tiny(registry, "data.split_seed=3")}
    assert study_splits(dataset, study(folds=str(tmp_path / "mine.csv")), presets) == {"fold-1": split}
