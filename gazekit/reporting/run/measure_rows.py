"""Format the measures of one or several systems as rows of a page's tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gazekit.measures.catalogue import Measure, of_label
from gazekit.measures.numbers import three
from gazekit.measures.statistics.intervals import Interval

Metrics = Mapping[str, Mapping[str, Interval]]
"""Group → measure → interval."""

_TILES = ("auc", "accuracy", "correlation", "pointing_game")


Catalogue = Mapping[str, Measure]
"""Measure → its title, meaning and scale."""


def measure_groups(systems: Mapping[str, Metrics], catalogue: Catalogue) -> list[dict[str, Any]]:
    """Build a table per group that any system has: a row per measure, a value per system."""
    groups = dict.fromkeys(group for metrics in systems.values() for group in metrics)
    return [
        {
            "id": f"measures-{number}",
            "title": heading(group),
            "rows": [
                _row(name, catalogue, [metrics.get(group, {}).get(name) for metrics in systems.values()])
                for name in dict.fromkeys(n for metrics in systems.values() for n in metrics.get(group, ()))
            ],
        }
        for number, group in enumerate(groups)
    ]


def tiles(systems: Mapping[str, Metrics], catalogue: Catalogue) -> list[dict[str, Any]]:
    """Build the tiles at the top: the main measures of the first system, with the others' values below."""
    found = []
    flat = {
        title: {
            name: interval
            for group, found in metrics.items()
            if of_label(group)
            for name, interval in found.items()
        }
        for title, metrics in systems.items()
    }
    (_, own), *others = flat.items()
    for name in _TILES:
        if name in own:
            words = interval_words(own[name])
            beside = [f"{title}: {interval_words(m[name])['value']}" for title, m in others if name in m]
            title = "Correlation with gaze" if name == "correlation" else catalogue[name].title
            found.append({"title": title, **words, "others": beside})
    return found


def heading(name: str) -> str:
    """Turn a name in the code into a heading."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _row(name: str, catalogue: Catalogue, intervals: Sequence[Interval | None]) -> dict[str, Any]:
    measure = catalogue.get(name, Measure("classification", name.replace("_", " "), "", scale=None))
    drawable = measure.scale and all(i is not None and math.isfinite(i.low) for i in intervals)
    return {
        "title": measure.title,
        "meaning": measure.meaning,
        "cells": [interval_words(interval) for interval in intervals],
        "bars": [_bar(i, measure) for i in intervals if i is not None] if drawable else [],
        "chance": None
        if measure.chance is None or not measure.scale
        else _position(measure.chance, measure.scale),
    }


def interval_words(interval: Interval | None) -> dict[str, str]:
    """Return value, interval and any remark on it."""
    if interval is None:
        return {"value": "–", "interval": "", "remark": ""}
    known = math.isfinite(interval.low)
    drawn = interval.resamples + interval.undefined
    return {
        "value": three(interval.value),
        "interval": f"{three(interval.low)} to {three(interval.high)}" if known else "–",
        "remark": f"undefined in {interval.undefined} of {drawn} resamples" if interval.undefined else "",
    }


def _bar(interval: Interval, measure: Measure) -> dict[str, float]:
    """Return positions from 0 to 100 on the scale of the measure."""
    assert measure.scale
    ends = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: _position(value, measure.scale) for name, value in ends.items()}


def _position(value: float, scale: tuple[float, float]) -> float:
    share = (value - scale[0]) / (scale[1] - scale[0])
    return round(100 * min(max(share, 0), 1), 2)  # the Brier score of several classes may be above 1
