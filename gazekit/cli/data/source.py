"""Options that choose a raw data set, and the data source they select."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gazekit.cli import console
from gazekit.cli.gaze.options import options_of
from gazekit.errors import ConfigurationError

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import DataSource

SourceOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="OPTION=VALUE",
        help="Option of the data set, or positive=CLASS to choose which of two classes is positive; may be repeated.",
    ),
]


def _existing_roots(roots: list[Path] | None) -> list[Path] | None:
    """Return folders that are there. Raises: DataError."""
    from gazekit.errors import DataError

    for root in roots or ():
        if not root.is_dir():
            raise DataError(
                f"--allow-outside {root}: there is no such folder; expected one above the files outside SRC"
            )
    return roots


AllowOutside = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="ROOT",
        callback=_existing_roots,
        help="Also read files outside SRC that the table names, if they are below this folder; may be repeated.",
    ),
]
POSITIVE = "positive"
"""An option of every data set, handled by the core."""


def data_source(
    name: str, items: Sequence[str] | None, flag: str = "--set"
) -> "tuple[DataSource, str | None]":
    """Return a data source with its options, and the positive class if one is given. Raises: ConfigurationError."""
    from gazekit.registry import signature

    registry, options = console.registry(), options_of(items, flag)
    own = [option.name for option in signature.options_of(registry.component("dataset", name).value)]
    positive = None if POSITIVE in own else options.pop(POSITIVE, None)
    try:
        source = registry.create("dataset", name, **options)
    except ConfigurationError as error:
        if options.keys() <= set(own):
            raise
        raise ConfigurationError(f"{error}; and, as for every data set, {POSITIVE}=CLASS") from None
    return source, None if positive is None else _as_written(positive)


def _as_written(value: object) -> str:
    """Return a class as written on the command line, though TOML read it as a value: ``true``, ``1``."""
    return str(value).lower() if isinstance(value, bool) else str(value)
