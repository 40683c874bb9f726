"""The pictures and viewers of docs/gaze/readers.md, prepared with the commands that stand there."""

import re
import subprocess
import sys
from pathlib import Path

from command_line import gazekit

PAGE = Path(__file__).parents[2] / "docs/gaze/readers.md"


def prepare_viewers(folder: Path) -> Path:
    """Run the script and the preparation of the page in a folder; the prepared data set."""
    text = PAGE.read_text()
    (script,) = re.findall(
        r"^```python\n(# make_viewers\.py\n.*?)^```$", text, flags=re.DOTALL | re.MULTILINE
    )
    (folder / "make_viewers.py").write_text(script)
    subprocess.run([sys.executable, "make_viewers.py"], cwd=folder, check=True)
    (command,) = re.findall(r"^gazekit (data prepare .*)$", text, flags=re.MULTILINE)
    places = {name: folder / name for name in ("pictures", "gaze.csv", "prepared")}
    gazekit(*(places.get(word, word) for word in command.split()), "--jobs", 1)
    return folder / "prepared"
