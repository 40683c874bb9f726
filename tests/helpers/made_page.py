"""Made-up contents of report pages."""

import numpy as np
from matplotlib.figure import Figure

from gazekit.gaze.fixations import Fixations
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.statistics.intervals import Interval
from gazekit.reporting.drawing.colours import ATTENTION, GAZE, INK, MUTED
from gazekit.reporting.drawing.layers import image_uri, map_uri, outline, scanpaths
from gazekit.reporting.page import Section
from gazekit.reporting.run.cases import Case, CaseView, MapNumbers
from gazekit.reporting.run.confusion import at_thresholds
from gazekit.reporting.run.page import RunPage

METRICS = {
    "Classification": {"auc": Interval(0.812, 0.701, 0.9), "brier": Interval(0.2, 0.15, 0.26)},
    "gaze_agreement": {
        "correlation": Interval(0.5, 0.25, 0.6, resamples=1900, undefined=100),
        "my_own": Interval(7.0, 6.0, 9.0),
    },
}
SHAPE = (40, 32)


def made_figure():
    """A line and a word in the colours that follow the page."""
    figure = Figure(figsize=(2, 1.5))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.plot([0, 1], color=MUTED)
    figure.text(0.1, 0.1, "word", color=INK)
    return figure


def made_case(number, exam_id=None, label=0, positive=0.3, agreement=0.4, systems=2):
    """Two views; the second has neither gaze nor lesion."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, SHAPE).astype(np.uint8)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[5:9, 10:20] = True
    found = Fixations(
        np.array([8.0, 20.0]), np.array([30.0, 10.0]), np.array([0.0, 300.0]), np.array([250.0, 1000.0])
    )
    attention = tuple(map_uri(rng.normal(size=(5, 4)), ATTENTION, SHAPE) for _ in range(systems))
    numbers = tuple(MapNumbers(True, agreement, 0.25, 1.0) for _ in range(systems))
    first = CaseView(
        name="cc",
        title="R CC",
        height=SHAPE[0],
        width=SHAPE[1],
        image=image_uri(pixels / 255, 64),
        gaze=map_uri(rng.random(SHAPE), GAZE, SHAPE),
        attention=attention,
        numbers=numbers,
        lesion=outline(mask),
        scanpaths=scanpaths([found], SHAPE),
        fixations=2,
        seconds=1.25,
        scale=(10, 8.0),
    )
    second = CaseView(
        name="mlo",
        title="R MLO",
        height=SHAPE[0],
        width=SHAPE[1],
        image=image_uri(pixels[::-1] / 255, 64),
        gaze=None,
        attention=attention,
        numbers=tuple(MapNumbers(False, None, None, None) for _ in range(systems)),
        lesion="",
        scanpaths=(),
        fixations=0,
        seconds=None,
    )
    chances = (1 - positive, positive)
    return Case(
        number=number,
        exam_id=exam_id or f"exam-{number}",
        label=label,
        called=int(positive > 0.5),
        probabilities=(chances,) * systems,
        error=1 - chances[label],
        uncertainty=1 - abs(2 * positive - 1),
        agreement=agreement,
        views=(first, second),
    )


CASES = (
    made_case(1, label=1, positive=0.9, agreement=0.7),
    made_case(2, label=0, positive=0.8, agreement=0.2),
    made_case(3, label=1, positive=0.45, agreement=None),
    made_case(4, label=0, positive=0.1, agreement=-0.1),
    made_case(5, label=1, positive=0.2, agreement=0.5),
)
"""Called right, false alarm, missed, right, missed."""


def pooled_cases():
    """The first system's predictions of ``CASES``, a patient each."""
    names = [case.exam_id for case in CASES]
    chances = np.array([case.probabilities[0] for case in CASES])
    return Pooled(names, names, np.array([case.label for case in CASES]), chances)


def made_run_page(**changes):
    section = Section("ROC curve", made_figure(), "curve above the diagonal", "All test exams.")
    contents = {
        "title": "A run",
        "summary": "It was trained.",
        "metrics": {"with gaze": METRICS, "without gaze": METRICS},
        "training": Section("Training", made_figure(), "losses fall", "By epoch."),
        "confusion": at_thresholds(pooled_cases(), 0.5, "It was given."),
        "classes": ("benign", "malignant"),
        "facts": {
            "Data": {"exams": {"train": 70, "test": 30}, "gaze": True, "gpu": None, "views": ["cc", "mlo"]}
        },
        "texts": {"Preset": "[data]\nsize = 64"},
        "picture": Section("Where it looked", made_figure(), "maps over images", "Not a choice."),
        "curves": [section],
        "cases": CASES,
        "cases_text": "All five.",
    }
    return RunPage(**contents | changes)
