"""``gazekit plugins``: list components and their origin."""

from itertools import groupby
from typing import Annotated

import typer

from gazekit.cli import console
from gazekit.cli.options import Json
from gazekit.cli.plugins import check as plugins_check
from gazekit.cli.plugins import new as plugins_new

app = typer.Typer(help="List, show, check and write components of plugins.", no_args_is_help=True)
app.command("new")(plugins_new.new)
app.command("check")(plugins_check.check)


@app.command("list")
def list_plugins(
    kind: Annotated[str | None, typer.Option(help="Only this kind, e.g. fusion.", show_default="all")] = None,
    as_json: Json = False,
) -> None:
    """Show kind, name, package and version, location and status of every component, and the level of a fusion."""
    rows = console.registry().table(kind)
    if as_json:
        console.print_json("gazekit.plugins/1", {"components": rows})
        return
    fold = "location" if all(row["status"] == "ok" for row in rows) else "status"
    if console.stdout().is_terminal:  # narrow: a heading per kind in place of a column
        lines = []
        for each, group in groupby(rows, key=lambda row: row["kind"]):
            lines += [(each, "", "", ""), *(_line(row, indent=" ") for row in group)]
        console.print_table(("name", "package", "location", "status"), lines, fold=fold)
    else:
        lines = [(row["kind"], *_line(row)) for row in rows]
        console.print_table(("kind", "name", "package", "location", "status"), lines, fold=fold)


def _line(row: dict[str, str], *, indent: str = "") -> tuple[str, ...]:
    name = f"{row['name']} ({row['level']})" if row["level"] else row["name"]
    return indent + name, f"{row['package']} {row['version']}", row["location"], row["status"]


@app.command()
def show(
    kind: Annotated[
        str, typer.Argument(help="Kind of component, e.g. fusion; or a name alone, if one component has it.")
    ],
    name: Annotated[str | None, typer.Argument(help="Name of the component, e.g. concat.")] = None,
    as_json: Json = False,
) -> None:
    """Print a component's origin, signature, options with types and defaults, and docstring."""
    from gazekit.registry.registry import KINDS, kind_called
    from gazekit.registry.signature import options_of

    if name is None:
        kind, name = _kind_of(kind), kind
    kind = kind_called(kind, KINDS)
    component = console.registry().component(kind, name)
    if as_json:
        options = [
            {"name": option.name, "type": option.type, "default": option.default}
            for option in options_of(component.value)
        ]
        facts = {
            "kind": kind,
            "name": name,
            "package": component.provenance.distribution,
            "version": component.provenance.version,
            "location": component.location,
            "file": component.file,
        }
        said = {
            "signature": component.signature,
            "options": options,
            "documentation": component.documentation,
        }
        console.print_json("gazekit.component/1", facts | said)
        return
    at = f' of {component.level} (fusion.{component.level}.use = "{name}")' if component.level else ""
    console.stdout().print(f"{kind} {name}{at}: {component.value.__name__}", style="bold", markup=False)
    lines = [f"from {component.provenance}, {component.location}", component.file, "", component.signature]
    lines += [f"  {option}" for option in options_of(component.value)]
    console.print_text("\n".join([*lines, "", component.documentation]))


@app.command()
def docs(
    kind: Annotated[str | None, typer.Option(help="Only this kind, e.g. fusion.", show_default="all")] = None,
    package: Annotated[
        str | None, typer.Option(help="Only components of this package.", show_default="all")
    ] = None,
) -> None:
    """Print the documentation of the components as Markdown: provenance, signature, docstring."""
    from gazekit.errors import ConfigurationError
    from gazekit.registry.component import in_words
    from gazekit.registry.distribution import normalised
    from gazekit.registry.registry import KINDS, kind_called

    kinds = KINDS if kind is None else [kind_called(kind, KINDS)]
    registry = console.registry()
    origins = [*registry.provenance.values(), *(failure.provenance for failure in registry.failures)]
    there = {origin.distribution for origin in origins}
    if package is not None and normalised(package) not in map(normalised, there):
        raise ConfigurationError(
            f"no package '{package}' with plugins; there are: {', '.join(sorted(there))}"
        )
    for each in kinds:
        found = [
            component
            for component in registry.components(each)
            if package is None or normalised(package) == normalised(component.provenance.distribution)
        ]
        if found:
            print(f"## {in_words(each).capitalize()}\n")
        for component in found:
            print(f"### {component.name}\n")
            print(f"`{component.signature}`\n\nFrom {component.provenance}, `{component.location}`.\n")
            print(f"```text\n{component.documentation}\n```\n")


def _kind_of(name: str) -> str:
    """Return the kind of the only component with this name. Raises ConfigurationError: none or several have it."""
    from difflib import get_close_matches

    from gazekit.errors import ConfigurationError
    from gazekit.registry.registry import KINDS

    kinds: dict[str, list[str]] = {}
    for row in console.registry().table():
        if row["kind"] in ("plugin", "preset"):
            continue
        kinds.setdefault(row["name"], []).append(row["kind"])
    found = sorted(set(kinds.get(name, ())))
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigurationError(f"'{name}' is of several kinds ({', '.join(found)}); name one before it")
    kind = name.replace("-", "_")
    if kind in KINDS:
        there = ", ".join(each for each, of in sorted(kinds.items()) if kind in of)
        raise ConfigurationError(f"'{name}' is a kind; name a component of it, too: {there}")
    near = "".join(f" Did you mean '{each}'?" for each in get_close_matches(name, kinds, n=1))
    raise ConfigurationError(f"no component '{name}'.{near} gazekit plugins list has them all")
