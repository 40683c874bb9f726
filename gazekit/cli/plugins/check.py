"""``gazekit plugins check``: check whether a package keeps the promises of its components."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gazekit.cli import console
from gazekit.cli.options import Json
from gazekit.disk.wording import counted

if TYPE_CHECKING:
    from gazekit.testing.check import Result

_SETTING, _SAMPLE = "NAME.OPTION=VALUE", "NAME=PATH"
_MARKS = {
    "ok": "[green]ok[/green]",
    "failed": "[red]FAILED[/red]",
    "not checked": "[yellow]not checked[/yellow]",
}


def check(
    target: Annotated[
        str,
        typer.Argument(
            metavar="PACKAGE|PATH",
            help="An installed package, or the folder of one (with pyproject.toml), or a .py file with hooks.",
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar=_SETTING,
            help="Build component NAME with this option; may be repeated.",
        ),
    ] = None,
    samples: Annotated[
        list[str] | None,
        typer.Option("--sample", metavar=_SAMPLE, help="Sample data for data set or gaze reader NAME."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run gazekit's contracts on everything a package brings; exit code 1 if a promise is broken.

    The same contracts run in pytest: gazekit.testing.
    """
    import dataclasses

    from gazekit.presets.layers import plain_texts
    from gazekit.testing.check import check_package
    from gazekit.testing.target import open_target

    registry, distribution = open_target(target)
    options = _options(settings or ())
    paths = {name: Path(text) for name, text in plain_texts(samples or (), "--sample", form=_SAMPLE).items()}
    results = check_package(registry, distribution, options=options, samples=paths)
    if as_json:
        found = list(results)
        rows = [dataclasses.asdict(result) for result in found]
        console.print_json("gazekit.check/1", {"package": distribution, "results": rows})
    else:
        found = _print(results)
    broken = sum(result.status == "failed" for result in found)
    unknown = sum(result.status == "not checked" for result in found)
    kept = counted(len(found) - broken - unknown, "promise")
    console.note(f"{distribution}: {kept} kept, {broken} broken, {unknown} not checked")
    if broken or not found:
        raise typer.Exit(1)


def _options(items: "Iterable[str]") -> dict[str, dict[str, Any]]:
    """Parse ``NAME.OPTION=VALUE`` items: name → option → value. Raises: ConfigurationError."""
    from gazekit.errors import ConfigurationError
    from gazekit.presets.layers import plain_options

    found: dict[str, dict[str, Any]] = {}
    for key, value in plain_options(items, "--set", form=_SETTING).items():
        name, _, option = key.partition(".")
        if not name or not option:
            raise ConfigurationError(f"--set {key}=…: expected {_SETTING}")
        found.setdefault(name, {})[option] = value
    return found


def _print(results: "Iterable[Result]") -> "list[Result]":
    """Print one line per promise as it is checked, under its component; repeat no failure."""
    out = console.stdout()
    found: list[Result] = []
    for result in results:
        if not found or found[-1].what != result.what:
            out.print(result.what, style="bold", markup=False)
        found.append(result)
        out.print(f"  {_MARKS[result.status]:9} ", end="")
        out.print(result.promise, markup=False, soft_wrap=True)
        known = any(each.what == result.what and each.cause == result.cause for each in found[:-1])
        lines = ("as above",) if result.cause and known else (result.cause, result.case)
        for line in filter(None, lines):
            out.print(f"          {line}", markup=False, soft_wrap=True)
    return found
