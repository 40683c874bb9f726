"""Make help texts fit any width, and say in plain words what is wrong with the value of an option.

Typer keeps line breaks of docstrings, shows a type for flags and lists, and passes on the words of pydantic.
"""

import re
from typing import Any

import typer

NAMES = ["-h", "--help"]
_HUGE = 2**31


def tidy(command: Any) -> Any:
    """Prepare the help of a command and all its subcommands for typer to print.

    The lines of a paragraph become one, so that the terminal wraps them, and brackets stay brackets. A flag shows no
    ``<bool>``, an option that may be repeated shows the type of one item, one of several values has them apart, and a
    number shows its bounds in a few characters, so that no option is cut at 80 columns.
    """
    for name in ("help", "short_help", "epilog"):
        if getattr(command, name, None):
            paragraphs = getattr(command, name).split("\n\n")
            setattr(command, name, "\n\n".join(_literal(" ".join(each.split())) for each in paragraphs))
    help_option = command.get_help_option(command.context_class(command, help_option_names=NAMES))
    for option in [*command.params, help_option]:
        _explain_wrong_values(option)
        if getattr(option, "help", None):
            option.help = _literal(option.help)
        if option.param_type_name == "option" and option.metavar is None:
            shown = option.display_type_rich(None)
            if getattr(option, "is_flag", False) or shown == "<bool>":
                option.metavar = ""
            elif shown and shown.startswith("<list["):
                option.metavar = f"<{shown.removeprefix('<list[').rstrip('>').rstrip(']').lower()}>"
            elif shown and option.nargs > 1:
                option.metavar = " ".join(f"<{each}>" for each in shown.strip("<>.").split(","))
            elif shown and " range>" in shown:
                option.metavar = f"<{shown[1:].removesuffix(' range>')}{_bounds(option.min, option.max)}>"
                option.min = option.max = None  # for display only: values are checked elsewhere
    for each in getattr(command, "commands", {}).values():
        tidy(each)
    return command


def _explain_wrong_values(option: Any) -> None:
    process = option.process_value

    def processed(context: Any, value: Any) -> Any:
        source = context.get_parameter_source(option.name)
        typed = value if isinstance(value, (list, tuple)) else [value]
        if "" in typed and source is not None and source.name == "COMMANDLINE":
            said = "expected a value (got ''); is a variable of the shell empty?"
            raise typer.BadParameter(said, ctx=context, param=option)
        try:
            return process(context, value)
        except typer.BadParameter as error:
            if error.__cause__ is None:  # not from pydantic
                raise
            import pydantic

            from gazekit.disk.wrong_value import in_plain_words, problems_of, wrong_value

            if not isinstance(error.__cause__, pydantic.ValidationError):
                raise
            problem = problems_of(error.__cause__)[0]
            names_value = problem["type"] == "value_error"  # typer's own words
            said = in_plain_words(problem) if names_value else wrong_value(option.name, problem)
            raise typer.BadParameter(said, ctx=context, param=option) from None

    option.process_value = processed


def _literal(text: str) -> str:
    """Escape brackets, so that rich does not read them as markup."""
    return re.sub(r"\[(?=[a-zA-Z#/@])", r"\\[", text)


def _bounds(least: float | None, most: float | None) -> str:
    """Format the bounds of a number, except a bound too large to matter."""
    if most is None or most > _HUGE:
        return "" if least is None else f" ≥ {least}"
    return f" ≤ {most}" if least is None else f" {least}–{most}"
