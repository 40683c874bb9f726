"""``gazekit presets``: the systems that can be trained, and the origin of their values."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gazekit.cli import console
from gazekit.cli.options import Json, say_given_twice
from gazekit.errors import ConfigurationError

if TYPE_CHECKING:
    from gazekit.presets.preset import Preset

app = typer.Typer(help="List and show presets.", no_args_is_help=True)


@app.command("list")
def list_presets(as_json: Json = False) -> None:
    """Show every preset with its components."""
    registry = console.registry()
    rows, left_out = [], dict[str, list[str]]()
    for component in registry.components("preset"):
        try:
            preset = registry.preset(component.name)
        except ConfigurationError as error:
            left_out.setdefault(str(error), []).append(component.name)
            continue
        fusion = preset.fusion
        rows.append(
            {
                "name": component.name,
                "views": " ".join(preset.views),
                "backbone": preset.backbone.use,
                "images": fusion.images.use if fusion.images else "–",
                "maps": fusion.maps.use if fusion.maps else "–",
                "vectors": fusion.vectors.use if fusion.vectors else "–",
                "gaze": _of_gaze(preset),
                "what": preset.description + (f" (stand-in: {preset.stand_in})" if preset.stand_in else ""),
                "package": str(component.provenance),
            }
        )
    for said, names in left_out.items():
        console.warn(f"left out: {', '.join(dict.fromkeys(names))}: {said}")
    if as_json:
        console.print_json("gazekit.presets/1", {"presets": rows})
        return
    columns = ("name", "views, backbone, fusions, gaze; what it is")
    console.print_table(columns, [(r["name"], _two_lines(r)) for r in rows], keep="\n")


def _of_gaze(preset: "Preset") -> str:
    """Name the alignment loss and the terms of a preset."""
    aligned = preset.gaze.alignment_loss if preset.gaze else None
    terms = [
        term.use or (term.alignment_loss.use if term.alignment_loss else "")
        for term in preset.active_terms.values()
    ]
    return " + ".join(filter(None, [aligned.use if aligned else "", *terms])) or "–"


def _two_lines(row: dict[str, str]) -> str:
    fusions = [f"{level} {row[level]}" for level in ("images", "maps", "vectors") if row[level] != "–"]
    parts = [
        row["views"],
        row["backbone"],
        *fusions,
        *([f"gaze {row['gaze']}"] if row["gaze"] != "–" else []),
    ]
    return f"{' · '.join(parts)}\n{row['what']}"


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A preset's name or a TOML file.")],
    config: Annotated[Path | None, typer.Option(help="TOML file on top of the preset.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a resolved preset as TOML, with the origin of every value in a comment."""
    say_given_twice(overrides)
    preset = console.registry().preset(name, config=config, environment=os.environ, overrides=overrides or ())
    if as_json:
        console.print_json("gazekit.preset/1", {"name": name, "preset": preset.model_dump(mode="json")})
    else:
        print(preset.to_toml(), end="")
