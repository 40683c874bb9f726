"""Generate the page of the core's measures from their catalogue."""

from _extension.markdown import code, page, plain, table
from gazekit.measures.catalogue import CHECKS, MEASURES, Measure

INTRODUCTION = """
Each measure of `gazekit evaluate`, `report`, `benchmark`, `gaze compare` and `explain-check`, by its name in their
files. An evaluation averages a measure of images over the views of an exam and then over the exams.
[Metrics](../metrics.md) has those of plugins, [Statistics](../statistics.md) the intervals and tests; the functions of
`gazekit/measures/` have equations and sources.
"""
GROUPS = {
    "classification": ("Classification", "From each exam's probabilities and label."),
    "gaze_agreement": (
        "Agreement with gaze",
        "On the images that have gaze, of the attention for the positive class (of several: the predicted one), "
        "resized bilinearly to the image. Scaling a map or adding a constant changes nothing. Definitions: Bylinskii "
        "et al. 2019, doi:10.1109/TPAMI.2018.2815601. [Several readers](../gaze/readers.md) has the ceilings.",
    ),
    "localisation": (
        "Localisation",
        "On the images that have a lesion mask, of the same attention, whatever the exam's label.",
    ),
    "scanpaths": (
        "Scanpaths",
        "Two scanpaths: of two readers, or predicted by the term `next_fixation` and a reader's.",
    ),
    "explanation": (
        "Checks of attention maps",
        "In the table of a study: see [the checks](../explain_check.md).",
    ),
}


def pages() -> dict[str, str]:
    """Make the page of the measures."""
    groups = [_group(group, *words) for group, words in GROUPS.items()]
    return {"measures.md": page("Measures", INTRODUCTION, *groups)}


def _group(group: str, title: str, words: str) -> str:
    rows = [
        (code(name), plain(each.title), _scale(each), plain(each.meaning))
        for name, each in {**MEASURES, **CHECKS}.items()
        if each.group == group
    ]
    return f"## {title}\n\n{words}\n\n" + table(("name", "title", "scale", "meaning"), rows)


def _scale(measure: Measure) -> str:
    return "–" if measure.scale is None else "{:g} to {:g}".format(*measure.scale)
