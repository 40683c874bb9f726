"""The views of a preset, found again in headers, file names and column names."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

SIDES = {"l": "L", "left": "L", "r": "R", "right": "R"}
"""Words for a side, in small letters."""
_LONG = ("left", "right")

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a text says of a view.

    Args:
        view: the preset's name of it; empty where the text names none, or several.
        side: ``"L"`` or ``"R"``; empty where the text names none, or both.
        words: positions of the words that name the view, with its side where the preset's name has one.
    """

    view: str = ""
    side: str = ""
    words: frozenset[int] = frozenset()


def split_words(text: str) -> list[str]:
    """The words of a text in small letters: letters and digits, everything else between them."""
    return [word for word in re.split(r"[\W_]+", text.lower()) if word]


@dataclass(frozen=True)
class ViewNames:
    """The views of a preset by the words in them; a view may name its side (``L-CC``, ``cc_right``, ``lmlo``)."""

    views: tuple[str, ...]
    bare: dict[str, tuple[Words, str]] = field(init=False, repr=False)
    """View → its words without the side, and the side."""

    def __post_init__(self) -> None:
        joined = {"".join(split_words(view)) for view in self.views}
        object.__setattr__(self, "bare", {view: _bare(view, joined) for view in self.views})

    @property
    def sided(self) -> bool:
        """Whether the views name sides, so that an exam has both."""
        return all(side for _, side in self.bare.values())

    def side_of(self, view: str) -> str:
        """The side in a view's own name, else empty."""
        return self.bare[view][1]

    def match(self, view: str, side: str = "") -> str:
        """The preset's name of a view that a header or a data source names; empty if it is none of them."""
        words = tuple(split_words(view))
        exact = next((name for name in self.views if tuple(split_words(name)) == words), "")
        if exact or not words:
            return exact
        spoken = self.find(words)
        if spoken.view and all(at in spoken.words or word in SIDES for at, word in enumerate(words)):
            return spoken.view
        return next((name for name, known in self.bare.items() if known == (words, side)), "")

    def find(self, words: Sequence[str], side: str = "") -> Spoken:
        """What the words of a text say; ``side`` is known otherwise, for views that name theirs.

        ``l`` and ``r`` count beside the view only, ``left`` and ``right`` anywhere; ``lcc`` is both in one word.
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
        if {words[position] for position in at} <= set(SIDES):  # a view called left is no side of an image
            return Spoken(view, words=at)
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
    """Where a view stands among words; ``beside`` is the position of a side's letter or word next to it."""

    words: frozenset[int]
    side: str = ""
    beside: int | None = None


def _places(words: Sequence[str], bare: Words) -> Iterator[_Place]:
    """Where a view stands, with the side that is beside it or in the same word."""
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
    """The positions of the words that name the side."""
    if place.side:
        return frozenset() if place.beside is None else frozenset({place.beside})
    return frozenset(at for at, word in enumerate(words) if word in _LONG)


def _only(sides: Collection[str]) -> str:
    return next(iter(sides)) if len(sides) == 1 else ""
