"""Walking folders as people keep them: links followed, the litter of file managers and archives left alone."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from gazekit.errors import DataError

_LITTER = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "lost+found"})


def is_litter(name: str) -> bool:
    """Whether a file or folder holds nothing of the user's: hidden (``.DS_Store``, ``._scan.png``), or a system's."""
    return name.startswith(".") or name.casefold() in _LITTER


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of all folders below it, in the order of their names.

    Links are followed. Each folder is entered once, however many links lead to it or around in a circle, by its own
    path if it has one here. Litter is passed over below ``folder``, whose own name does not matter.

    Raises:
        DataError: a folder that cannot be listed.
    """
    waiting, entered = deque([folder]), set[str]()
    while waiting:
        for place, folders, names in os.walk(waiting.popleft(), onerror=_refuse):
            real = os.path.realpath(place)
            if real in entered:
                folders[:] = []
                continue
            entered.add(real)
            folders[:] = sorted(name for name in folders if not is_litter(name))
            # os.walk names links to folders but does not enter them; they wait, so that a folder's own path comes first
            waiting.extend(Path(place, name) for name in folders if Path(place, name).is_symlink())
            paths = (Path(place, name) for name in sorted(names) if not is_litter(name))
            yield from (path for path in paths if path.is_file())


def _refuse(error: OSError) -> None:
    raise DataError(
        f"{error.filename}: the folder cannot be listed ({error.strerror}); expected one that may be read"
    )
