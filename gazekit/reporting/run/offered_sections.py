"""Fill the sections of a run's page that plugins offer; one that fails says so, and the rest of the page stands."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gazekit.contracts.report import ReportedRun, ReportFigure, ReportTable
from gazekit.disk.wording import counted
from gazekit.registry.component import Component, one_line
from gazekit.registry.isolation import foreign_code
from gazekit.reporting.page import Section

if TYPE_CHECKING:
    from gazekit.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class OfferedSection:
    """A section of a plugin, ready for the template.

    Args:
        anchor: of its place on the page.
        title: heading.
        parts: paragraphs, tables and figures, as the template shows them.
        failure: why there are none; empty if there are.
    """

    anchor: str
    title: str
    parts: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""


def offered_sections(registry: "Registry", run: ReportedRun) -> list[OfferedSection]:
    """Ask every plugin for its sections, in the order of their names; those that say nothing are left out.

    Args:
        registry: provides the sections; of a name that two plugins offer, neither is shown.
        run: handed to each section, as a copy: one that changes it changes no other.
    """
    components = registry.components("report_section")
    names = [component.name for component in components]
    sections = [_filled(component, run) for component in components if names.count(component.name) == 1]
    return [section for section in sections if section.parts or section.failure]


def _filled(component: Component, run: ReportedRun) -> OfferedSection:
    anchor, title = f"section-{component.name}", component.value.title
    try:
        with foreign_code(component.provenance):
            parts = [_shown(part) for part in component.value()(deepcopy(run))]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # even an exit
        owner = f"plugin '{component.provenance.plugin}' of {component.provenance}"
        return OfferedSection(anchor, title, failure=f"This section of {owner} failed: {one_line(error)}")
    return OfferedSection(anchor, title, parts)


def _shown(part: object) -> dict[str, Any]:
    """The values of a part for the template, which escapes them. Raises TypeError, ValueError: it is none."""
    if isinstance(part, str):
        return {"kind": "text", "text": part}
    if isinstance(part, ReportTable):
        return {"kind": "table", "caption": part.caption, "columns": list(map(str, part.columns))} | {
            "rows": list(_rows(part))
        }
    if isinstance(part, ReportFigure):
        return {"kind": "figure", **Section("", part.figure, part.alt, part.text).shown()}
    raise TypeError(f"expected text, a ReportTable or a ReportFigure, got {type(part).__name__}")


def _rows(table: ReportTable) -> Iterator[list[dict[str, Any]]]:
    for number, row in enumerate(table.rows, start=1):
        cells = list(row)
        if len(cells) != len(table.columns):
            raise ValueError(
                f"row {number} has {counted(len(cells), 'cell')}, and the table {counted(len(table.columns), 'column')}"
            )
        yield [{"text": str(cell), "number": _is_number(cell)} for cell in cells]


def _is_number(cell: object) -> bool:
    try:
        float(str(cell).replace("−", "-"))
    except ValueError:
        return False
    return True
