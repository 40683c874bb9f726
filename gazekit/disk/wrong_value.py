"""Say in plain words what pydantic found wrong with a value."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

import pydantic

from gazekit.disk.wording import counted

Problem = Mapping[str, Any]
"""An item of ``pydantic.ValidationError.errors()``, with its context."""

_KINDS = {
    "is missing": ("missing",),
    "expected a whole number": ("int_type", "int_parsing", "int_from_float"),
    "expected a number": ("float_type", "float_parsing"),
    "expected a finite number": ("finite_number",),
    "expected true or false": ("bool_type", "bool_parsing"),
    "expected a text": ("string_type",),
    "expected a list": ("list_type", "tuple_type"),
    "expected a table of keys and values": (
        *("dict_type", "mapping_type", "model_type"),
        *("model_attributes_type", "dataclass_type"),
    ),
}
_WORDS = {kind: words for words, kinds in _KINDS.items() for kind in kinds}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "too_short": ("min_length", "at least"),
    "too_long": ("max_length", "at most"),
}


_KIND = re.compile(r"bool|int|float|str|none|(constrained|json|lax|strict)-[\w-]+|[\w-]+\[.*\]")
"""Names by which pydantic calls the kinds that a value may be of, where there are several."""


def problems_of(error: pydantic.ValidationError) -> list[Problem]:
    """List what is wrong, each value once.

    Values that a list of fixed length lacks are one problem, of the list. So is a value of none of its kinds.
    """
    items = _one_of_each_value(error.errors(include_url=False))
    lacking = [item["type"] == "missing" and isinstance(item["loc"][-1], int) for item in items]
    found: list[Problem] = []
    for (item, lacks), (following, also) in pairwise([*zip(items, lacking, strict=True), (None, False)]):
        if item is None or (lacks and also and following and following["loc"][:-1] == item["loc"][:-1]):
            continue
        found.append(_too_short(item) if lacks else item)
    return found


def _one_of_each_value(items: Sequence[Problem]) -> list[Problem]:
    """Join what pydantic says of each kind that a value may be of; it names the kind in the place of a key."""

    def place(item: Problem) -> tuple[Any, ...]:
        """Where the value is: the keys before the first kind."""
        kind = next((n for n, part in enumerate(item["loc"]) if n and _is_kind(part)), len(item["loc"]))
        return tuple(item["loc"][:kind])

    found: list[Problem] = []
    for loc, each in groupby(items, key=place):
        group = list(each)
        kinds = [item for item in group if len(item["loc"]) > len(loc)]
        inside = [item for item in kinds if len(item["loc"]) > len(loc) + 1]
        if len({item["loc"][len(loc)] for item in kinds}) < 2:  # a key of that name
            found += group
        elif inside:  # the value is of this kind, but for a part of it
            found += [{**item, "loc": (*loc, *item["loc"][len(loc) + 1 :])} for item in inside]
        else:
            words = [in_plain_words(item).removeprefix("expected ") for item in kinds]
            said = f"expected {', or '.join(dict.fromkeys(words))}"
            found.append({**kinds[0], "loc": loc, "type": "of no kind", "msg": said})
    return found


def _is_kind(part: int | str) -> bool:
    return isinstance(part, str) and _KIND.fullmatch(part) is not None


def _too_short(item: Problem) -> Problem:
    *above, position = item["loc"]
    return {**item, "type": "too_short", "loc": tuple(above), "ctx": {"min_length": position + 1}}


def key_in_words(location: Iterable[int | str]) -> str:
    """Join the parts of a key with points, and count the values of a list from 1: ``betas, value 2``."""
    said = ""
    for part in map(str, location):
        said += f", value {int(part) + 1}" if part.isdecimal() and said else f"{'.' if said else ''}{part}"
    return said


def in_plain_words(problem: Problem) -> str:
    """Say what was expected of a value: ``expected a whole number``; or that it is missing."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in _WORDS:
        return _WORDS[kind]
    if kind == "literal_error":
        return f"expected {context['expected']}"
    if kind in _BOUNDS and _is_nan(problem["input"]):
        return _WORDS["finite_number"]
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        bound = context[key]
        number = int(bound) if isinstance(bound, float) and bound.is_integer() else bound
        return f"expected {words} {counted(number, 'value') if kind.startswith('too_') else number}"
    said: str = problem["msg"].removeprefix("Value error, ")
    return said[:1].lower() + said[1:]


def _is_nan(value: object) -> bool:
    try:
        return math.isnan(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def wrong_value(name: str, problem: Problem) -> str:
    """Say what is wrong with a value and what it is; show how to write a list given with bare commas."""
    value = problem["input"]
    if problem["type"] == "missing":
        return in_plain_words(problem)
    if problem["type"] in ("tuple_type", "list_type") and isinstance(value, str):
        parts = value.strip().removeprefix("[").removesuffix("]").split(",")  # a shell takes quotes away
        written = json.dumps([part.strip() for part in parts], ensure_ascii=False)
        return f"expected a list, in quotes for the shell: '{name}={written}' (got {value!r})"
    return f"{in_plain_words(problem)} (got {value!r})"
