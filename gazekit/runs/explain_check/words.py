"""Say in plain words what the checks of attention maps found, and choose the numbers for a study's table."""

from collections.abc import Iterator, Sequence

from gazekit.measures.numbers import three
from gazekit.runs.explain_check.file import CheckRow
from gazekit.runs.files import StoredMeasure

SURVIVES = 0.5
"""Maps whose mean |Spearman| stays above this, by its interval, survive (ours)."""
IDLE = 0.9
"""Layers hardly matter whose random weights leave the mean Spearman correlation above this (ours)."""


def summary(rows: Sequence[CheckRow], layers: Sequence[str]) -> dict[str, StoredMeasure]:
    """Choose the measures of a study's table; ``CHECKS`` in ``measures.catalogue`` describes them."""
    places = {
        "randomised_likeness": ("cascade", layers[-1], "absolute_spearman"),
        "randomised_nss": ("gaze", "randomised", "nss"),
        "random_labels_likeness": ("random_labels", "", "absolute_spearman"),
        "random_labels_nss": ("gaze", "random labels", "nss"),
        "deletion_gain": ("deletion", "", "deletion_gain"),
        "insertion_gain": ("insertion", "", "insertion_gain"),
        "noise_likeness": ("noise", "", "spearman"),
        "shift_likeness": ("shift", "", "spearman"),
    }
    return {
        name: StoredMeasure(value=row.value, low=row.low, high=row.high)
        for name, place in places.items()
        if (row := find(rows, *place)) is not None
    }


def find(rows: Sequence[CheckRow], check: str, of: str, measure: str) -> CheckRow | None:
    """Return the row of a measure; None if it was not measured."""
    return next((row for row in rows if (row.check, row.of, row.measure) == (check, of, measure)), None)


def statements(rows: Sequence[CheckRow], layers: Sequence[str], *, supervised: bool) -> list[str]:
    """Say what the checks found, a sentence or two each.

    Args:
        rows: the measures.
        layers: from the logits down.
        supervised: whether gaze supervised the training.
    """
    return [
        *_on_random_weights(rows, layers),
        *_on_single_layers(rows, layers),
        *_on_gaze(rows, supervised=supervised),
        *_on_random_labels(rows, supervised=supervised),
        *_on_removal(rows),
        *_on_noise(rows),
    ]


def _on_random_weights(rows: Sequence[CheckRow], layers: Sequence[str]) -> Iterator[str]:
    row = find(rows, "cascade", layers[-1], "absolute_spearman")
    if row is None:
        yield "With random weights the maps are not finite: the randomisation says nothing."
        return
    beside = find(rows, "other_exams", "", "absolute_spearman")
    usual = f"; maps of different exams: {_words(beside)}" if beside else ""
    said = f"with random weights in all {len(layers)} layers, |Spearman| with the trained maps is {_words(row)}{usual}"
    if row.low is None:
        yield f"Not decided, because one patient has no interval: {said}."
    elif row.low > SURVIVES:
        yield f"The maps survive randomisation: {said}. They show the images or the architecture, not the training."
    elif row.high is not None and row.high < SURVIVES:
        yield f"The maps do not survive randomisation: {said}."
    else:
        yield f"Whether the maps survive randomisation is open: {said}."


def _on_single_layers(rows: Sequence[CheckRow], layers: Sequence[str]) -> Iterator[str]:
    found = {layer: find(rows, "layer", layer, "spearman") for layer in layers}
    idle = [f"{layer} ({_words(row)})" for layer, row in found.items() if row and (row.low or 0) > IDLE]
    if idle:
        yield f"The maps hardly change if one of these layers gets random weights: {', '.join(idle)}."


def _on_gaze(rows: Sequence[CheckRow], *, supervised: bool) -> Iterator[str]:
    trained, random = (find(rows, "gaze", of, "nss") for of in ("trained", "randomised"))
    name = "NSS"
    if trained is None:
        trained, random = (find(rows, "gaze", of, "correlation") for of in ("trained", "randomised"))
        name = "correlation with gaze"
    if trained is None or random is None:
        yield "No exam has gaze here, so agreement with gaze is not checked."
        return
    lost = find(rows, "gaze", "lost when randomised", trained.measure)
    said = f"{name} {_words(trained)} trained, {_words(random)} with all layers random"
    if lost is None or lost.low is None or random.low is None:
        yield f"Agreement with gaze: {said}; one patient has no interval."
        return
    if lost.low > 0:
        yield f"The training brings agreement with gaze: {said}; difference {_words(lost, signed=True)}."
    else:
        whose = "The gaze-supervised maps" if supervised else "The maps"
        yield (
            f"{whose} agree with gaze no better than those of a network that has learnt nothing: {said}; difference "
            f"{_words(lost, signed=True)}. "
            "Their agreement with gaze survives randomisation, and is no evidence of learning."
        )
    if random.low > 0 and lost.low > 0:
        yield (
            f"The random network agrees with gaze, too ({name} {_words(random)}, chance 0): that much comes from the "
            "images, the centre or the architecture."
        )


def _on_random_labels(rows: Sequence[CheckRow], *, supervised: bool) -> Iterator[str]:
    row = find(rows, "random_labels", "", "absolute_spearman")
    if row is None:
        return
    said = f"|Spearman| of the maps with those of the run on random labels is {_words(row)}"
    if row.low is None or row.high is None or row.low <= SURVIVES <= row.high:
        yield f"Whether the maps depend on the labels is open: {said}."
    elif row.low > SURVIVES:
        yield f"The maps hardly depend on the labels: {said}. They do not show why a class is called."
    else:
        yield f"The maps depend on the labels: {said}."
    lost, theirs = (find(rows, "gaze", of, "nss") for of in ("lost with random labels", "random labels"))
    if supervised and lost and theirs and lost.low is not None and lost.low <= 0:
        yield (
            f"The run on random labels agrees with gaze as well (NSS {_words(theirs)}, difference "
            f"{_words(lost, signed=True)}): the gaze loss brings the agreement, without a true label."
        )


def _on_removal(rows: Sequence[CheckRow]) -> Iterator[str]:
    found = [(name, find(rows, name, "", f"{name}_gain")) for name in ("deletion", "insertion")]
    if not any(row for _, row in found):
        yield "The model calls the explained class in no exam, so deletion and insertion are not measured."
    for name, row in found:
        if row is None:
            continue
        verb = "falls" if name == "deletion" else "rises"
        area = f"area better by {_words(row, signed=True)}, {row.exams} exams"
        if row.low is None or row.high is None:
            yield f"{name.capitalize()}: {area}; one patient has no interval."
        elif row.low <= 0 <= row.high:
            yield f"{name.capitalize()}: no evidence that the maps order pixels better than chance ({area})."
        else:
            speed = "faster" if row.low > 0 else "more slowly"
            yield f"{name.capitalize()}: the score {verb} {speed} than in random order ({area})."


def _on_noise(rows: Sequence[CheckRow]) -> Iterator[str]:
    for check, what in (("noise", "small noise"), ("shift", "a shift by one cell of the map")):
        if row := find(rows, check, "", "spearman"):
            yield f"Under {what} the maps keep a Spearman correlation of {_words(row)}."


def _words(row: CheckRow, *, signed: bool = False) -> str:
    """Format as ``0.801 [0.722, 0.869]``."""
    value = three(row.value, signed=signed)
    if row.low is None or row.high is None:
        return value
    return f"{value} [{three(row.low, signed=signed)}, {three(row.high, signed=signed)}]"
