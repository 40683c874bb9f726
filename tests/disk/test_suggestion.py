"""Which name was meant by one that does not exist."""

import pytest

from gazekit.disk.suggestion import did_you_mean, meant

KNOWN = (
    "training.epochs",
    "training.batch_size",
    "training.learning_rate",
    "training.weight_decay",
    "training.optimizer",
    "training.amp",
    "loss.gaze_weight",
    "data.size",
    "data.std",
    "views",
)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("training.lr", "training.learning_rate"),
        ("lr", "training.learning_rate"),
        ("training.learn_rate", "training.learning_rate"),
        ("training.bs", "training.batch_size"),
        ("training.batchsize", "training.batch_size"),
        ("training.wd", "training.weight_decay"),
        ("training.optimiser", "training.optimizer"),
        ("epochs", "training.epochs"),
        ("training.epoch", "training.epochs"),
        ("model.epochs", "training.epochs"),
        ("trainig.epochs", "training.epochs"),
        ("Training.Epochs", "training.epochs"),
        ("view", "views"),
        ("gaze_weight", "loss.gaze_weight"),
    ],
)
def test_the_key_that_was_meant(wrong, right):
    assert meant(wrong, KNOWN) == right
    assert did_you_mean(wrong, KNOWN) == f"; did you mean '{right}'?"


@pytest.mark.parametrize("wrong", ["foo", "training.early_stopping", "x.y.z", "", "training."])
def test_nothing_is_suggested_for_what_is_like_nothing(wrong):
    assert meant(wrong, KNOWN) is None and did_you_mean(wrong, KNOWN) == ""
