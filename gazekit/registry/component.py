"""A registered component: its origin, and whether it keeps the contract of its kind."""

import inspect
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from gazekit.errors import ConfigurationError, GazekitError
from gazekit.presets.tables import TermSettings
from gazekit.registry import signature
from gazekit.registry.distribution import NAME

OWN = NAME
"""The distribution of gazekit itself; plugins of other distributions are foreign."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """The plugin that offers something."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Component:
    """A registered name: a class, or for kind ``preset`` a file."""

    kind: str
    name: str
    value: Any
    provenance: Provenance

    @property
    def location(self) -> str:
        """Module and line of a class, file name of a preset."""
        if not isinstance(self.value, type):
            return str(getattr(self.value, "name", self.value))
        return _place(self.value)

    @property
    def file(self) -> str:
        """Source file of a class; empty if there is none."""
        try:
            return inspect.getsourcefile(self.value) or ""
        except TypeError:
            return ""

    @property
    def signature(self) -> str:
        """Signature of a class: its context and, after the star, its options."""
        return f"{self.value.__name__}{signature.in_words(self.value)}"

    @property
    def level(self) -> str:
        """Level at which a fusion combines views: ``images``, ``maps`` or ``vectors``; empty for other kinds."""
        if self.kind != "fusion":
            return ""
        bases = zip(("images", "maps", "vectors"), _bases(self.kind), strict=True)
        return next(level for level, base in bases if issubclass(self.value, base))

    @property
    def documentation(self) -> str:
        """Docstring of the component."""
        return inspect.getdoc(self.value) or ""


@cache
def _place(value: type) -> str:
    """Return module and line of a class; to find the line, the whole file is read."""
    try:
        return f"{value.__module__}:{inspect.getsourcelines(value)[1]}"
    except (OSError, TypeError):
        return value.__module__


@dataclass(frozen=True, slots=True)
class Failure:
    """A part of a plugin that cannot be used, and why."""

    provenance: Provenance
    what: str
    cause: str
    kind: str | None = None
    """The affected kind; None = all."""

    def __str__(self) -> str:
        return f"plugin '{self.provenance.plugin}' of {self.provenance}: {self.what}: {self.cause}"


def check_contract(component: Component) -> None:
    """Raise ConfigurationError if a component does not fulfil the contract of its kind."""
    value = component.value
    if not isinstance(component.name, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", component.name):
        raise ConfigurationError(
            f"{component.name!r} cannot be a name; expected a text of letters, digits, '_' and '-' without spaces"
        )
    if component.kind == "preset":
        if not hasattr(value, "read_text"):
            raise ConfigurationError(f"expected a file (pathlib.Path or importlib.resources), got {value!r}")
        return
    if not isinstance(value, type):
        raise ConfigurationError(f"expected a class, got {value!r}")
    if component.kind in _METHODS:
        for method in _METHODS[component.kind]:
            if not any(method in vars(base) for base in value.__mro__):
                raise ConfigurationError(f"{value.__name__} has no method '{method}'")
    elif not issubclass(value, _bases(component.kind)):
        names = " or ".join(base.__name__ for base in _bases(component.kind))
        raise ConfigurationError(
            f"{value.__name__} does not derive from gazekit.contracts.interfaces.{names}"
        )
    if inspect.isabstract(value):
        missing = ", ".join(sorted(value.__abstractmethods__))
        raise ConfigurationError(f"{value.__name__} does not define {missing}")
    check_attributes(component.kind, value)
    signature.check_signature(value, CONTEXT.get(component.kind, ()), MAY_LACK.get(component.kind, 0))
    own = [option.name for option in signature.options_of(value) if option.name in _TABLE_OF_TERM]
    if component.kind == "term" and own:
        raise ConfigurationError(
            f"{value.__name__} has an option '{own[0]}', which a table of terms means itself; rename the option"
        )
    method, handed = _call(component.kind, value)
    if method:
        signature.check_call(value, method, handed)


CONTEXT = {
    "backbone": ("in_channels", "size"),
    "pooling": ("channels",),
    "fusion": ("views", "channels"),
    "term": ("views", "channels"),
    "head": ("features", "outputs", "views", "channels"),
}
"""The positional parameters that the core passes to each kind; other kinds have none."""
MAY_LACK = {"backbone": 1}
"""How many of them, from the end, a component of the kind may leave out."""
_METHODS = {
    "attention_map": ("__call__",),
    "dataset": ("exams",),
    "gaze_reader": ("fits", "read"),
    "region": ("find",),
    "optimizer": ("__call__",),
    "schedule": ("__call__",),
    "metric": ("__call__",),
    "report_section": ("__call__",),
    "tracker": ("begin", "log", "finish"),
}


_DECLARED = {
    ("fusion", "needs_gaze"): ("never", "training", "always"),
    ("alignment_loss", "reads"): ("heat_map", "fixations"),
    ("metric", "reads"): ("probabilities", "calls"),
}
"""The values that a class attribute may have; another one would hand the component nothing, unsaid."""


def check_attributes(kind: str, value: Any) -> None:
    """Raise ConfigurationError unless a component has the class attributes of its kind."""
    for (of_kind, name), allowed in _DECLARED.items():
        declared = getattr(value, name, allowed[0])
        former = name == "needs_gaze" and isinstance(declared, bool)  # until 0.1
        if kind == of_kind and declared not in allowed and not former:
            raise ConfigurationError(
                f"{value.__name__}.{name} is {declared!r}; expected {' or '.join(map(repr, allowed))}"
            )
    needs = value.needs if kind == "term" else frozenset()
    known = isinstance(needs, frozenset) and needs <= {"gaze", "masks", "fixations"}
    if not known or ("fixations" in needs and "gaze" not in needs):
        raise ConfigurationError(
            f"{value.__name__}.needs is {needs!r}; expected a frozenset of 'gaze' and 'masks', and 'fixations' "
            "beside 'gaze'"
        )
    if kind == "region" and not is_version(getattr(value, "version", None)):
        raise ConfigurationError(
            f"{value.__name__} has no version of its rules; expected a class attribute version = 1"
        )
    if kind not in ("metric", "report_section"):
        return
    title = getattr(value, "title", None)
    if not isinstance(title, str) or not title:
        raise ConfigurationError(f'{value.__name__} has no title; expected a class attribute title = "…"')
    if kind != "metric":
        return
    if not isinstance(getattr(value, "higher_is_better", None), bool):
        raise ConfigurationError(
            f"{value.__name__} says no direction; expected a class attribute higher_is_better = True or False"
        )


def is_version(value: object) -> bool:
    """Whether it can be the version of a region's rules."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


_TABLE_OF_TERM = frozenset(TermSettings.model_fields)
_CALLS = {
    "pooling": ("forward", ("maps", "extras")),
    "attention_map": ("__call__", ("output", "target")),
    "alignment_loss": ("forward", ("attention", "gaze")),
    "term": ("forward", ("output", "batch")),
    "head": ("forward", ("fused", "vectors")),
    "region": ("find", ("pixels",)),
    "optimizer": ("__call__", ("groups",)),
    "schedule": ("__call__", ("now",)),
    "metric": ("__call__", ("truth", "probabilities")),
    "report_section": ("__call__", ("run",)),
    "tracker": ("log", ("values", "epoch")),
}


def _call(kind: str, value: type) -> tuple[str, tuple[str, ...]]:
    """Return the method of a kind that the core calls with arrays, and its arguments; empty if there is none."""
    if kind != "fusion":
        return _CALLS.get(kind, ("", ()))
    images, maps, _ = _bases(kind)
    if issubclass(value, images):
        return "forward", ("images", "gaze")
    return "forward", ("maps",) if issubclass(value, maps) else ("vectors",)


def _bases(kind: str) -> tuple[type, ...]:
    # it imports torch, which data sets, gaze readers and regions do not need
    from gazekit.contracts import interfaces

    return {
        "backbone": (interfaces.Backbone,),
        "pooling": (interfaces.Pooling,),
        "fusion": (interfaces.ImageFusion, interfaces.MapFusion, interfaces.VectorFusion),
        "alignment_loss": (interfaces.AlignmentLoss,),
        "term": (interfaces.Term,),
        "head": (interfaces.Head,),
    }[kind]


def in_words(kind: str) -> str:
    """Format ``attention_map`` as ``attention map``, for messages."""
    return kind.replace("_", " ")


def one_line(error: BaseException) -> str:
    """Format an exception as one line; omit the class of gazekit's own exceptions."""
    try:
        said = str(error)
    except Exception as fault:  # foreign code may fail here, too
        said = f"its message cannot be read ({type(fault).__name__})"
    name = "" if isinstance(error, GazekitError) else f"{type(error).__name__}: "
    return " ".join(f"{name}{said}".split())
