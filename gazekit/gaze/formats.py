"""Detect the format of a gaze file by its content."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazekit.disk.walk import files_below
from gazekit.disk.wording import first_few
from gazekit.errors import DataError, PluginError
from gazekit.gaze.remedies import remedy_of
from gazekit.reading.tables.table import first_columns
from gazekit.records.recording import Recording

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import GazeReader

AUTO = "auto"
"""Used as the name of a format: detect it."""


@dataclass(frozen=True, slots=True)
class GazeFile:
    """A gaze file and its reader."""

    path: Path
    format: str
    reader: "GazeReader"

    def read(self) -> list[Recording]:
        """Read all recordings of the file. Raises: DataError with file and row."""
        return list(recordings_of(self.reader, self.path))


@dataclass(frozen=True, slots=True)
class AnyFormat:
    """A gaze reader that detects the format of each file.

    Args:
        readers: name of a format → its reader.
    """

    readers: Mapping[str, "GazeReader"]

    def fits(self, path: Path) -> bool:
        """Whether one of the formats fits."""
        return any(_fits(name, reader, path) for name, reader in self.readers.items())

    def beside(self, path: Path) -> list[Path]:
        """Return the other files that reading a file takes."""
        asked = [
            each for name, each in self.readers.items() if hasattr(each, "beside") and _fits(name, each, path)
        ]
        return [other for reader in asked for other in files_beside(reader, path)]

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield the recordings of a file of any format. Raises: DataError, also when none or several fit."""
        return self.readers[format_of(path, self.readers)].read(path)


def recordings_of(reader: "GazeReader", path: Path) -> Iterator[Recording]:
    """Yield the recordings of a file. Raises: DataError; PluginError if the reader yields something else."""
    found: Any = reader.read(path)
    for each in found if isinstance(found, Iterable) else [found]:
        if not isinstance(each, Recording):
            raise PluginError(f"{path}: its gaze reader promises recordings; came: {each!r}")
        yield each


def files_beside(reader: "GazeReader", path: Path) -> list[Path]:
    """Return the other files that a format reads with a file; none where it does not say."""
    beside = getattr(reader, "beside", None)
    return [] if beside is None else list(beside(path))


def gaze_files(
    source: Path, readers: Mapping[str, "GazeReader"], unlisted: Callable[[Path, str], None] | None = None
) -> tuple[list[GazeFile], list[Path]]:
    """List the gaze files of a folder and its subfolders, sorted, and the files that no format reads.

    Hidden files and the litter of file managers are skipped. A single file with a single reader is not checked here, so
    that the reader can say what is wrong with it.

    Args:
        source: a gaze file, or a folder.
        readers: name of a format → its reader.
        unlisted: told of a subfolder that cannot be listed, and why; None raises.

    Raises:
        DataError: no file, no file of a known format, or a file that fits several formats.
    """
    if not source.is_dir():
        only = next(iter(readers)) if len(readers) == 1 else format_of(source, readers)
        return [GazeFile(source, only, readers[only])], []
    files = sorted(files_below(source, unlisted))
    if not files:
        raise DataError(f"{source}: there is no file in this folder; expected gaze recordings")
    fitting = [(path, _fitting(path, readers)) for path in files]
    found = [GazeFile(path, name, readers[name]) for path, name in fitting if name is not None]
    if not found:
        remedies = [remedy for path in files if (remedy := remedy_of(path)) is not None]
        if remedies:
            raise DataError(remedies[0])
        raise DataError(
            f"{source}: {'its only file is no' if len(files) == 1 else f'none of its {len(files)} files is a'} gaze "
            f"recording; {_misfit(files[0], readers)}"
        )
    others = [path for path, name in fitting if name is None]
    if others:
        beside = {other.absolute() for file in found for other in files_beside(file.reader, file.path)}
        others = [path for path in others if path.absolute() not in beside]
    return found, others


def nothing_read(source: Path, files: Sequence[GazeFile]) -> DataError:
    """Make the error for files without recordings: the gaze of one may be read from another."""
    where = [
        other.name
        for file in files
        for other in files_beside(file.reader, file.path)
        if _fits(file.format, file.reader, other)
    ]
    if not where:
        return DataError(f"{source}: the files hold no recording; expected gaze")
    return DataError(
        f"{source}: has no recordings itself; its gaze is read from {first_few(dict.fromkeys(where), most=2)}; give "
        f"that file, or see the options of the format (gazekit plugins show gaze_reader {files[0].format})"
    )


def format_of(path: Path, readers: Mapping[str, "GazeReader"]) -> str:
    """Return the name of the one format that fits a file. Raises: DataError if none or several fit."""
    if not path.is_file() or not os.access(path, os.R_OK):
        raise DataError(
            f"{path}: there is no file that can be read; expected a gaze recording, or a folder of them"
        )
    name = _fitting(path, readers)
    if name is None:
        if remedy := remedy_of(path):
            raise DataError(remedy)
        raise DataError(f"{path}: not a gaze recording; {_misfit(path, readers)}")
    return name


def _fits(name: str, reader: "GazeReader", path: Path) -> bool:
    """Whether a format fits; one that raises, which none should, does not, with a warning."""
    try:
        return reader.fits(path)
    except Exception as error:
        warnings.warn(
            f"gaze format '{name}' is left out, because it fails where it should say whether it fits: "
            f"{type(error).__name__}: {error}",
            stacklevel=2,
        )
        return False


def _fitting(path: Path, readers: Mapping[str, "GazeReader"]) -> str | None:
    names = [name for name, reader in readers.items() if _fits(name, reader, path)]
    if len(names) > 1:
        raise DataError(f"{path}: fits the formats {' and '.join(names)}; choose one with --format")
    return names[0] if names else None


def _misfit(path: Path, readers: Mapping[str, "GazeReader"]) -> str:
    columns = first_columns(path)
    start = ", ".join(columns[:12])[:160] + ("…" if len(columns) > 12 else "")
    begins = f"begins with {start!r}" if start and start.isprintable() else "does not begin with text"
    return (
        f"{path.name} {begins}; the formats are {', '.join(sorted(readers))}; export it in one of them "
        "with its columns unchanged, choose with --format, or write its rows as a table exam_id,view,t_ms,x,y in ms "
        "and pixels of the image (fixations: start_ms,duration_ms)"
    )
