"""A training that would learn nothing from gaze, or mix two losses up, is refused before it begins."""

from pathlib import Path

import pytest
from test_terms import SHORT, read, train
from tiny import tiny

from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.registry.registry import Registry

__all__ = ["read"]

DECODER = ("use=gaze_decoder", "hidden=4")


@pytest.mark.parametrize("setting", ["gaze.minimum_duration_ms=100000", "gaze.window_ms=[90000,100000]"])
def test_settings_that_leave_no_fixation(
    registry: Registry, read: PreparedDataset, tmp_path: Path, setting: str
) -> None:
    with pytest.raises(DataError, match=r"no fixation of the \d+ training exams is left"):
        train(tiny(registry, setting, *SHORT), read, tmp_path / "run", registry)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["epoch", "step", "val_auc", "val_loss", "best_epoch", "skipped_steps"])
def test_a_term_named_like_a_number_of_the_metrics(registry: Registry, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a term"):
        tiny(registry, *(f"terms.{name}.{each}" for each in DECODER))


@pytest.mark.parametrize(("name", "said"), [("training", "cannot name a term"), ("bfl", "another name")])
def test_a_term_named_like_a_part_of_the_objective(
    registry: Registry, read: PreparedDataset, tmp_path: Path, name: str, said: str
) -> None:
    preset = tiny(registry, *(f"terms.{name}.{each}" for each in DECODER), *SHORT)
    with pytest.raises(ConfigurationError, match=said):
        train(preset, read, tmp_path / "run", registry)
    assert not (tmp_path / "run").exists()


def test_an_attention_map_of_pictures_alone_that_does_not_fit(
    registry: Registry, read: PreparedDataset, tmp_path: Path
) -> None:
    preset = tiny(registry, "gaze=none", "attention_map.use=layer_cam", "attention_map.stage=9", *SHORT)
    with pytest.raises(ConfigurationError, match="expected a stage of 1 … 4"):
        train(preset, read, tmp_path / "run", registry)
    assert not (tmp_path / "run").exists()
