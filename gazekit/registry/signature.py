"""Read the options of a component from its signature: they are its keyword-only parameters."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pydantic

from gazekit.disk.suggestion import did_you_mean
from gazekit.disk.wrong_value import in_plain_words, problems_of, wrong_value
from gazekit.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Option:
    """A keyword-only parameter of a component: name, type as text, and default."""

    name: str
    type: str
    default: Any

    def __str__(self) -> str:
        return f"{self.name}: {self.type} = {self.default!r}"


@cache
def _parameters(factory: type) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(factory).parameters


def options_of(factory: type) -> list[Option]:
    """Return the options of a component class, in the order of its signature."""
    return [
        Option(p.name, inspect.formatannotation(_bare(p.annotation)), p.default)
        for p in _parameters(factory).values()
        if p.kind is p.KEYWORD_ONLY
    ]


def in_words(factory: type) -> str:
    """Format a signature: ``(views, channels, *, width: int = 8)``."""
    context = [p.name for p in _parameters(factory).values() if p.kind is not p.KEYWORD_ONLY]
    options = list(map(str, options_of(factory)))
    return f"({', '.join([*context, *(['*', *options] if options else [])])})"


def _bare(annotation: Any) -> Any:
    """Simplify ``tuple[Annotated[int, …], ...] | None`` to ``tuple[int, ...] | None``, for display."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bare(arguments[0])
    if origin in (tuple, list, dict):
        return origin[tuple(map(_bare, arguments))]
    if origin in (Union, UnionType):
        return reduce(or_, map(_bare, arguments))
    return annotation


def taken(factory: type, context: Sequence[Any]) -> Sequence[Any]:
    """Return as much of the context as the positional parameters of a component class take."""
    positional = [p for p in _parameters(factory).values() if p.kind is not p.KEYWORD_ONLY]
    return context[: len(positional)]


def check_signature(factory: type, context: Sequence[str] = (), may_lack: int = 0) -> None:
    """Raise ConfigurationError unless the parameters are the context followed by named options.

    Args:
        factory: the class.
        context: names of the positional parameters, for messages; their number counts.
        may_lack: how many of them, from the end, may be missing.
    """
    positional = []
    for parameter in _parameters(factory).values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise ConfigurationError(
                f"{factory.__name__} takes {parameter}: name each option as a keyword-only parameter"
            )
        if parameter.kind is not parameter.KEYWORD_ONLY:
            positional.append(parameter.name)
        elif parameter.default is parameter.empty or parameter.annotation is parameter.empty:
            raise ConfigurationError(
                f"option '{parameter.name}' of {factory.__name__} needs a type and a default"
            )
        elif parameter.name == "use":
            raise ConfigurationError(
                f"option 'use' of {factory.__name__}: in a preset 'use' names the component"
            )
    if not len(context) - may_lack <= len(positional) <= len(context):
        raise ConfigurationError(
            f"{factory.__name__} takes the positional ({', '.join(positional)}), expected "
            f"({', '.join(context)}); options come after a '*'"
        )
    try:
        _schema(factory, validate_default=True)()
    except pydantic.ValidationError as error:
        (first, *_) = problems_of(error)
        raise ConfigurationError(
            f"option '{first['loc'][0]}' of {factory.__name__}: its default does not fit its type: "
            f"{in_plain_words(first)} (got {first['input']!r})"
        ) from None
    except (NameError, TypeError, pydantic.PydanticUserError) as error:
        raise ConfigurationError(f"the options of {factory.__name__} cannot be checked: {error}") from None


def check_call(factory: type, name: str, context: Sequence[str]) -> None:
    """Raise ConfigurationError if a method cannot be called with the core's arguments."""
    method = getattr(factory, name)
    try:
        inspect.signature(method).bind(None, *context)
    except TypeError as error:
        raise ConfigurationError(
            f"{factory.__name__}.{name}{inspect.signature(method)} is called with ({', '.join(context)}): {error}"
        ) from None


@cache
def _schema(factory: type, *, validate_default: bool = False) -> type[pydantic.BaseModel]:
    hints = get_type_hints(factory.__init__, include_extras=True)  # type: ignore[misc]
    fields: dict[str, Any] = {
        option.name: (hints[option.name], option.default) for option in options_of(factory)
    }
    return pydantic.create_model(
        factory.__name__,
        __config__=pydantic.ConfigDict(
            extra="forbid",
            arbitrary_types_allowed=True,
            protected_namespaces=(),
            validate_default=validate_default,
            allow_inf_nan=False,
        ),
        **fields,
    )


def validate(
    factory: type, options: Mapping[str, Any], *, table: str = ""
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Check options against the signature.

    Args:
        table: where a preset keeps the options, such as ``fusion.vectors``; messages show it in front of their names.

    Returns:
        The options with defaults filled in and types coerced, and the problems as (option, message); the options are
        empty if there are problems.
    """
    try:
        checked = _schema(factory)(**options)
    except pydantic.ValidationError as error:
        return {}, [_problem(factory, item, table) for item in problems_of(error)]
    return {name: getattr(checked, name) for name in type(checked).model_fields}, []


def _problem(factory: type, item: Any, table: str) -> tuple[str, str]:
    """Return an option and pydantic's complaint about it."""
    name = ".".join(map(str, item["loc"]))
    if item["type"] != "extra_forbidden":
        return name, wrong_value(f"{table}.{name}" if table else name, item)
    options = options_of(factory)
    near = did_you_mean(name, [option.name for option in options])
    known = "; ".join(map(str, options)) or "none"
    return name, f"no such option of {factory.__name__}{near}; its options are: {known}"
