"""Which name was meant by one that does not exist, and how a list is written."""

import pytest

from gazekit.disk.suggestion import did_you_mean, meant, wrong_value

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


def test_a_list_written_with_bare_commas_is_shown_as_it_should_be():
    said = wrong_value("views", {"type": "tuple_type", "input": "cc, mlo", "msg": "no tuple"})
    assert said == """expected a list, in quotes for the shell: 'views=["cc", "mlo"]' (got 'cc, mlo')"""
    said = wrong_value("views", {"type": "tuple_type", "input": "[cc,mlo]", "msg": "no tuple"})
    assert said.endswith("""'views=["cc", "mlo"]' (got '[cc,mlo]')"""), (
        'as a shell hands over views=["cc","mlo"]'
    )
    assert wrong_value("n", {"type": "int_type", "input": 1.5, "msg": "no integer"}) == "no integer (got 1.5)"
