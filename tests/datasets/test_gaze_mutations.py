"""Seeded mutations of every gaze format: never a traceback, a hang or memory without bound, only sound recordings."""

import random
import re
import resource
import shutil
from collections import Counter
from pathlib import Path

import pytest
from gaze_formats import FOLDER, MINIATURES, READERS, outcome

from gazekit.errors import DataError

WORDS = (
    b"nan", b"inf", b"-inf", b"1e400", b"1e308", b"-1e308", b"1e-320", b"-1", b"0", b"-0.0", b"9" * 40, b"1e18",
    b"1_0", b"0x10", b"", b".", b",", b";", b"\t", b'"', b"'", b"\r", b"\n", b"\r\n", b"\0", b"\xff", b"\xfe\xff",
    b"\xef\xbb\xbf", b"(", b")", b"[", b"]", b"[[[[", b"None", b"True", b"lost", "é".encode(), b"\xe2\x80\xa8",
    b"\x1a", b"\xed\xa0\x80",
)  # fmt: skip
MEGABYTES = 300
"""How much the process may grow: a miniature has kilobytes."""


def mutated(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """One to six faults, each of a random kind."""
    for _ in range(chance.randint(1, 6)):
        content = chance.choice(KINDS)(content, others, chance)
    return content


def _place(content: bytes, chance: random.Random) -> int:
    """Anywhere, half of the time in the first lines, which say what follows."""
    return chance.randint(0, min(len(content), 1500) if chance.random() < 0.5 else len(content))


def bytes_changed(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    changed = bytearray(content or b" ")
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def word_inserted(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    at = _place(content, chance)
    return content[:at] + chance.choice(WORDS) * chance.choice((1, 1, 1, 2, 300)) + content[at:]


def number_replaced(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    start = _place(content, chance)
    number = re.compile(rb"-?\d+(\.\d+)?").search(content, start)
    if number is None:
        return content
    return content[: number.start()] + chance.choice(WORDS) + content[number.end() :]


def part_cut(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    start = _place(content, chance)
    return content[:start] + content[start + chance.choice((1, 3, 30, 300, 10**6)) :]


def part_repeated(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    start, to = _place(content, chance), _place(content, chance)
    part = content[start : start + chance.choice((1, 10, 100, 1000))]
    return content[:to] + part * chance.choice((1, 1, 2, 50)) + content[to:]


def lines_shuffled(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    for _ in range(chance.randint(1, 3) if len(lines) > 1 else 0):
        one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def separators_changed(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    old, new = (
        chance.choice((b",", b"\t", b";", b" ", b".", b"\n")),
        chance.choice((b",", b"\t", b";", b"\r", b"")),
    )
    return content.replace(old, new, chance.choice((1, 5, -1)))


def spliced(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    other = chance.choice(others)
    return content[: _place(content, chance)] + other[_place(other, chance) :]


def recoded(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    return content.decode("utf-8", errors="replace").encode(
        chance.choice(("utf-16", "utf-16-be", "utf-8-sig"))
    )


KINDS = (
    bytes_changed, word_inserted, word_inserted, number_replaced, number_replaced, number_replaced, part_cut,
    part_repeated, lines_shuffled, separators_changed, spliced, recoded,
)  # fmt: skip


def run(count: int, seed: int, folder: Path) -> Counter[str]:
    """Mutate the miniatures in turn; a mutated one lies among the sound others. Returns how often each was read."""
    beside = Path(shutil.copytree(FOLDER, folder / "gaze"))
    sound = {path.name: path.read_bytes() for path in MINIATURES.values()}
    names, read = sorted(READERS), Counter[str]()
    for number in range(count):
        name = names[number % len(names)]
        chance = random.Random(f"{seed} {number}")
        # a reader of two files reads a damaged one of the other kind now and then
        damaged = MINIATURES[chance.choice(names) if chance.random() < 0.1 else name].name
        (beside / damaged).write_bytes(mutated(sound[damaged], list(sound.values()), chance))
        try:
            found = outcome(name, beside / MINIATURES[name].name)
        except BaseException as error:
            error.add_note(f"mutation {number} of seed {seed}: {damaged} for {name}")
            raise
        read[name] += not isinstance(found, DataError)
        (beside / damaged).write_bytes(sound[damaged])
    return read


def _check(count: int, seed: int, folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read = run(count, seed, folder)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES
    share = {name: read[name] * len(READERS) / count for name in READERS}
    assert min(share.values()) > 0.02, share  # mutations that leave nothing readable would test nothing
    assert max(share.values()) < 0.9, share


def test_a_short_run(tmp_path: Path) -> None:
    _check(2000, 20, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_long_run(tmp_path: Path, seed: int) -> None:
    _check(10_000, seed, tmp_path)
