"""The command line, run in this process, and settings for a training of seconds."""

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.rich_utils  # noqa: F401 # whether it colours is decided at its import, not by what one test asks for
from plugins_installed import installed_registry
from tiny import SMALL

from gazekit.cli import console
from gazekit.cli import main as command_line

TINY = [
    *(part for item in SMALL for part in ("--set", item)),
    *(
        "--set",
        "fusion.maps.heads=2",
        "--set",
        "fusion.maps.head_dim=3",
        "--set",
        "gaze.alignment_loss.levels=2",
    ),
    *("--set", "model.vector_features=7", "--set", "training.batch_size=4"),
]


make_commands = command_line.commands
made_once = cache(make_commands)
"""Typer takes longer to make all commands than most tests need for what they call."""
_made_with: list[Any] = []


def made_with_plugins() -> Any:
    """All commands, with those that plugins add to ``data``; made again for another registry."""
    registry = console.registry()
    if not _made_with or _made_with[0] is not registry:
        _made_with[:] = [registry, make_commands()]
    return _made_with[1]


@dataclass(frozen=True)
class Finished:
    stdout: str
    stderr: str


def gazekit(*arguments: object, code: int = 0, **environment: str) -> Finished:
    """Run the command in this process: 200 columns, no colours."""
    out, err = io.StringIO(), io.StringIO()
    disabled = os.environ.get("GAZEKIT_DISABLE", "")
    variables = {"COLUMNS": "200", "NO_COLOR": "1", "GAZEKIT_DISABLE": disabled} | environment
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["gazekit", *map(str, arguments)])
        patch.setattr(command_line, "commands", made_with_plugins if "data" in arguments else made_once)
        patch.setattr(console, "registry", cache(installed_registry))
        for name, value in variables.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            command_line.main()
    assert (ended.value.code or 0) == code, err.getvalue()
    return Finished(out.getvalue(), err.getvalue())


def one_exam(run: Path) -> tuple[str, str]:
    """Options of ``report`` that draw one exam of the test part into its figure, in half the time."""
    rows = [line.split(",") for line in (run / "split.csv").read_text().splitlines()]
    return "--exam", next(row[0] for row in rows if row[-1] == "test")
