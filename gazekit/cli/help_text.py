"""Help texts that fit any width: typer keeps the line breaks of docstrings, and shows a type for flags and lists."""

from typing import Any


def tidy(command: Any) -> Any:
    """The same command, its help and that of all its subcommands made ready for typer to print.

    The lines of a paragraph become one, for the terminal to break; a flag shows no ``<bool>``, and what may be repeated
    the type of one item.
    """
    for name in ("help", "short_help", "epilog"):
        if getattr(command, name, None):
            paragraphs = getattr(command, name).split("\n\n")
            setattr(command, name, "\n\n".join(" ".join(each.split()) for each in paragraphs))
    for option in command.params:
        if option.param_type_name == "option" and option.metavar is None:
            shown = option.display_type_rich(None)
            if getattr(option, "is_flag", False) or shown == "<bool>":
                option.metavar = ""
            elif shown and shown.startswith("<list["):
                option.metavar = f"<{shown.removeprefix('<list[').rstrip('>').rstrip(']').lower()}>"
    for each in getattr(command, "commands", {}).values():
        tidy(each)
    return command
