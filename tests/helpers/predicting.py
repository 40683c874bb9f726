"""Values printed by ``gazekit predict``."""

import json
from pathlib import Path

from command_line import gazekit


def pair(raw_folder: Path, number: int) -> list[Path]:
    return [raw_folder / f"e{number:03d}_{view}.png" for view in ("cc", "mlo")]


def predicted(*arguments: object, code: int = 0) -> dict[str, dict]:
    """Key → record."""
    found = json.loads(gazekit("predict", *arguments, "--json", code=code).stdout)
    assert found["schema"] == "gazekit.predictions/4"
    assert (found["complete"], found["error"], found["total"]) == (True, None, len(found["exams"]))
    return {exam["exam"]: exam for exam in found["exams"]}
