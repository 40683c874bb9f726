"""Read gazekit's files as if a stranger had written them: a run may be sent, a share may be flaky.

Each file must be a regular file and not a link, within the size and nesting depth of its kind, and valid for its model.
It is opened without waiting. Any fault becomes a one-line error that names the file, the field, what was expected and
what to do.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from gazekit.disk.plain_text import visible
from gazekit.disk.wrong_value import in_plain_words, key_in_words
from gazekit.errors import DataError

Model = TypeVar("Model")
MIB = 2**20
_DEPTH = 24
"""Maximum nesting depth of a JSON file; gazekit's deepest has 8."""
VALUES = 200_000
"""Maximum number of values in a JSON file; a gazekit file with 1,000 classes has 80,000."""
_LINE = MIB
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file, with its limits.

    Args:
        what: description for messages: "the facts of a run".
        most: maximum size in bytes, generous.
        remedy: what to do about a damaged one: "prepare the data set again".
        linked: whether it may be reached through a link: true for a file that the user named.
        line: maximum bytes in a line, for a file that is read line by line.
        values: maximum number of values in a JSON file, nested ones included.
    """

    what: str
    most: int
    remedy: str
    linked: bool = False
    line: int = _LINE
    values: int = VALUES


@contextmanager
def opened(path: Path, kind: FileKind) -> Iterator[BufferedReader]:
    """Open a file for reading.

    Raises:
        DataError: it is missing, not a regular file, too large or unreadable.
    """
    try:
        with _open(path, kind) as file:
            yield file
    except OSError as error:
        raise unreadable(path, kind, error) from None


def _open(path: Path, kind: FileKind) -> BufferedReader:
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    if not kind.linked:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    about = os.fstat(descriptor)
    if stat.S_ISREG(about.st_mode) and about.st_size <= kind.most:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if not stat.S_ISREG(about.st_mode):
        raise DataError(_wrong(path, kind, f"is {_sort(about.st_mode)}"))
    raise DataError(
        f"{path}: has {about.st_size} bytes, expected at most {kind.most} of {kind.what}; {kind.remedy}"
    )


def unreadable(path: Path, kind: FileKind, error: OSError) -> DataError:
    """Describe an error, with what was expected."""
    if error.errno == errno.ENOENT:
        return DataError(_wrong(path, kind, "there is no such file"))
    if error.errno == errno.ELOOP:
        return DataError(_wrong(path, kind, "is a link" if path.is_symlink() else "is in a loop of links"))
    if error.errno in (errno.ENXIO, errno.ENODEV):
        return DataError(_wrong(path, kind, "is a device or a socket"))
    if isinstance(error, PermissionError):
        return DataError(f"{path}: cannot be read ({error.strerror}); get permission to read {kind.what}")
    return DataError(_wrong(path, kind, f"cannot be read ({error.strerror or type(error).__name__})"))


def _wrong(path: Path, kind: FileKind, found: str) -> str:
    return f"{path}: {found}; expected {kind.what}; {kind.remedy}"


def _sort(mode: int) -> str:
    named = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return named.get(stat.S_IFMT(mode), "a device")


def read_bytes(path: Path, kind: FileKind) -> bytes:
    """Read the bytes of a file. Raises DataError."""
    with opened(path, kind) as file:
        return file.read(size_of(file))


def size_of(file: BufferedReader) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def check_size(path: Path, kind: FileKind, expected: int) -> None:
    """Raise DataError unless a file has the expected size; read none of it."""
    with opened(path, kind) as file:
        found = size_of(file)
    if found != expected:
        raise DataError(f"{path}: has {found} bytes, expected {expected}; {kind.remedy}")


def read_text(path: Path, kind: FileKind) -> str:
    """Read a UTF-8 text file. Raises DataError."""
    return _decoded(read_bytes(path, kind), path, kind)


def _decoded(content: bytes, path: Path, kind: FileKind) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(_wrong(path, kind, f"is not UTF-8 text (byte {error.start})")) from None


def lines_of(path: Path, kind: FileKind) -> Iterator[str]:
    """Yield the lines of a text file, line ends included. Raises DataError, also if a line is too long."""
    with opened(path, kind) as file:
        first = True
        while line := file.readline(kind.line + 1):
            if len(line) > kind.line:
                raise DataError(_wrong(path, kind, f"has a line of more than {kind.line} bytes"))
            text = _decoded(line, path, kind) if first else None
            try:
                yield line.decode("utf-8") if text is None else text
            except UnicodeDecodeError:
                raise DataError(_wrong(path, kind, "is not UTF-8 text")) from None
            first = False


def parse_json(text: str | bytes, path: Path, kind: FileKind, *, where: str = "") -> Any:
    """Parse JSON of bounded depth and size. Raises DataError.

    Args:
        text: of the file, or of a part of it.
        path, kind: for messages and limits.
        where: the part of the file: "line 3: ".
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise DataError(_wrong(path, kind, f"{where}nested more than {_DEPTH} deep")) from None
    except ValueError as error:
        raise DataError(_wrong(path, kind, f"{where}is not JSON ({_short(error)})")) from None
    layer, count = [value], 0
    for _ in range(_DEPTH + 1):
        layer = [
            inner
            for each in layer
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not layer:
            return value
        count += len(layer)
        if count > kind.values:  # if every value were wrong, the message would take gigabytes
            raise DataError(_wrong(path, kind, f"{where}holds more than {kind.values} values"))
    raise DataError(_wrong(path, kind, f"{where}nested more than {_DEPTH} deep"))


def read_json(path: Path, kind: FileKind) -> Any:
    """Read a JSON file. Raises DataError."""
    return parse_json(read_bytes(path, kind), path, kind)


def read_model(path: Path, kind: FileKind, model: type[Model] | pydantic.TypeAdapter[Model]) -> Model:
    """Read a JSON file into its model. Raises DataError that names file and field."""
    return validated(read_json(path, kind), path, kind, model)


def read_versioned(
    path: Path, kind: FileKind, schema: str, model: type[Model] | pydantic.TypeAdapter[Model]
) -> Model:
    """Read a JSON file that names its schema into its model. Raises DataError, also if it names another schema."""
    values = read_model(path, kind, dict[str, Any])
    found = values.pop("schema", None)
    if found != schema:
        same = isinstance(found, str) and found.startswith(f"{schema.partition('/')[0]}/")
        remedy = "another version of gazekit wrote it: install that one" if same else kind.remedy
        raise DataError(f"{path}: schema {str(found)[:40]}, expected {schema}; {remedy}")
    return validated(values, path, kind, model)


def validated(
    value: Any,
    path: Path,
    kind: FileKind,
    model: type[Model] | pydantic.TypeAdapter[Model],
    *,
    where: str = "",
) -> Model:
    """Validate plain values against a model. Raises DataError that names file and field.

    Args:
        value: from JSON, TOML or a table.
        path, kind: for messages.
        model: a pydantic model, a dataclass, or an adapter of a type.
        where: the part of the file: "row 3: ".
    """
    adapter = model if isinstance(model, pydantic.TypeAdapter) else _adapter(model)  # type: ignore[arg-type]
    try:
        found: Model = adapter.validate_python(value)
    except pydantic.ValidationError as error:
        raise DataError(f"{path}: {where}{_fields(error)}; {kind.remedy}") from None
    except RecursionError:
        raise DataError(_wrong(path, kind, f"{where}nested more than {_DEPTH} deep")) from None
    return found


@cache
def _adapter(model: type[Model]) -> pydantic.TypeAdapter[Model]:
    return pydantic.TypeAdapter(model)


def _fields(error: pydantic.ValidationError) -> str:
    """Name the first wrong fields, each with what was expected."""
    items = error.errors(include_url=False)
    said = [f"{_field(item['loc'])}{_expected(item)}" for item in items[:2]]
    more = f" and {len(items) - 2} more" if len(items) > 2 else ""
    return "; ".join(said) + more


def _field(location: tuple[int | str, ...]) -> str:
    return f"{visible(key_in_words(location))[:_SHOWN]}: " if location else ""


def _expected(item: Any) -> str:
    if item["type"] == "missing":
        return in_plain_words(item)
    if item["type"] == "extra_forbidden":
        return "is no field of this file"
    return f"{in_plain_words(item)} (got {_short(repr(item['input']))})"


def _short(said: object) -> str:
    with suppress(RecursionError):
        text = visible(str(said))
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
    return "…"
