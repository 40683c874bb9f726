"""Write the table of a study as Markdown, LaTeX and CSV."""

import csv
import io
import math
import re
from pathlib import Path

from gazekit.disk.atomic import write_atomically
from gazekit.disk.plain_text import to_cell
from gazekit.reporting.study.table import StudyTable, TableBlock, study_table
from gazekit.study.results.result import StudyResult, SystemRow

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "[": "{[}", "]": "{]}", "±": r"$\pm$", "×": r"$\times$", "−": "$-$"},
    **{"–": "--", "…": r"\dots{}", "≥": r"$\geq$", "≤": r"$\leq$", "λ": r"$\lambda$", "μ": r"$\mu$"},
}
_MARKDOWN = re.compile(r"[\\`*\[\]<>|]|(?<!\w)_|_(?!\w)")


def write_tables(folder: Path, result: StudyResult) -> None:
    """Write ``results.md``, ``results.tex`` and ``results.csv``. Raises StorageError."""
    table = study_table(result)
    write_atomically(folder / "results.md", markdown(table))
    write_atomically(folder / "results.tex", latex(table))
    write_atomically(folder / "results.csv", tidy_csv(result))


def markdown(table: StudyTable) -> str:
    """Format the whole table as GitHub's Markdown."""
    parts = [f"# {_md(table.title)}"]
    parts += [f"**Warning: {_md(warning)}**" for warning in table.warnings]
    parts.append("\n".join(f"- {_md(line)}" for line in table.evidence))
    parts += [_markdown_block(block) for block in table.blocks]
    parts.append("\n".join(f"- {_md(gate)}" for gate in table.gates))
    parts.append("\n".join(f"- {_md(line)}" for line in table.reading))
    parts.append("\n".join(f"{number}. {_md(note)}" for number, note in enumerate(table.footnotes, start=1)))
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(table: StudyTable) -> str:
    """Format the whole table as LaTeX; it needs the package booktabs."""
    head = [f"% {line}" for line in (table.title, *table.warnings, *table.evidence)]
    notes = [f"Warning: {warning}" for warning in table.warnings]
    notes += [f"({number}) {note}" for number, note in enumerate(table.footnotes, start=1)]
    notes += [*table.gates, *table.reading, *table.evidence]
    below = [r"\par\smallskip{\footnotesize", *(f"{_tex(note)}." + r"\par" for note in notes), "}"]
    title = rf"\caption{{{_tex(table.title)}}}"
    blocks = [line for block in table.blocks for line in _latex_block(block)]
    lines = [*head, "% needs \\usepackage{booktabs}", r"\begin{table}", r"\centering", title]
    return "\n".join([*lines, *blocks, *below, r"\end{table}"]) + "\n"


def tidy_csv(result: StudyResult) -> str:
    """Format one row per system with every number unrounded; missing numbers are empty."""
    rows = [_values(row, result) for row in result.rows]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: to_cell(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in rows
    )
    return text.getvalue()


def _values(row: SystemRow, result: StudyResult) -> dict[str, object]:
    values = _trained(row, result) | _measured(row) | _compared(row, result.reference) | _over_data_sets(row)
    if result.variance is not None:
        values |= {
            f"variance_{name.replace(' ', '_')}": value
            for name, value in result.variance.systems.get(row.name, {}).items()
        }
    for name, found in row.differences.items():
        values |= {
            f"{name}_difference": found.value.value,
            f"{name}_difference_low": found.value.low,
            f"{name}_difference_high": found.value.high,
            f"{name}_p": found.p,
            f"{name}_holm": found.holm,
        }
    if theirs := row.reported:
        values |= {"reported_auc": theirs.auc, "reported_acc": theirs.acc, "reported_source": theirs.source}
    values |= {
        **{"study": result.title, "fingerprint": result.fingerprint, "protocol": result.protocol},
        "recipe": " ".join(result.changes),
        **({"tuning": result.tuning} if result.tuning else {}),
        **{"exams": result.exams, "patients": result.patients, "leak": result.leak},
        **{"device": result.evidence.device, "date": result.evidence.date},
        "versions": " ".join(f"{name}={version}" for name, version in result.evidence.versions.items()),
    }
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


def _trained(row: SystemRow, result: StudyResult) -> dict[str, object]:
    """What was trained, and how many runs of it finished."""
    values: dict[str, object] = {
        "system": row.name,
        "preset": row.preset,
        "changes": " ".join(row.changes),
        "data": row.data or result.dataset,
        "stand_in": row.stand_in,
        "starts": "; ".join(row.starts),
        "runs": row.runs,
        "planned": row.planned,
        "failures": "; ".join(f"{failure.run}: {failure.reason}" for failure in row.failures),
        "parameters": row.parameters,
        "step_ratio": row.step_ratio,
    }
    if row.tuned:
        values["tuned"] = "; ".join(f"{run.run}: {' '.join(run.changes)}" for run in row.tuned)
    return values


def _measured(row: SystemRow) -> dict[str, object]:
    """Each measure over runs, and pooled with its interval."""
    values: dict[str, object] = {}
    for name, estimate in row.metrics.items():
        values |= {f"{name}_mean": estimate.mean, f"{name}_sd": estimate.sd}
        if pooled := estimate.pooled:
            values |= {f"{name}_pooled": pooled.value, f"{name}_low": pooled.low, f"{name}_high": pooled.high}
    return values


def _compared(row: SystemRow, reference: str) -> dict[str, object]:
    """The comparison with the reference; empty for the reference and for rows without one."""
    if not (compared := row.comparison):
        return {}
    difference = compared.auc_difference
    return {
        "compared_with": reference,
        "compared_exams": compared.exams,
        "auc_difference": difference.value,
        "auc_difference_low": difference.low,
        "auc_difference_high": difference.high,
        "delong_p": compared.delong_p,
        "delong_holm": compared.delong_holm,
        "mcnemar_p": compared.mcnemar_p,
        "mcnemar_holm": compared.mcnemar_holm,
        "runs_auc_difference": compared.runs_difference,
        "runs_p": compared.runs_p,
        "runs_holm": compared.runs_holm,
    }


def _over_data_sets(row: SystemRow) -> dict[str, object]:
    """The AUC over data sets, and the difference from the reference; empty where there is one data set."""
    if not (over := row.over_data_sets):
        return {}
    values: dict[str, object] = {
        "data_sets": over.data_sets,
        "data_sets_auc": over.value.value,
        "data_sets_auc_low": over.value.low,
        "data_sets_auc_high": over.value.high,
        "data_sets_compared": over.compared,
        "data_sets_p": over.p,
        "data_sets_holm": over.holm,
    }
    if change := over.difference:
        values |= {
            "data_sets_auc_difference": change.value,
            "data_sets_auc_difference_low": change.low,
            "data_sets_auc_difference_high": change.high,
        }
    return values


def _markdown_block(block: TableBlock) -> str:
    lines = [f"## {_md(block.title)}", ""]
    lines.append(" | ".join(["| System", *map(_md, block.columns)]) + " |")
    lines.append("|---|" + "---:|" * len(block.columns))
    for line in block.lines:
        marks = f"<sup>{', '.join(map(str, line.marks))}</sup>" if line.marks else ""
        lines.append(" | ".join([f"| {_md(line.name)}{marks}", *map(_md, line.cells)]) + " |")
    return "\n".join(lines)


def _latex_block(block: TableBlock) -> list[str]:
    def row(cells: list[str]) -> str:
        return " & ".join(cells) + r" \\"

    lines = [r"\par\medskip\textbf{" + _tex(block.title) + r"}\par\smallskip"]
    lines += [r"\begin{tabular}{l" + "r" * len(block.columns) + "}", r"\toprule"]
    lines += [row(["System", *map(_tex, block.columns)]), r"\midrule"]
    for line in block.lines:
        marks = rf"\textsuperscript{{{','.join(map(str, line.marks))}}}" if line.marks else ""
        lines.append(row([_tex(line.name) + marks, *map(_tex, line.cells)]))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _md(text: str) -> str:
    return _MARKDOWN.sub(lambda found: "\\" + found[0], " ".join(text.split()))


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
