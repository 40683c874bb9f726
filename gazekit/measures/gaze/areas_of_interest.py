"""Measure how long, how often and how soon readers look at areas of interest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gazekit.errors import DataError
from gazekit.gaze.fixations import Fixations
from gazekit.gaze.quality import lie_inside, share_inside
from gazekit.measures.statistics.intervals import Interval, mean_interval
from gazekit.prepared.areas import AreaBoxes, areas_of, kept_pixels
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.arrays import Mask


@dataclass(frozen=True, slots=True)
class Dwell:
    """How a reader looked at one area of an image.

    Args:
        dwell_ms: sum of the durations of the fixations inside; None if no durations were recorded.
        dwell_share: share of the reader's fixation time on this image that is inside, in [0, 1]; without durations the
            share of the samples. Time beside what the preparation kept of the image counts as outside.
        fixations: number of fixations inside.
        entries: number of visits, runs of consecutive fixations inside; none runs on into another recording.
        time_to_first_ms: onset of the first fixation inside, from the first row of its recording. Like the next two of
            the first recording that has one; None if none has, or without times.
        first_fixation_ms: its duration.
        fixations_before: number of fixations before it.
    """

    dwell_ms: float | None
    dwell_share: float
    fixations: int
    entries: int
    time_to_first_ms: float | None
    first_fixation_ms: float | None
    fixations_before: int | None


@dataclass(frozen=True, slots=True)
class AreaReading:
    """One reader's look at one area of one image.

    Args:
        exam: position in the data set.
        view, reader, area: names.
        area_share: share of the image, as far as the preparation kept it, that the area covers: the dwell share that
            chance would give.
        found: the measures.
    """

    exam: int
    view: str
    reader: str
    area: str
    area_share: float
    found: Dwell


@dataclass(frozen=True, slots=True)
class AreaSummary:
    """How some readings looked at an area.

    Args:
        reader: whose readings; None for those of all readers.
        label: class of their exams; None for all classes.
        area: its name.
        readings: number of readings whose image has the area.
        looked_at: share of them with a fixation inside, with its interval over patients; the bounds are NaN where
            there is one patient only.
        time_to_first_ms: median over the readings that looked and have times; None without such.
        dwell_ms: median over the readings that have durations, 0 where one did not look; None without such.
        dwell_share, area_share: means over all of the readings. Gaze that knows nothing of the area gives equal means;
            its median share of a small area is 0.
        entries: median over all of the readings.
    """

    reader: str | None
    label: int | None
    area: str
    readings: int
    looked_at: Interval
    time_to_first_ms: float | None
    dwell_ms: float | None
    dwell_share: float
    area_share: float
    entries: float


def dwell_on(fixations: Fixations, area: Mask) -> Dwell:
    """Measure how one reader looked at one area.

    Args:
        fixations: of the reader on the image, in its pixels; a fixation is inside if the pixel under it is.
        area: ``[H, W]``, true inside.

    Source: Holmqvist et al. 2011, Eye Tracking, ISBN 978-0-19-969708-3 (dwell time, entries, time to first fixation);
        in radiology Kundel & Nodine 1978, in Eye Movements and the Higher Psychological Functions.
    """
    recordings = fixations.recordings()
    insides = [lie_inside(each, area) for each in recordings]
    first = next(
        ((each, int(np.argmax(of))) for each, of in zip(recordings, insides, strict=True) if of.any()), None
    )
    has_durations = fixations.has_durations
    onset = math.nan if first is None else float(first[0].onset_ms[first[1]])
    return Dwell(
        dwell_ms=float(fixations.duration_ms[np.concatenate(insides)].sum()) if has_durations else None,
        dwell_share=share_inside(fixations, area),
        fixations=sum(int(of.sum()) for of in insides),
        entries=sum(int((of & ~np.r_[False, of[:-1]]).sum()) for of in insides),
        time_to_first_ms=None if math.isnan(onset) else onset,
        first_fixation_ms=float(first[0].duration_ms[first[1]]) if first and has_durations else None,
        fixations_before=first and first[1],
    )


def measure_areas(dataset: PreparedDataset, boxes: AreaBoxes | None = None) -> list[AreaReading]:
    """Measure every reader on every area of every image that has fixations and an area.

    Args:
        dataset: prepared with gaze; its lesion masks are the area ``lesion``.
        boxes: further areas.

    Raises:
        DataError: no image has fixations, or none of those has an area.
    """
    found: list[AreaReading] = []
    images = [
        (exam, view) for exam in range(len(dataset)) for view in dataset.views if dataset.readers(exam, view)
    ]
    if not images:
        raise DataError(
            f"{dataset.root}: no image has fixations; prepare the data with gaze recordings (finished heat maps do not "
            "say who looked where and when)"
        )
    for exam, view in images:
        readers = list(zip(dataset.readers(exam, view), dataset.fixations(exam, view), strict=True))
        kept = kept_pixels(dataset, exam, view)
        for area, mask in areas_of(dataset, exam, view, boxes).items():
            share = float(mask[kept].mean())
            found += [
                AreaReading(exam, view, name, area, share, dwell_on(own, mask)) for name, own in readers
            ]
    if not found:
        raise DataError(
            f"{dataset.root}: none of the {len(images)} images with fixations has an area; expected lesion masks in "
            "the prepared set, or a table of boxes (--areas)"
        )
    return found


def summarise_areas(
    dataset: PreparedDataset, readings: Sequence[AreaReading], *, resamples: int = 2000
) -> list[AreaSummary]:
    """Summarise each area for all readers, for each of several readers, and for each of several classes.

    Args:
        dataset: the prepared exams.
        readings: `measure_areas` of them.
        resamples: of the bootstrap over patients.
    """
    found = []
    for area in dict.fromkeys(each.area for each in readings):
        of_area = [each for each in readings if each.area == area]
        readers = sorted({each.reader for each in of_area})
        labels = sorted({int(dataset.labels[each.exam]) for each in of_area})
        groups: list[tuple[str | None, int | None]] = [(None, None)]
        groups += [(reader, None) for reader in readers if len(readers) > 1]
        groups += [(None, label) for label in labels if len(labels) > 1]
        for reader, label in groups:
            own = [
                each
                for each in of_area
                if reader in (None, each.reader) and label in (None, dataset.labels[each.exam])
            ]
            patients = [dataset.patient_ids[each.exam] for each in own]
            looked = [float(each.found.fixations > 0) for each in own]
            interval = Interval(float(np.mean(looked)), math.nan, math.nan)
            if len(set(patients)) > 1:
                interval = mean_interval(looked, patients, is_share=True, resamples=resamples)
            found.append(AreaSummary(reader, label, area, len(own), interval, *_averages(own)))
    return found


def _averages(
    readings: Sequence[AreaReading],
) -> tuple[float | None, float | None, float, float, float]:
    """Return medians and means in the order of `AreaSummary`."""
    times = [each.found.time_to_first_ms for each in readings if each.found.time_to_first_ms is not None]
    dwells = [each.found.dwell_ms for each in readings if each.found.dwell_ms is not None]
    return (
        float(np.median(times)) if times else None,
        float(np.median(dwells)) if dwells else None,
        float(np.mean([each.found.dwell_share for each in readings])),
        float(np.mean([each.area_share for each in readings])),
        float(np.median([each.found.entries for each in readings])),
    )
