"""``gazekit plugins``: which components there are and where they come from."""

from typing import Annotated

import typer

from gazekit.cli import console

app = typer.Typer(help="List and show the components that plugins bring.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON with a schema version instead of a table.")]


@app.command("list")
def list_plugins(
    kind: Annotated[str | None, typer.Option(help="Only this kind, e.g. fusion.", show_default="all")] = None,
    as_json: Json = False,
) -> None:
    """Show kind, name, package and version, location and status of every component."""
    rows = console.registry().table(kind)
    if as_json:
        console.print_json("gazekit.plugins/1", {"components": rows})
        return
    console.print_table(
        ("kind", "name", "package", "location", "status"),
        [
            (row["kind"], row["name"], f"{row['package']} {row['version']}", row["location"], row["status"])
            for row in rows
        ],
        fold="location" if all(row["status"] == "ok" for row in rows) else "status",
    )


@app.command()
def show(
    kind: Annotated[str, typer.Argument(help="Kind of component, e.g. fusion.")],
    name: Annotated[str, typer.Argument(help="Its name, e.g. concat.")],
    as_json: Json = False,
) -> None:
    """Print the signature, the options with types and defaults, and the docstring of a component."""
    import inspect

    from gazekit.errors import ConfigurationError
    from gazekit.registry import KINDS
    from gazekit.signature import options_of

    if kind not in KINDS:
        raise ConfigurationError(f"no kind '{kind}'; the kinds are: {', '.join(KINDS)}")
    component = console.registry().component(kind, name)
    options = options_of(component.value)
    documentation = inspect.getdoc(component.value) or ""
    if as_json:
        console.print_json(
            "gazekit.component/1",
            {
                "kind": kind,
                "name": name,
                "package": component.provenance.distribution,
                "version": component.provenance.version,
                "location": component.location,
                "options": [
                    {"name": option.name, "type": option.type, "default": option.default}
                    for option in options
                ],
                "documentation": documentation,
            },
        )
        return
    out = console.stdout()
    out.print(f"{kind} {name}: {component.value.__name__}", style="bold", markup=False)
    out.print(f"from {component.provenance}, {component.location}\n", markup=False)
    for option in options:
        out.print(f"  {option}", markup=False)
    out.print(f"\n{documentation}" if options else documentation, markup=False)
