"""Collect the origin of a study's numbers from the records of its runs."""

from collections.abc import Sequence
from pathlib import Path

from gazekit.runs.directory import RunDirectory
from gazekit.runs.environment import environment
from gazekit.study.results.result import Evidence


def evidence(runs: Sequence[Path], *, minutes: float, date: str) -> Evidence:
    """Collect the devices and versions that the runs started with; without runs, those of this process.

    Args:
        runs: run directories.
        minutes: wall time spent on them.
        date: today.
    """
    opened = [RunDirectory.open(path) for path in runs]
    noted = [(run.environment(), run.facts().device) for run in opened]
    noted = noted or [(environment(), "cpu")]
    versions: dict[str, str] = {}
    for package in dict.fromkeys(["python", *(name for env, _ in noted for name in env["packages"])]):
        found = [
            env["python"] if package == "python" else env["packages"].get(package, "") for env, _ in noted
        ]
        versions[package] = " and ".join(dict.fromkeys(filter(None, found)))
    devices = dict.fromkeys(
        (env["gpu"] or device)
        if device == "cuda"
        else f"CPU, {env['cpu_threads']} thread{'s' if env['cpu_threads'] > 1 else ''}"
        for env, device in noted
    )
    return Evidence(" and ".join(devices), versions, date, minutes)
