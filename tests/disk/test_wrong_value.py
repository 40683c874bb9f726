"""Wrong values are described in the words of a user, not in those of pydantic."""

from typing import Any, Literal

import pydantic
import pytest
from pydantic import Field

from gazekit.disk.wrong_value import in_plain_words, key_in_words, problems_of, wrong_value


class Table(pydantic.BaseModel):
    count: int = Field(1, ge=1)
    rate: float = Field(1.0, gt=0, le=0.5)
    flag: bool = False
    name: str = ""
    kind: Literal["a", "b"] = "a"
    widths: tuple[int, int, int, int] = (1, 2, 3, 4)
    views: tuple[str, ...] = Field(("cc",), min_length=1)
    mode: bool | Literal["auto"] = "auto"
    spread: float | tuple[float, float] = 0.1
    inner: "Table | None" = None


def said(**values: Any) -> list[str]:
    with pytest.raises(pydantic.ValidationError) as caught:
        Table(**values)
    return [
        f"{'.'.join(map(str, item['loc']))}: {in_plain_words(item)}" for item in problems_of(caught.value)
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"count": "ten"}, "count: expected a whole number"),
        ({"count": 1.5}, "count: expected a whole number"),
        ({"count": 0}, "count: expected at least 1"),
        ({"rate": "x"}, "rate: expected a number"),
        ({"rate": 0}, "rate: expected more than 0"),
        ({"rate": 1}, "rate: expected at most 0.5"),
        ({"rate": float("nan")}, "rate: expected a finite number"),
        ({"rate": "nan"}, "rate: expected a finite number"),
        ({"flag": "maybe"}, "flag: expected true or false"),
        ({"name": 5}, "name: expected a text"),
        ({"kind": "c"}, "kind: expected 'a' or 'b'"),
        ({"widths": 8}, "widths: expected a list"),
        ({"widths": [4, 8]}, "widths: expected at least 4 values"),
        ({"widths": []}, "widths: expected at least 4 values"),
        ({"widths": [1, 2, 3, 4, 5]}, "widths: expected at most 4 values"),
        ({"views": []}, "views: expected at least 1 value"),
        ({"inner": "no"}, "inner: expected a table of keys and values"),
        ({"mode": "never"}, "mode: expected true or false, or 'auto'"),
        ({"spread": "wide"}, "spread: expected a number, or a list"),
        ({"spread": [1, "wide"]}, "spread.1: expected a number"),
        ({"inner": {"mode": 7}}, "inner.mode: expected true or false, or 'auto'"),
        ({"inner": {"widths": [1]}}, "inner.widths: expected at least 4 values"),
    ],
)
def test_a_problem_is_said_in_plain_words(values: dict[str, Any], words: str) -> None:
    assert said(**values) == [words]


def test_lists_that_lack_values_are_a_problem_each() -> None:
    lacking = {"widths": [4, 8], "inner": {"widths": [1, 2, 3], "count": 0}}
    assert said(**lacking) == [
        "widths: expected at least 4 values",
        "inner.count: expected at least 1",
        "inner.widths: expected at least 4 values",
    ]


def test_values_of_a_list_are_counted_from_one() -> None:
    assert key_in_words(("training", "betas", 1)) == "training.betas, value 2"
    assert key_in_words(("0", "weight")) == "0.weight"


def test_a_list_written_with_bare_commas_is_shown_as_it_should_be():
    said = wrong_value("views", {"type": "tuple_type", "input": "cc, mlo", "msg": "no tuple"})
    assert said == """expected a list, in quotes for the shell: 'views=["cc", "mlo"]' (got 'cc, mlo')"""
    said = wrong_value("views", {"type": "tuple_type", "input": "[cc,mlo]", "msg": "no tuple"})
    assert said.endswith("""'views=["cc", "mlo"]' (got '[cc,mlo]')"""), (
        'as a shell hands over views=["cc","mlo"]'
    )
    said = wrong_value("n", {"type": "int_type", "input": 1.5, "msg": "no integer"})
    assert said == "expected a whole number (got 1.5)"
