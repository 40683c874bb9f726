"""The result of a study: files in its directory, a table on stdout."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gazekit.cli import console

if TYPE_CHECKING:
    from gazekit.study.result import Pooled, StudyResult


def write(folder: Path, result: "StudyResult", pooled: "Mapping[str, Pooled]") -> None:
    from gazekit.atomic import write_atomically

    write_atomically(folder / "results.json", json.dumps(result.to_json(), indent=2) + "\n")


def show(result: "StudyResult", folder: Path, *, as_json: bool) -> None:
    if as_json:
        values = result.to_json()
        console.print_json(values.pop("schema"), values)
        return
    print(result)
