"""Suggest the name that was probably meant by an unknown one."""

import difflib
from collections.abc import Iterable, Iterator, Sequence


def meant(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to a wrong one, if there is one.

    Dotted names are compared whole, then by their last part: ``epochs`` and ``training.epoch`` match
    ``training.epochs``, ``training.lr`` for ``training.learning_rate``.
    """
    return next(_candidates(name, list(known)), None)


def _candidates(name: str, known: Sequence[str]) -> Iterator[str]:
    """Return the known names that may be meant, most likely first."""
    table, _, last = name.rpartition(".")
    if not last:
        return
    parts = {each: each.rpartition(".") for each in known}
    yield from (each for each in known if each.casefold() == name.casefold())
    same = [each for each in known if parts[each][2] == last]
    yield from same if len(same) == 1 else ()
    yield from difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    for pool in ([each for each in known if parts[each][0] == table], known):
        short = [each for each in pool if _is_short_for(last, parts[each][2])]
        yield from short if len(short) == 1 else ()
        near = difflib.get_close_matches(last, [parts[each][2] for each in pool], n=1, cutoff=0.7)
        yield from (each for each in pool if parts[each][2] in near)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'epochs'?``, or an empty text."""
    found = meant(name, known)
    return f"; did you mean '{found}'?" if found else ""


def _is_short_for(short: str, name: str) -> bool:
    """Whether a name is short for another: ``lr`` and ``learn_rate`` for ``learning_rate``."""
    rest = short.lower().replace("_", "").replace("-", "")
    for word in name.lower().split("_"):
        taken = 0
        while taken < min(len(word), len(rest)) and word[taken] == rest[taken]:
            taken += 1
        if not taken:
            return False
        rest = rest[taken:]
    return not rest
