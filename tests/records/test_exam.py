"""An exam takes the name that its part had until 0.1."""

from dataclasses import replace
from pathlib import Path

import pytest

from gazekit.records.exam import Exam


def test_the_former_name_of_a_part_is_taken_and_read_with_a_warning() -> None:
    made = Exam("e", "p", "0", {"cc": Path("cc.png")}, part="train")
    with pytest.warns(FutureWarning, match=r"Exam\.split is now Exam\.part"):
        former = Exam("e", "p", "0", {"cc": Path("cc.png")}, split="train")  # type: ignore[call-arg]
    assert former == made and repr(former) == repr(made)
    with pytest.warns(FutureWarning, match=r"Exam\.split is now Exam\.part"):
        assert made.split == "train"
    with pytest.warns(FutureWarning, match=r"Exam\.split is now Exam\.part"):
        assert replace(made, split="val").part == "val"  # type: ignore[call-arg]
    assert replace(made, part="test").part == "test"
