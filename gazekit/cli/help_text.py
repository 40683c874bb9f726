"""Make help texts fit any width: typer keeps line breaks of docstrings, and shows a type for flags and lists."""

import re
from typing import Any

NAMES = ["-h", "--help"]
_HUGE = 2**31


def tidy(command: Any) -> Any:
    """Prepare the help of a command and all its subcommands for typer to print.

    The lines of a paragraph become one, so that the terminal wraps them, and brackets stay brackets. A flag shows no
    ``<bool>``, an option that may be repeated shows the type of one item, and a number its bounds in a few characters,
    so that no option is cut at 80 columns.
    """
    for name in ("help", "short_help", "epilog"):
        if getattr(command, name, None):
            paragraphs = getattr(command, name).split("\n\n")
            setattr(command, name, "\n\n".join(_literal(" ".join(each.split())) for each in paragraphs))
    help_option = command.get_help_option(command.context_class(command, help_option_names=NAMES))
    for option in [*command.params, help_option]:
        if getattr(option, "help", None):
            option.help = _literal(option.help)
        if option.param_type_name == "option" and option.metavar is None:
            shown = option.display_type_rich(None)
            if getattr(option, "is_flag", False) or shown == "<bool>":
                option.metavar = ""
            elif shown and shown.startswith("<list["):
                option.metavar = f"<{shown.removeprefix('<list[').rstrip('>').rstrip(']').lower()}>"
            elif shown and " range>" in shown:
                option.metavar = f"<{shown[1:].removesuffix(' range>')}{_bounds(option.min, option.max)}>"
                option.min = option.max = None  # for display only: values are checked elsewhere
    for each in getattr(command, "commands", {}).values():
        tidy(each)
    return command


def _literal(text: str) -> str:
    """Escape brackets, so that rich does not read them as markup."""
    return re.sub(r"\[(?=[a-zA-Z#/@])", r"\\[", text)


def _bounds(least: float | None, most: float | None) -> str:
    """Format the bounds of a number, except a bound too large to matter."""
    if most is None or most > _HUGE:
        return "" if least is None else f" ≥ {least}"
    return f" ≤ {most}" if least is None else f" {least}–{most}"
