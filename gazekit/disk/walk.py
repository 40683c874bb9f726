"""Walk folders as users keep them: follow links, skip the litter of file managers and archives."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from gazekit.errors import DataError

_LITTER = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "lost+found"})


def is_litter(name: str) -> bool:
    """Whether a file or folder holds no user data: hidden (``.DS_Store``, ``._scan.png``) or made by the system."""
    return name.startswith(".") or name.casefold() in _LITTER


def files_below(folder: Path, unlisted: Callable[[Path, str], None] | None = None) -> Iterator[Path]:
    """Yield the files of a folder and of all folders below it, sorted by name.

    A link to nothing or a pipe is yielded, too: whoever opens it says why it cannot be read.
    Links are followed. Each folder is entered once, even if several links or a circle of links lead to it, by its real
    path if that is below ``folder``. Litter below ``folder`` is skipped; the name of ``folder`` itself does not matter.

    Args:
        folder: to walk.
        unlisted: told of a folder below it that cannot be listed, and why; None raises.

    Raises:
        DataError: the folder cannot be listed, or one below it if nobody is told.
    """

    def refuse(error: OSError) -> None:
        if unlisted is None or Path(error.filename) == folder:
            raise DataError(
                f"{error.filename}: the folder cannot be listed ({error.strerror}); expected a readable folder"
            )
        unlisted(Path(error.filename), f"the folder cannot be listed ({error.strerror})")

    waiting, entered = deque([folder]), set[str]()
    while waiting:
        for place, folders, names in os.walk(waiting.popleft(), onerror=refuse):
            real = os.path.realpath(place)
            if real in entered:
                folders[:] = []
                continue
            entered.add(real)
            folders[:] = sorted(name for name in folders if not is_litter(name))
            # os.walk does not enter links to folders; they wait here, so that a folder's real path comes first
            waiting.extend(Path(place, name) for name in folders if Path(place, name).is_symlink())
            yield from (Path(place, name) for name in sorted(names) if not is_litter(name))
