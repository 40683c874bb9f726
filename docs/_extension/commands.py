"""Generate the reference of the commands from their Typer functions."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from _extension.markdown import block, code, contents, page, plain, table
from gazekit.cli.data import commands as data
from gazekit.cli.data import generate
from gazekit.cli.main import app

PROMISES = """
Commands print results to stdout, as a table or, with `--json`, as JSON with a schema version. Notes, progress and
errors go to stderr. `-h` or `--help` after any command prints its page of this reference. `--no-plugins` anywhere
leaves out all plugins except gazekit's own; `gazekit --version` prints the version.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a run failed, or a check: `doctor`, `plugins check`, `benchmark --gate` |
| 2 | the command line, a preset or a setting is wrong |
| 3 | the data cannot be used |
| 74 | the disk, or input and output |
| 75 | stopped by SIGTERM, can be resumed |
| 130 | interrupted by Ctrl-C, can be resumed |
| 143 | a prediction ended by SIGTERM |

Environment variables can also set every value of a preset: `GAZEKIT_TRAINING__EPOCHS=5` is `--set
training.epochs=5`.
"""


@dataclass(frozen=True)
class Parameter:
    """One argument or option of a command."""

    name: str
    is_option: bool
    type: str
    default: str
    help: str

    @property
    def is_needed(self) -> bool:
        """Whether the command requires it."""
        return not self.default


@dataclass(frozen=True)
class Command:
    """One command: its words, its help and its parameters."""

    name: str
    help: str
    parameters: tuple[Parameter, ...]


def every_command() -> list[Command]:
    """List all commands in the order of the help; a subcommand is named by all its words."""
    if not any(command.name == "phantom" for command in data.app.registered_commands):
        generate.add_generators(data.app)
    return list(_commands(app, "gazekit"))


def pages() -> dict[str, str]:
    """Make the overview, and a page per first word."""
    commands = every_command()
    words = list(dict.fromkeys(command.name.split()[1] for command in commands))
    overview = table(
        ("command", ""),
        [
            (f"[`{c.name}`]({c.name.split()[1]}.md#{c.name.replace(' ', '-')})", plain(_first(c.help)))
            for c in commands
        ],
    )
    found = {"commands/index.md": page("Commands", overview, PROMISES, contents(*words))}
    for word in words:
        own = [command for command in commands if command.name.split()[1] == word]
        if len(own) == 1:
            found[f"commands/{word}.md"] = page(own[0].name, _text(own[0]))
        else:
            sections = (f"## {command.name}\n\n{_text(command)}" for command in own)
            found[f"commands/{word}.md"] = page(f"gazekit {word}", *sections)
    return found


def _commands(group: typer.Typer, name: str) -> Iterator[Command]:
    for each in group.registered_commands:
        function = each.callback
        assert function is not None
        text = each.help or inspect.getdoc(function) or ""
        word = each.name or function.__name__.replace("_", "-")
        yield Command(f"{name} {word}", text, tuple(_parameters(function)))
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from _commands(inner.typer_instance, f"{name} {inner.name}")


def _parameters(function: Callable[..., Any]) -> Iterator[Parameter]:
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        bare, *remarks = get_args(hints[name]) if get_origin(hints[name]) is Annotated else [hints[name]]
        about = next((each for each in remarks if isinstance(each, (OptionInfo, ArgumentInfo))), OptionInfo())
        if about.hidden or bare is typer.Context:
            continue
        is_option = isinstance(about, OptionInfo)
        word = name.replace("_", "-")
        both = f"--{word} / --no-{word}" if parameter.default is True else f"--{word}"
        given = [each for each in (about.default, *(about.param_decls or ())) if str(each).startswith("-")]
        declared = ", ".join(given or [both])  # in Annotated, Typer treats the first name as a default
        shown = about.show_default if isinstance(about.show_default, str) else ""
        yield Parameter(
            name=declared if is_option else about.metavar or name.upper(),
            is_option=is_option,
            type=about.metavar or _in_words(bare),
            default="" if parameter.default is parameter.empty else shown or _default(parameter.default),
            help=about.help or "",
        )


def _in_words(hint: Any) -> str:
    """Describe a type for the user: ``list[Path] | None`` → ``PATH …``; a flag has no words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _in_words(next(each for each in arguments if each is not type(None)))
    if origin is Annotated:
        return _in_words(arguments[0])
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin is list:
        return f"{_in_words(arguments[0])} …"
    if origin is tuple:
        return " ".join(map(_in_words, arguments))
    return {bool: "", str: "TEXT", int: "INTEGER", float: "NUMBER"}.get(hint, hint.__name__.upper())


def _default(value: Any) -> str:
    return "–" if value in (None, "") or isinstance(value, bool) else str(value)


def _text(command: Command) -> str:
    arguments = [p for p in command.parameters if not p.is_option]
    usage = " ".join(
        [command.name, *(p.name if p.is_needed else f"[{p.name}]" for p in arguments), "[OPTIONS]"]
    )
    rows = [
        (_names(p), "required" if p.is_needed else plain(p.default), plain(p.help))
        for p in command.parameters
    ]
    return "\n".join(
        [
            *(plain(paragraph) + "\n" for paragraph in command.help.split("\n\n")),
            block("text", usage),
            table(("", "default", ""), rows),
        ]
    )


def _names(parameter: Parameter) -> str:
    if not parameter.is_option:
        return code(parameter.name)
    return code(" ".join(filter(None, (parameter.name, parameter.type))))


def _first(text: str) -> str:
    return text.partition("\n\n")[0]
