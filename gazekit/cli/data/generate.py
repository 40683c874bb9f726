"""``gazekit data NAME``: one command per data set that can generate itself, built from its signature."""

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import typer

from gazekit.cli import console

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import GeneratedSource


def add_generators(app: typer.Typer) -> None:
    """Add a command per data set that can generate itself: ``gazekit data NAME OUT --exams N --seed N``."""
    generating = [
        each for each in console.registry().components("dataset") if hasattr(each.value, "generate")
    ]
    names = {component.name for component in generating}  # of an earlier call in this process too
    app.registered_commands[:] = [each for each in app.registered_commands if each.name not in names]
    for component in generating:
        help_text = (inspect.getdoc(component.value) or "").partition("\n")[0]
        app.command(component.name, help=help_text)(_generator(component.name, component.value))


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
        console.note(f"{exams} exams in {out}; next: gazekit data prepare {dataset} {out} PREPARED")

    generate.__signature__ = inspect.Signature([*known, *options])  # type: ignore[attr-defined]
    generate.__annotations__ = {p.name: p.annotation for p in [*known, *options]}
    return generate
