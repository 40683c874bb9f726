"""Collect the contents of a run's page from its directory, predictions and data."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gazekit.contracts.report import ReportedRun
from gazekit.disk.wording import first_few
from gazekit.errors import ConfigurationError
from gazekit.measures.catalogue import MEASURES
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.comparing.systems import compare
from gazekit.measures.evaluate import Metrics, evaluate, pooled_of
from gazekit.measures.limits import limits_of
from gazekit.measures.numbers import interval, probability
from gazekit.measures.offered import OfferedMetrics, differences, offered_metrics
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.labels import count_classes
from gazekit.reporting.drawing.attention import attention_panels, choose_exams
from gazekit.reporting.drawing.attention_figure import attention_figure
from gazekit.reporting.drawing.charts.training import training_figure
from gazekit.reporting.drawing.originals.views import Originals, ShownViews
from gazekit.reporting.page import FEW_PATIENTS, SINGLE_TRAINING, Section
from gazekit.reporting.run.cases import Case, make_cases
from gazekit.reporting.run.confusion import at_thresholds
from gazekit.reporting.run.curve_sections import curve_sections
from gazekit.reporting.run.explain_check import explain_check_section
from gazekit.reporting.run.offered_sections import offered_sections
from gazekit.reporting.run.page import FurtherCases, RunPage
from gazekit.reporting.run.provenance import run_facts, shown_preset
from gazekit.runs.flattery import flattery
from gazekit.runs.trained import Trained

IMAGE_BYTES = 5_000_000
"""Maximum bytes of the images of all exams on a page: with maps and figures it stays below 15 MB."""
CASES_ON_A_PAGE = 200
_EPOCH = {
    "auc": "the epoch is selected by the validation AUC",
    "loss": "the epoch is selected by the validation loss",
    "last": "the last epoch is used",
}
"""``training.select`` → the epoch whose weights are used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """Exams and appearance of a report.

    Args:
        part: part of the run's split; ``"all"`` is every exam, e.g. of other data.
        threshold: probability above which the second of two classes is called, or ``"val"``, the best by Youden's
            index on the validation part; None takes that of the run, which is 0.5 unless ``calibrate`` chose one.
        exams: ids of the exams in the figure; empty takes the first two of each class.
        cases: maximum number of exams in the case browser; `CASES_ON_A_PAGE` on the page, the others beside it.
        originals: finds the raw images, to draw instead of the prepared ones; None shows the prepared ones.
    """

    part: str = "test"
    threshold: str | float | None = None
    exams: Sequence[str] = ()
    cases: int = 200
    originals: Originals | None = None


def run_page(
    trained: Trained,
    dataset: PreparedDataset,
    systems: Mapping[str, Predictions],
    settings: ReportSettings,
    *,
    threshold: float,
    threshold_origin: str,
    drawn: Callable[[int], None] = lambda _cases: None,
) -> RunPage:
    """Assemble the report of a run.

    Args:
        trained: the run.
        dataset: data of the run.
        systems: title → predictions with attention on the same exams; the run's first, then those to compare.
        settings: exams and appearance of the report.
        threshold: the second of two classes is called above it; the number that the settings lead to.
        threshold_origin: a sentence on where the threshold comes from.
        drawn: told the cases drawn so far, page by page.

    Raises:
        ConfigurationError: an exam was not predicted.
    """
    assert dataset.is_checked
    own, pooled = next(iter(systems.values())), {t: pooled_of(dataset, p) for t, p in systems.items()}
    offered = offered_metrics(trained.registry)
    metrics = {
        title: evaluate(dataset, each, metrics=offered, by_class=trained.explains_another)
        for title, each in systems.items()
    }
    found = next(iter(pooled.values()))
    number = min(settings.cases, len(own.indices))
    where = _where(trained, dataset, settings.part)
    what = (
        f"all {number} exams"
        if number == len(own.indices)
        else f"the first {number} of {len(own.indices)} exams"
    ) + (f", {CASES_ON_A_PAGE} on a page" if number > CASES_ON_A_PAGE else "")
    facts = run_facts(trained, dataset)
    shown = ShownViews(dataset, settings.originals)

    def browsed(first: int, last: int) -> list[Case]:
        made = make_cases(
            shown,
            list(systems.values()),
            trained.preset.views,
            threshold=threshold,
            most=last - first + 1,
            budget=IMAGE_BYTES,
            first=first - 1,
        )
        drawn(last)
        return made

    on_first = min(number, CASES_ON_A_PAGE)
    starts = range(on_first + 1, number + 1, CASES_ON_A_PAGE)
    return RunPage(
        title=f"{trained.facts.preset}: {trained.run.path.name}",
        summary=_summary(dataset, found, next(iter(metrics.values())), where),
        warnings=flattery(trained, dataset, settings.part),
        difference=_difference(pooled, [each.threshold for each in systems.values()], offered),
        catalogue=MEASURES | {name: metric.measure for name, metric in offered.items()},
        metrics=metrics,
        training=_training(trained),
        confusion=at_thresholds(found, threshold, threshold_origin),
        classes=dataset.classes,
        curves=curve_sections(
            pooled, metrics, {title: each.calibrated for title, each in systems.items()}, where
        ),
        picture=_picture(trained, ShownViews(dataset, settings.originals), systems, settings.exams),
        cases=browsed(1, on_first),
        further=FurtherCases(
            on_first, [(start, min(start + CASES_ON_A_PAGE - 1, number)) for start in starts], browsed
        ),
        cases_text=f"{where[0].upper()}{where[1:]}: {what}. {shown.words()} Attention explains the "
        f"{'positive' if len(dataset.classes) == 2 else 'predicted'} class; error is 1 minus the probability of the "
        "truth, uncertainty the entropy of the probabilities, gaze agreement the correlation of attention and gaze.",
        facts=facts,
        offered=[
            *explain_check_section(trained, dataset, settings.part),
            *offered_sections(
                trained.registry,
                _reported(trained, systems, pooled, facts, part=settings.part, threshold=threshold),
            ),
        ],
        texts={"Preset, resolved": shown_preset(trained.run.preset_path)},
        limits=[
            *_limits(found, where),
            *limits_of(dataset, own, next(iter(metrics.values())), trained.preset.covariates),
        ],
    )


def _reported(
    trained: Trained,
    systems: Mapping[str, Predictions],
    pooled: Mapping[str, Pooled],
    facts: Mapping[str, Mapping[str, object]],
    *,
    part: str,
    threshold: float,
) -> ReportedRun:
    """Describe the run to the sections of plugins."""
    (own, found), *others = pooled.items()
    return ReportedRun(
        name=trained.run.path.name,
        part=part,
        classes=trained.facts.classes,
        exam_ids=found.exam_ids,
        patient_ids=found.patient_ids,
        truth=found.labels,
        probabilities=found.probabilities,
        threshold=threshold,
        others={title: each.probabilities for title, each in others},
        attention=systems[own].attention,
        epochs=trained.run.read_metrics(),
        facts=facts,
    )


def _where(trained: Trained, dataset: PreparedDataset, part: str) -> str:
    """Describe the exams."""
    if part != "all":
        return f"the {part} part"
    other = trained.other_than_training(dataset)
    return f"other data ({dataset.root.resolve().name})" if other else "the data it was trained on"


def _summary(dataset: PreparedDataset, found: Pooled, metrics: Metrics, where: str) -> str:
    counts = Counter(found.labels.tolist())
    classes = count_classes({name: counts[k] for k, name in enumerate(dataset.classes)})
    patients = len(set(found.patient_ids))
    area = metrics["classification"]["auc"]
    known = ", with its 95 % interval over patients" if math.isfinite(area.low) else ""
    return (
        f"On {where}, {len(found.labels)} exams of {patients} patients ({classes}), the AUC is "
        f"{interval(area)}{known}."
    )


def _difference(pooled: Mapping[str, Pooled], thresholds: Sequence[float], offered: OfferedMetrics) -> str:
    if len(pooled) < 2:
        return ""
    (title, own), (other_title, other) = list(pooled.items())[:2]
    found = compare(own, other)
    if found is None:
        return ""
    further = "; ".join(
        f"{offered[name].measure.title} {interval(each.value, signed=True)}, p {_equals(each.p)}"
        for name, each in differences(offered, own, other, thresholds=(thresholds[0], thresholds[1])).items()
    )
    return (
        f"AUC {title} minus {other_title}, on the same exams: {interval(found.auc_difference, signed=True)} "
        f"(95 % interval over patients; DeLong's test, two-sided: p {_equals(found.delong_p)}). "
        + (f"Likewise: {further} (from the resamples of patients). " if further else "")
        + "One run each: this says nothing about other seeds."
    )


def _equals(p: float | None) -> str:
    words = probability(p)
    return words if words.startswith("<") else f"= {words}"


def _limits(found: Pooled, where: str) -> list[str]:
    patients = len(set(found.patient_ids))
    limits = [SINGLE_TRAINING]
    if patients < FEW_PATIENTS:
        limits.append(
            f"{where[0].upper()}{where[1:]}: {patients} patients are too few to show small differences."
        )
    return limits


def _picture(
    trained: Trained, shown: ShownViews, systems: Mapping[str, Predictions], exams: Sequence[str]
) -> Section | None:
    dataset = shown.dataset
    drawn = {f"Attention {title}": each for title, each in systems.items() if each.attention}
    if not drawn:
        return None
    drawn = dict(reversed(drawn.items()))  # as in the paper: without gaze supervision first
    predicted = list(drawn.values())[-1].indices
    chosen = _places(dataset, predicted.tolist(), exams) if exams else choose_exams(dataset, predicted)
    rule = (
        "The exams were chosen by name."
        if exams
        else "The first exams of each class, those with gaze first; not hand-picked."
    )
    target = "positive" if len(dataset.classes) == 2 else "predicted"
    panels = attention_panels(shown, chosen, drawn, trained.preset.views)
    return Section(
        "Where the model looked",
        attention_figure(panels, list(drawn), shown.words()),
        "For each exam a row per view: the image, the gaze heat map over it, and attention maps over it.",
        f"{rule} Attention explains the {target} class.",
    )


def _places(dataset: PreparedDataset, predicted: Sequence[int], exams: Sequence[str]) -> list[int]:
    place = {dataset.exam_ids[i]: i for i in predicted}
    unknown = [exam for exam in exams if exam not in place]
    if unknown:
        raise ConfigurationError(
            f"--exam {unknown[0]}: no such exam in this part of the split; there are {first_few(place, 5)}"
        )
    return [place[exam] for exam in exams]


def _training(trained: Trained) -> Section:
    return Section(
        "Training",
        training_figure(trained.run.read_metrics()),
        "Loss terms and validation AUC by epoch.",
        f"Every loss term of the training part, unweighted; {_EPOCH[trained.preset.training.select]}.",
    )
