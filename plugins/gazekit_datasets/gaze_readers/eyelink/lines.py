"""Read the lines of an EyeLink ASC file and their words."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gazekit.disk.regular_file import require_regular_file
from gazekit.errors import DataError

LONGEST_LINE = 2**16
"""Limit in bytes; EyeLink's messages have at most 260 characters."""
TRIAL = "TRIALID"
"""Default beginning of the message that starts a trial."""
TYPES = (
    *("MSG", "START", "END", "SAMPLES", "EVENTS", "PRESCALER", "VPRESCALER", "PUPIL", "INPUT", "BUTTON"),
    *("SFIX", "EFIX", "SSACC", "ESACC", "SBLINK", "EBLINK"),
)
"""First words of the lines that edf2asc writes, beside samples, which begin with their time."""
_HEADER = re.compile(rb"(\xef\xbb\xbf)?\*\* .*EDF_FILE", re.DOTALL)
_OFFSET = re.compile(r"^[-+]?\d+\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank.

    Args:
        path, row: its position; the first line of the file is row 1.
        words: of the line; a message is one word, without a preceding offset.
        trial_message: how the messages begin that begin a trial.
        is_indented: as only the further lines of the tracker's messages are.
    """

    path: Path
    row: int
    words: list[str]
    trial_message: str = TRIAL
    is_indented: bool = False

    @property
    def message(self) -> str:
        """The text of a ``MSG`` line; empty on other lines."""
        return self.words[2] if self.words[0] == "MSG" and len(self.words) == 3 else ""

    @property
    def trial(self) -> str | None:
        """The name of the trial that begins here, or None."""
        first = self.trial_message
        rest = self.message[len(first) :]
        if not self.message.startswith(first) or _goes_on(first, rest):
            return None
        return rest.strip(" \t:,")

    def number(self, position: int, what: str, *, may_be_lost: bool = False) -> float:
        """Parse a finite number; NaN if it may be lost and is a point or NaN. Raises: DataError."""
        word = self.words[position] if position < len(self.words) else ""
        if may_be_lost and word.lower() in (".", "nan", "-nan"):
            return math.nan
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or "_" in word:
            lost = ", or a point where it was lost" if may_be_lost else ""
            raise self.error(f"{what} is {word[:40]!r}; expected a number{lost}; convert the EDF file again")
        return number

    def error(self, text: str) -> DataError:
        """Make an error that begins with file and row."""
        return DataError(f"{self.path} row {self.row}: {text}")


def _goes_on(first: str, rest: str) -> bool:
    """Say whether a word goes on: ``trial_end`` is not ``trial``, but the number of a trial may follow at once."""
    last, after = first[-1:], rest[:1]
    if last.isalpha():
        return after.isalpha() or after == "_"
    return last.isdigit() and (after.isalnum() or after == "_")


def header_fits(path: Path) -> bool:
    """Say whether a file begins with edf2asc's header; never raises."""
    try:
        require_regular_file(path)
        with path.open("rb") as file:
            return _HEADER.match(file.read(4096)) is not None
    except OSError:
        return False


def lines(path: Path, *, samples: bool = True, trial_message: str = TRIAL) -> Iterator[Line]:
    """Yield the lines of a file in bounded memory, with or without sample lines.

    Args:
        path: the file.
        samples: include sample lines.
        trial_message: how the messages begin that begin a trial.

    Raises:
        DataError: the file is not text, or cannot be read.
    """
    try:
        require_regular_file(path)
        with path.open("rb") as file:
            for row, raw in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1):
                if len(raw) == LONGEST_LINE or b"\0" in raw:
                    raise DataError(
                        f"{path} row {row}: no line of text; expected an ASC file, as edf2asc converts it from EDF"
                    )
                if not samples and raw[:1].isdigit():
                    continue
                words = _words(raw)
                if words:
                    yield Line(path, row, words, trial_message, raw[:1].isspace())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected an EyeLink ASC file") from None


def _words(raw: bytes) -> list[str]:
    try:
        text = raw.decode()
    except UnicodeDecodeError:  # display computers write messages in different encodings
        text = raw.decode("cp1252", errors="replace")
    if not text.startswith("MSG"):
        return text.split()
    words = text.split(None, 2)
    return [*words[:2], _OFFSET.sub("", words[2].strip(), count=1)] if len(words) == 3 else words
