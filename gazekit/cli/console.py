"""Print for the command line: results to stdout, everything else to stderr."""

import errno
import functools
import io
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from gazekit.disk.plain_text import visible
from gazekit.disk.wording import without_middle

if TYPE_CHECKING:
    from rich.console import Console

    from gazekit.registry.registry import Registry


_LONGEST, _LONGEST_WORD = 10_000, 500
"""Maximum characters of a note, warning or error, and of a word in it: a path, or a name that others have chosen."""


def stdout() -> "Console":
    """Return the console for results; wide plain text if it is not a terminal, so that a pipe gets whole lines."""
    return _console(stderr=False)


@functools.cache
def stderr() -> "Console":
    """Return the console for progress, notes and errors; one, so that a note does not break into a progress bar."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    class Harmless(Console):
        """Show control characters instead of obeying them: ids, file names and errors may come from others."""

        def print(self, *objects: Any, **options: Any) -> None:
            shown = (visible(each, keep="\n\t") if isinstance(each, str) else each for each in objects)
            super().print(*shown, **options)

    console = Harmless(stderr=stderr, highlight=False, emoji=False)
    if "COLUMNS" not in os.environ:
        if not console.is_terminal:
            console.width = 160
        elif not stderr:
            with suppress(OSError):  # rich asks descriptors 0 to 2, and standard output is another one
                console.width = os.get_terminal_size(sys.stdout.fileno()).columns or console.width
    return console


def open_closed_streams() -> None:
    """Open /dev/null where standard input, output or error is closed (``2>&-``); a file would get its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def reserve_stdout() -> None:
    """Keep standard output for results: what libraries and child processes write to its descriptor goes to stderr."""
    former = sys.stdout
    if former is not sys.__stdout__ or not isinstance(former, io.TextIOWrapper):
        return  # redirected within this process
    former.flush()
    number = former.fileno()
    binary = os.fdopen(os.dup(number), "wb", closefd=False)  # else Python warns of it at its exit
    os.dup2(2, number)
    sys.stdout = io.TextIOWrapper(
        binary,
        encoding=former.encoding,
        errors="backslashreplace",  # an encoding may lack a dash or a letter of a table
        line_buffering=former.line_buffering or former.write_through,  # PYTHONUNBUFFERED
    )


def drop_output() -> None:
    """Send what standard output still holds nowhere: Python would try it again at the exit and end with 120."""
    with suppress(OSError, ValueError):
        number = sys.stdout.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)


@contextmanager
def lasting_stderr() -> Iterator[None]:
    """Keep working silently when the terminal closes or a pipe breaks."""
    before = sys.stderr
    sys.stderr = cast(TextIO, _Lasting(before))
    try:
        yield
    finally:
        sys.stderr = before


class _Lasting:
    """A stream whose writes cannot fail; after a failure, later output is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._lasting():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._lasting():
            self._stream.flush()

    @contextmanager
    def _lasting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EPIPE, errno.ENXIO):
                raise
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def silence() -> None:
    """Print no more notes, warnings and progress: another process does."""
    stderr().quiet = True


def note(message: str, *, indent: int = 0) -> None:
    """Print a note on stderr, indented by ``indent`` columns on every line."""
    _say(_escape(message), indent)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    _say(f"[yellow]warning:[/yellow] {_escape(message)}")


def warn_each(messages: Sequence[str], most: int, rest: str) -> None:
    """Report the first of several doubts, a line each, and the number of the others: ``and 3 more REST``."""
    for message in messages[:most]:
        warn(message)
    if len(messages) > most:
        warn(f"and {len(messages) - most} more {rest}")


def fail(message: str) -> None:
    """Print an error on stderr, even in a process that is silent otherwise."""
    stderr().quiet = False
    _say(f"[red]error:[/red] {_escape(message)}")


def _say(message: str, indent: int = 0) -> None:
    """Print on stderr: wrapped at words in a terminal, one whole line elsewhere."""
    from rich.padding import Padding

    # it may quote a file from others, not written for reading; its end says what was expected and what to do
    message = re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda word: without_middle(word[0], _LONGEST_WORD), message)
    message = without_middle(message, _LONGEST)
    if stderr().is_terminal and indent:
        stderr().print(Padding(visible(message, keep="\n\t"), (0, 0, 0, indent), expand=False))
    else:
        stderr().print(" " * indent + message, soft_wrap=not stderr().is_terminal)


def _escape(message: str) -> str:
    from rich.markup import escape

    return escape(message)


def print_json(schema: str, value: dict[str, Any]) -> None:
    """Print a result as JSON on stdout; ``schema`` is ``name/version``."""
    print(json.dumps({"schema": schema, **value}, indent=2, allow_nan=False, default=str))


def print_text(text: str) -> None:
    """Print prose or code on stdout; a terminal wraps long lines at words and indents the rest by two columns."""
    out = stdout()
    if out.is_terminal:
        text = "\n".join(_broken(line, out.width) for line in text.split("\n"))
    out.print(text, markup=False, soft_wrap=True)


def _broken(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(line, width, subsequent_indent=f"{indent}  ", break_on_hyphens=False)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    fold: str | None = None,
    keep: str = "",
) -> None:
    """Print a table on stdout; only the column ``fold`` (the last by default) wraps if the table is too wide.

    If the other columns are too wide themselves, several tables show them, each beside the first column. Control
    characters are escaped, line breaks too: a name with one would look like another row. ``keep`` is as in ``visible``.
    """
    from rich.table import Table

    if title:
        stdout().print(title, style="bold", markup=False, soft_wrap=True)
    cells = [[visible(str(cell), keep=keep) for cell in row] for row in rows]
    below = [[name, *column] for name, *column in zip(columns, *cells, strict=True)]
    lines = [_widest(column, lambda text: text.split("\n")) for column in below]
    words = [_widest(column, str.split) for column in below]
    wraps = list(columns).index(fold or columns[-1])
    least = [min(width, _NARROWEST) if index == wraps else width for index, width in enumerate(lines)]
    whole = sum(least) + _GAP * (len(least) - 1) <= stdout().width
    for number, part in enumerate([list(range(len(columns)))] if whole else _parts(words, stdout().width)):
        if number:
            stdout().print()
        table = Table(header_style="bold", box=None, pad_edge=False)
        widths = {} if whole else _narrowed({index: lines[index] for index in part}, words, stdout().width)
        for index in part:
            no_wrap = whole and index != wraps
            head = _escape(visible(columns[index]))
            table.add_column(head, overflow="fold", no_wrap=no_wrap, width=widths.get(index))
        for row in cells:
            table.add_row(*(_escape(row[index]) for index in part))
        stdout().print(table)


_GAP = 2
"""Blanks between two columns."""
_NARROWEST = 8
"""Width that the column which wraps keeps at least."""


def _widest(cells: Iterable[str], pieces: Callable[[str], Sequence[str]]) -> int:
    from rich.cells import cell_len

    return max((cell_len(piece) for cell in cells for piece in pieces(cell)), default=0)


def _parts(words: Sequence[int], width: int) -> list[list[int]]:
    """Divide the columns after the first into parts whose words fit beside those of the first, each at least one."""
    parts: list[list[int]] = []
    left = 0
    for index, wide in enumerate(words[1:], start=1):
        if not parts or wide + _GAP > left:
            parts.append([0])
            left = width - words[0]
        parts[-1].append(index)
        left -= wide + _GAP
    return parts


def _narrowed(lines: dict[int, int], words: Sequence[int], width: int) -> dict[int, int]:
    """Take from the widest columns until the table fits; no column gets narrower than its longest word."""
    widths = dict(lines)
    for _ in range(sum(widths.values()) + _GAP * (len(widths) - 1) - width):
        wide = [index for index in widths if widths[index] > words[index]]
        if wide:
            widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


@contextmanager
def progress(description: str, *, transient: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """Show a progress bar on stderr from the first report on; yield ``report(done, total)``; None = not known.

    Args:
        description: of what is done.
        transient: remove the bar at the end.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=transient)
    task = bar.add_task(description, total=None)

    def report(done: int, total: int | None) -> None:
        bar.update(task, completed=done, total=total)
        bar.start()

    try:
        yield report
    finally:
        bar.stop()


@functools.cache
def registry() -> "Registry":
    """Return the registry of this process."""
    from gazekit.registry.discovery import load_registry

    return load_registry()


def preset_names(beginning: str) -> list[str]:
    """Complete preset names in a shell."""
    names = (component.name for component in registry().components("preset"))
    return [name for name in names if name.startswith(beginning)]


@contextmanager
def blaming_plugins() -> Iterator[None]:
    """Turn an exception raised in a foreign plugin's code into an error that names the plugin."""
    try:
        yield
    except Exception:
        if not registry.cache_info().currsize:
            raise
        from gazekit.registry.isolation import blaming

        with blaming(registry()):
            raise


def warn_of_failures(error: str) -> None:
    """Warn, once the command is done, of each plugin that failed to load and each name offered twice.

    Args:
        error: error of the command; failures that it mentions are not repeated.
    """
    if registry.cache_info().currsize:
        for said in (*map(str, registry().failures), *registry().contests()):
            if said not in error:
                warn(said)
