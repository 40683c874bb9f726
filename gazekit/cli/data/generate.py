"""``gazekit data NAME``: one command per data set that can generate itself, built from its signature."""

import inspect
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import typer
from typer.models import CommandInfo

from gazekit.cli import console
from gazekit.errors import PluginError

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import GeneratedSource
    from gazekit.registry.component import Component


def add_generators(app: typer.Typer) -> None:
    """Add a command per data set that can generate itself: ``gazekit data NAME OUT --exams N --seed N``.

    A data set of which no command can be built goes to the failures of the registry.
    """
    from gazekit.registry.component import Failure, one_line

    app.registered_commands[:] = [  # without those of an earlier call in this process
        each for each in app.registered_commands if getattr(each.callback, "__module__", "") != __name__
    ]
    ours = {each.name or getattr(each.callback, "__name__", "") for each in app.registered_commands}
    registry = console.registry()
    for component in registry.components("dataset"):
        if not hasattr(component.value, "generate"):
            continue
        try:
            command = _command(component, ours)
        except Exception as error:  # of typer, for an option of a type that it does not know
            what = f"command gazekit data {component.name}"
            registry.failures.append(Failure(component.provenance, what, one_line(error), component.kind))
        else:
            app.registered_commands.append(command)


def _command(component: "Component", taken: set[str]) -> CommandInfo:
    """Build the command of a data set, and try whether Typer can make its options."""
    if component.name in taken:
        raise PluginError(f"gazekit data {component.name} is a command of gazekit; rename the data set")
    alone = typer.Typer()
    help_text = (inspect.getdoc(component.value) or "").partition("\n")[0]
    alone.command(component.name, help=help_text)(_generator(component.name, component.value))
    typer.main.get_command(alone)
    return alone.registered_commands[0]


def _generator(dataset: str, factory: type) -> Any:
    """Build a function whose parameters are the data set's options, which Typer turns into a command."""
    arguments = re.findall(
        r"^ {4}(\w+): (.+(?:\n {8}.+)*)", inspect.getdoc(factory) or "", flags=re.MULTILINE
    )
    documentation = {name: " ".join(text.split()) for name, text in arguments}
    hints = get_type_hints(factory.__init__)  # type: ignore[misc]
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(
            p.name,
            keyword,
            default=p.default,
            annotation=Annotated[hints[p.name], typer.Option(help=documentation.get(p.name, ""))],
        )
        for p in inspect.signature(factory).parameters.values()
        if p.kind is keyword
    ]
    known = [
        inspect.Parameter(
            "out", keyword, annotation=Annotated[Path, typer.Argument(help="Folder to write.")]
        ),
        inspect.Parameter(
            "exams",
            keyword,
            default=200,
            annotation=Annotated[int, typer.Option(min=1, help="Number of exams.")],
        ),
        inspect.Parameter(
            "seed",
            keyword,
            default=0,
            annotation=Annotated[int, typer.Option(min=0, help="Same seed, same files.")],
        ),
    ]

    def generate(*, out: Path, exams: int, seed: int, **chosen: object) -> None:
        source = cast("GeneratedSource", console.registry().create("dataset", dataset, **chosen))
        with console.progress(f"writing {dataset}") as report:
            source.generate(out, exams=exams, seed=seed, progress=report)
        made = shlex.quote(str(out))
        console.note(f"{exams} exams in {out}; next: gazekit data prepare {dataset} {made} PREPARED")

    generate.__signature__ = inspect.Signature([*known, *options])  # type: ignore[attr-defined]
    generate.__annotations__ = {p.name: p.annotation for p in [*known, *options]}
    return generate
