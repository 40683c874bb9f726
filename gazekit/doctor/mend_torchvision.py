"""Make torchvision importable in an environment: ``python -m gazekit.doctor.mend_torchvision``.

If ``import torchvision`` fails because operators are missing, ``gazekit/registry/torchvision_guard.py`` is copied into
the environment's site-packages, with a ``.pth`` file that loads it at every start of Python. If the import works, such
files are removed.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

from gazekit.registry import torchvision_guard

_COPY = "_gazekit_torchvision_guard"


def main() -> None:
    """Mend the environment of this Python, and print what was done."""
    folder = Path(sysconfig.get_path("purelib"))
    copy, starter = folder / f"{_COPY}.py", folder / f"{_COPY}.pth"
    for file in (starter, copy):
        file.unlink(missing_ok=True)
    if not is_broken():
        print("torchvision: nothing to mend here")
        return
    copy.write_text(Path(torchvision_guard.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    starter.write_text(f"import {_COPY}; {_COPY}.watch()\n", encoding="utf-8")
    print(
        "torchvision was not built for this torch, and its operators (nms, roi_align) cannot be used; "
        f"{starter} lets it be imported all the same"
    )


def is_broken() -> bool:
    """Whether ``import torchvision`` fails in a Python that does not import gazekit."""
    tried = subprocess.run(
        [sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False
    )
    return tried.returncode != 0 and torchvision_guard.MISSING in tried.stderr


if __name__ == "__main__":
    main()
