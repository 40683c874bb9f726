"""The distribution of gazekit: its name, its requirements, and how to install an extra."""

import re
import shlex
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

NAME = "gazekit-multiview"
"""Name for pip. The package to import and the command are ``gazekit``, which on PyPI names another library."""
GROUP = "gazekit"
"""The entry-point group of plugins."""
FORMER = "gazekit"
"""Name for pip until 0.1.0; older environments still have it."""
_OWN_PLUGIN = "gazekit_components"


def normalised(name: str) -> str:
    """Normalise a distribution name as packaging tools do: ``Gated_Fusion`` → ``gated-fusion``."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def is_own(found: Distribution) -> bool:
    """Whether a distribution is gazekit itself, under its name or its former one."""
    name = normalised(found.metadata["Name"] or "")
    plugins = {entry.value for entry in found.entry_points.select(group=GROUP)}
    return name == NAME or (name == FORMER and _OWN_PLUGIN in plugins)


def own() -> Distribution | None:
    """Return the installed gazekit; None if it runs from source without being installed."""
    for name in (NAME, FORMER):
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if is_own(found):
            return found
    return None


def strangers() -> list[Distribution]:
    """Return other distributions that are named gazekit: they write into the same folder."""
    return [
        found
        for found in distributions()
        if normalised(found.metadata["Name"] or "") == FORMER and not is_own(found)
    ]


def requirements(extra: str = "") -> "list[Requirement]":
    """Return the packages that gazekit or an extra requires, sorted by name; empty if not installed."""
    from packaging.requirements import Requirement

    found = own()
    needed = [Requirement(text) for text in (found.requires if found else None) or ()]
    chosen = [each for each in needed if _applies(each, extra) and not (extra and _applies(each, ""))]
    return sorted(chosen, key=lambda each: each.name.lower())


def _applies(needed: "Requirement", extra: str) -> bool:
    return needed.marker is None or needed.marker.evaluate({"extra": extra})


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra by name: ``pip install 'highdicom>=0.27'``."""
    packages = [f"{each.name}{each.specifier}" for each in requirements(extra)]
    if not packages:
        return f"pip install '{NAME}[{extra}]'"
    return shlex.join(["pip", "install", *packages])
