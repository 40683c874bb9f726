"""Write the result of a study into its directory: tables, figures and the numbers."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from matplotlib.figure import Figure

from gazekit.disk.atomic import write_atomically
from gazekit.measures.classification.pooled import Pooled
from gazekit.prepared.splits import indices_of
from gazekit.reporting.drawing.attention import attention_panels, choose_exams
from gazekit.reporting.drawing.attention_figure import attention_figure
from gazekit.reporting.drawing.originals.views import ShownViews
from gazekit.reporting.drawing.rendering import rendered
from gazekit.reporting.study.figures import study_figures
from gazekit.reporting.study.formats import write_tables
from gazekit.study.results.explaining import explain
from gazekit.study.results.result import StudyResult
from gazekit.study.study import Study


def write_study(
    study: Study,
    result: StudyResult,
    pooled: Mapping[str, Pooled],
    device: torch.device,
    warn: Callable[[str], None],
) -> None:
    """Write results.json, .md, .tex, .csv and the figures into the study directory.

    Args:
        study, result, pooled: the study, its result and its pooled predictions.
        device: computes the pictures of attention.
        warn: called for each system whose attention cannot be drawn.

    Raises:
        StorageError: the disk is full or read-only.
    """
    folder = study.folder.path
    write_atomically(folder / "results.json", result.to_text())
    write_tables(folder, result)
    figures = study_figures(result, pooled) | _attention(study, device, warn)
    for name, figure in figures.items():
        write_atomically(folder / f"{name}.png", rendered(figure, "png"))


def _attention(study: Study, device: torch.device, warn: Callable[[str], None]) -> dict[str, Figure]:
    """Draw the systems' attention side by side on the first exam of each class in the first fold's test part."""
    dataset = study.dataset
    tested = indices_of(dataset, next(iter(study.splits.values())), "test")
    exams = choose_exams(dataset, tested, per_class=1)
    explained = explain(study, exams, device, report=warn)
    if not explained:
        return {}
    shown = ShownViews(dataset)
    panels = attention_panels(shown, exams, explained, dataset.views)
    figure = attention_figure([replace(p, probability=None) for p in panels], list(explained), shown.words())
    return {"attention": figure}
