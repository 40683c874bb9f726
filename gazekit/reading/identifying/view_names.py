"""Recognise the views of a preset in headers, file names and column names."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from gazekit.errors import DataError

SIDES = {"l": "L", "left": "L", "r": "R", "right": "R"}
"""Words for a side, in lower case."""
_LONG = ("left", "right")

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spoken:
    """The view and side that a text names.

    Args:
        view: name in the preset; empty if the text names none or several.
        side: ``"L"`` or ``"R"``; empty if the text names none or both.
        words: positions of the words that name the view, and its side if the preset's name includes one.
    """

    view: str = ""
    side: str = ""
    words: frozenset[int] = frozenset()


def side_in(cell: str, column: str, where: str) -> str:
    """Read a side in a cell of a table, ``"L"`` or ``"R"``; empty if the cell is. Raises: DataError."""
    side = cell.lower()
    if side and side not in SIDES:
        raise DataError(f"{where}: {column} is {side[:60]!r}; expected L, R or nothing")
    return SIDES.get(side, "")


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words of letters and digits."""
    return [word for word in re.split(r"[\W_]+", text.lower()) if word]


@dataclass(frozen=True)
class ViewNames:
    """Recognise a preset's views by their words; a view may include its side (``L-CC``, ``cc_right``, ``lmlo``)."""

    views: tuple[str, ...]
    bare: dict[str, tuple[Words, str]] = field(init=False, repr=False)
    """View → (words without the side, side)."""

    def __post_init__(self) -> None:
        joined = {"".join(split_words(view)) for view in self.views}
        object.__setattr__(self, "bare", {view: _bare(view, joined) for view in self.views})

    @property
    def sided(self) -> bool:
        """Whether the views include sides, so that an exam has both."""
        return all(side for _, side in self.bare.values())

    def side_of(self, view: str) -> str:
        """Return the side in a view's name, else an empty text."""
        return self.bare[view][1]

    def match(self, view: str, side: str = "") -> str:
        """Return the preset's name for a view in a header or data source; empty if it is none of the preset's."""
        words = tuple(split_words(view))
        exact = next((name for name in self.views if tuple(split_words(name)) == words), "")
        if exact or not words:
            return exact
        spoken = self.find(words)
        if spoken.view and all(at in spoken.words or word in SIDES for at, word in enumerate(words)):
            return spoken.view
        return next((name for name, known in self.bare.items() if known == (words, side)), "")

    def find(self, words: Sequence[str], side: str = "") -> Spoken:
        """Find view and side in a text; ``side``, known from elsewhere, completes views that include one.

        ``l`` and ``r`` count only next to the view, ``left`` and ``right`` anywhere; ``lcc`` names both in one word.
        """
        far = {SIDES[word] for word in words if word in _LONG}
        found: dict[str, frozenset[int]] = {}
        sides = set(far)
        for name, (bare, own) in self.bare.items():
            for place in _places(words, bare):
                here = place.side
                if own and own != (here or _only(far) or side):
                    continue
                sides |= {here} if here else set()
                found[name] = place.words | (_spoken_side(words, place) if own else frozenset())
        if len(found) != 1:
            return Spoken(side=_only(sides))
        ((view, at),) = found.items()
        if SIDES.keys() >= {words[position] for position in at}:
            return Spoken(view, words=at)  # a view called left is not the side of an image
        return Spoken(view, _only(sides), at)


def _bare(view: str, joined: set[str]) -> tuple[Words, str]:
    words = split_words(view)
    sides = [word for word in words if word in SIDES]
    if len(sides) == 1 and len(words) > 1:
        return tuple(word for word in words if word not in SIDES), SIDES[sides[0]]
    other = {"l": "r", "r": "l"}
    if len(words) == 1 and len(words[0]) > 1 and words[0][0] in other:
        word = words[0]
        if other[word[0]] + word[1:] in joined:
            return (word[1:],), SIDES[word[0]]
    return tuple(words), ""


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a view among words; ``beside`` is the position of a side's letter or word next to it."""

    words: frozenset[int]
    side: str = ""
    beside: int | None = None


def _places(words: Sequence[str], bare: Words) -> Iterator[_Place]:
    """Find the places of a view, with a side next to it or in the same word."""
    length = len(bare)
    for at in range(len(words) - length + 1):
        if tuple(words[at : at + length]) == bare:
            near = [i for i in (at - 1, at + length) if i in range(len(words)) and words[i] in SIDES]
            beside = near[0] if len({SIDES[words[i]] for i in near}) == 1 else None
            side = "" if beside is None else SIDES[words[beside]]
            yield _Place(frozenset(range(at, at + length)), side, beside)
        elif length == 1 and words[at][1:] == bare[0] and words[at][0] in SIDES:
            yield _Place(frozenset({at}), SIDES[words[at][0]])


def _spoken_side(words: Sequence[str], place: _Place) -> frozenset[int]:
    """Return the positions of the words that name the side."""
    if place.side:
        return frozenset() if place.beside is None else frozenset({place.beside})
    return frozenset(at for at, word in enumerate(words) if word in _LONG)


def _only(sides: Collection[str]) -> str:
    return next(iter(sides)) if len(sides) == 1 else ""
