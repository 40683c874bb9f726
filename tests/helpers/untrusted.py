"""Files of ours, damaged in every way there is, and commands that meet them in a child process with limits."""

import contextlib
import csv
import io
import json
import os
import random
import resource
import select
import signal
import sys
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from command_line import TINY  # noqa: F401 # its import sets the command line up

from gazekit.cli import console
from gazekit.cli.main import main

CPU_SECONDS = 5
WALL_SECONDS = 60
"""Of waiting, on a machine that has other things to do."""
BEYOND = 500 * 2**20
"""Bytes of address space that a command may take beyond what this process has at its start."""
ALLOWED = {2, 3, 74}
Damage = Callable[[Path], None]


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 3 // 5)


def _noise(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(max(path.stat().st_size, 64)))


def _deep(path: Path) -> None:
    opening, closing = (
        ("x = " + "[" * 20_000, "]" * 20_000) if path.suffix == ".toml" else ("[" * 50_000, "]" * 50_000)
    )
    path.write_text(opening + closing + "\n")


def _wide(path: Path) -> None:
    """A million wrong values, each of which a message could be about."""
    path.write_text(("x = " if path.suffix == ".toml" else "") + "[" + "0," * 1_000_000 + "0]\n")


def _sparse(path: Path) -> None:
    os.truncate(path, 10**12)


def _instead(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def _without_permission(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path.chmod(0)


DAMAGES: dict[str, Damage] = {
    "deleted": Path.unlink,
    "empty": lambda path: os.truncate(path, 0),
    "truncated": _cut,
    "random": _noise,
    "deep": _deep,
    "wide": _wide,
    "sparse terabyte": _sparse,
    "endless": _instead(lambda path: path.symlink_to("/dev/zero")),
    "pipe": _instead(os.mkfifo),
    "device": _instead(lambda path: path.symlink_to("/dev/full")),
    "folder": _instead(Path.mkdir),
    "loop": _instead(lambda path: path.symlink_to(path.name)),
    "no permission": _without_permission,
}

OTHERS: tuple[Any, ...] = (
    None,
    -1,
    10**30,
    1e308,
    True,
    "",
    "x",
    "nan",
    "../../../etc/passwd",
    [],
    [[]],
    {},
    {"a": 1},
)
CELLS = ("", "nan", "-1", "1e400", "x", "=1+1", "../../x", "9" * 400)


def wrong_values(path: Path) -> Iterator[tuple[str, Damage]]:
    """Damages that put a value of another type into each field; a name for each."""
    if path.suffix == ".json":
        yield from _json_fields(path, json.loads(path.read_text()))
    elif path.suffix == ".jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for name, value in (("null", None), ("list", []), ("text", "x"), ("number", 3)):
            yield f"line = {name}", _writing(json.dumps(value) + "\n")
        for key, value in ((key, value) for key in lines[0] for value in OTHERS[:9]):
            if not (value is None or (isinstance(value, float) and key not in ("epoch", "step"))):
                yield f"{key} = {value!r}", _writing(json.dumps(lines[0] | {key: value}) + "\n")
    elif path.suffix == ".csv":
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        for column, cell in ((column, cell) for column in range(len(rows[0])) for cell in CELLS):
            changed = [rows[0], *([*row[:column], cell, *row[column + 1 :]] for row in rows[1:2]), *rows[2:]]
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(changed)
            yield f"{rows[0][column]} = {cell[:20]}", _writing(text.getvalue())
        yield "a row more", _writing(path.read_text() + ",".join(rows[-1]) + "\n")
        yield "a row less", _writing("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    elif path.suffix == ".toml":
        values = tomllib.loads(path.read_text())
        for key, change in _places(values):
            for other in ("x", -1, 10**12, [10**9] * 4, {"a": 1}):
                yield f"{key} = {other!r}"[:60], _writing(tomlkit.dumps(change(other)))
        many = "".join(f"k{number} = 1\n" for number in range(10**6))
        yield "a million keys", _writing(many)


def _json_fields(path: Path, values: Any) -> Iterator[tuple[str, Damage]]:
    for key, change in _places(values):
        for other in OTHERS:
            yield f"{key} = {other!r}"[:60], _writing(json.dumps(change(other)))
    yield "a list", _writing("[]")
    yield "null", _writing("null")


def _places(values: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Each field, three deep, and a function that gives all values with another one there."""
    items = (
        values.items()
        if isinstance(values, dict)
        else enumerate(values[:2])
        if isinstance(values, list)
        else ()
    )
    for key, value in items:
        yield ".".join(map(str, (*at, key))), lambda other, key=key: _with(values, key, other)
        if len(at) < 2:
            for name, inner in _places(value, (*at, key)):
                yield name, lambda other, key=key, inner=inner: _with(values, key, inner(other))


def _with(values: Any, key: Any, other: Any) -> Any:
    changed = values.copy()
    changed[key] = other
    return changed


def _writing(text: str) -> Damage:
    return lambda path: path.write_text(text) and None  # type: ignore[func-returns-value]


@dataclass(frozen=True)
class Ended:
    """How a command ended: ``code`` -9 if it was killed for hanging, 99 for a traceback."""

    code: int
    stdout: str
    stderr: str


def in_child(*arguments: object, folder: Path, limits: bool = True) -> Ended:
    """Carry out a command in a fork of this process that may take so much time and memory and no more."""
    out, err = folder / "stdout", folder / "stderr"
    pid = os.fork()
    if pid == 0:
        code = 99
        with out.open("w") as stdout, err.open("w") as stderr:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            if limits:
                _limit()
            try:
                code = _carried_out(arguments, stdout, stderr)
            except BaseException:  # a traceback is what must not be
                traceback.print_exc(file=stderr)
            stdout.flush()
            stderr.flush()
            os._exit(code)
    code = _waited(pid)
    return Ended(code, out.read_text(errors="replace"), err.read_text(errors="replace"))


def _waited(pid: int) -> int:
    handle = os.pidfd_open(pid)
    try:
        if not select.select([handle], [], [], WALL_SECONDS)[0]:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _limit() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BEYOND, used + BEYOND))
    spent = int(time.process_time()) + CPU_SECONDS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (spent, spent))


def _carried_out(arguments: Sequence[object], stdout: io.TextIOBase, stderr: io.TextIOBase) -> int:
    sys.argv = ["gazekit", *map(str, arguments)]
    os.environ |= {"COLUMNS": "200", "NO_COLOR": "1"}
    console.registry.cache_clear()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            main()
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0
