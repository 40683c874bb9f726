"""Turn a recording into fixations."""

from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Literal

import numpy as np

from gazekit.errors import ConfigurationError, DataError
from gazekit.gaze.blinks import beside_blinks, sampling_period
from gazekit.gaze.fixation_detection import (
    DispersionLimits,
    Runs,
    VelocityLimits,
    dispersion_runs,
    velocity_runs,
)
from gazekit.records.arrays import Booleans, Floats, Integers
from gazekit.records.recording import Recording


@dataclass(frozen=True, slots=True)
class FixationSettings:
    """Settings for finding fixations and drawing them as a heat map; plain values only.

    Args:
        method: ``"ivt"`` (velocity) or ``"idt"`` (dispersion).
        velocity_threshold: I-VT, degrees per second, > 0. 30: the usual value of trackers' own filters
            (Olsen, The Tobii I-VT fixation filter, 2012).
        velocity_window_ms: I-VT, time over which a velocity is measured, ms, >= 0. 20 (Olsen 2012): between two
            neighbours noise alone moves that fast. If the window holds one step, three are used if they last no
            longer than twice the window (75 Hz and more); at lower rates, and with 0, one step is used.
        merge_degrees: I-VT, fixations no further apart than this and maximum_gap_ms are one, degrees, >= 0;
            0 merges nothing. 0.5 (Olsen 2012): without it, 0.2 degrees of noise at 60 Hz lose 40 % of the
            fixation time.
        dispersion: I-DT, degrees of (max x - min x) + (max y - min y), > 0. 1: the upper end of the 0.5 to 1
            that Salvucci & Goldberg give (DOI 10.1145/355017.355028).
        minimum_duration_ms: shorter fixations are dropped, ms, >= 0. 100: the lower end of their 100 to 200.
        maximum_gap_ms: longest gap of lost samples inside a fixation, ms, >= 0. 75: shorter than a blink
            (Olsen 2012).
        blink_margin_ms: samples that lie wholly this near to a longer gap are dropped, because the lid moves the
            pupil's centre, ms, >= 0. 15: EyeLink's parser gives blinks 12 to 14 ms on each side (measured). Samples
            at 60 Hz are longer and stay.
        sigma_degrees: width of a fixation's Gaussian in a heat map, degrees, > 0. 1: about the fovea.
        pixels_per_degree: original pixels per degree, > 0, for recordings without geometry; None takes 30/800 of
            the image height. With 1 all thresholds are in pixels, the velocity in pixels per second.
        keep_suspect: count samples that the recorder may have clamped to the image border. False (ours): clamped
            samples pile up in places that nobody looked at.

    Raises:
        ConfigurationError: a value is out of range.
    """

    method: Literal["ivt", "idt"] = "ivt"
    velocity_threshold: float = 30.0
    velocity_window_ms: float = 20.0
    merge_degrees: float = 0.5
    dispersion: float = 1.0
    minimum_duration_ms: float = 100.0
    maximum_gap_ms: float = 75.0
    blink_margin_ms: float = 15.0
    sigma_degrees: float = 1.0
    pixels_per_degree: float | None = None
    keep_suspect: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("ivt", "idt"):
            raise ConfigurationError(
                f"gaze settings: method is {self.method!r}; expected 'ivt' (velocity) or 'idt' (dispersion)"
            )
        for name in ("velocity_threshold", "dispersion", "sigma_degrees"):
            self._check(name, positive=True)
        if self.pixels_per_degree is not None:
            self._check("pixels_per_degree", positive=True)
        for name in (
            "velocity_window_ms",
            "merge_degrees",
            "minimum_duration_ms",
            "maximum_gap_ms",
            "blink_margin_ms",
        ):
            self._check(name, positive=False)

    def _check(self, name: str, *, positive: bool) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and isfinite(value)
        if not number or value < 0 or (positive and value == 0):
            raise ConfigurationError(
                f"gaze settings: {name} is {value!r}; expected a number {'> 0' if positive else '>= 0'}"
            )


@dataclass(frozen=True, slots=True)
class Fixations:
    """Fixations on one image, in chronological order.

    Args:
        x, y: ``[n]`` centroids in pixels of the original image.
        onset_ms: ``[n]``; NaN if the recording has no time.
        duration_ms: ``[n]``; 1 each if the recording has no time, so that all samples have equal weight.
        recording: ``[n]`` number of the recording, where a reader may have several of the image; None where nobody
            counted.
    """

    x: Floats
    y: Floats
    onset_ms: Floats
    duration_ms: Floats
    recording: Integers | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def has_durations(self) -> bool:
        """Whether durations were recorded; 1 for every sample of a recording without time is a weight."""
        return not (np.isnan(self.onset_ms).all() and (self.duration_ms == 1).all())

    def inside(self, shape: tuple[int, int]) -> "Fixations":
        """Return the fixations inside an image of (height, width) pixels; a place that is NaN is not."""
        height, width = shape
        return self._where((self.x >= 0) & (self.y >= 0) & (self.x < width) & (self.y < height))

    def recordings(self) -> "tuple[Fixations, ...]":
        """Cut the fixations of a reader where another recording begins.

        Where nobody counted them, it begins where the onset falls, and nothing tells two without time apart.
        """
        begins = np.diff(self.onset_ms) < 0 if self.recording is None else np.diff(self.recording) != 0
        return tuple(self._where(rows) for rows in np.split(np.arange(len(self)), np.flatnonzero(begins) + 1))

    def _where(self, keep: Booleans | Integers) -> "Fixations":
        number = None if self.recording is None else self.recording[keep]
        return Fixations(self.x[keep], self.y[keep], self.onset_ms[keep], self.duration_ms[keep], number)


def fixations_of(
    recording: Recording,
    *,
    image_height: float,
    settings: FixationSettings,
    image_width: float | None = None,
) -> Fixations:
    """Find the fixations of a recording, in pixels of the original image.

    Rows that are fixations already are kept, lost ones excepted. Samples without timestamps become one fixation of
    weight 1 each: without time there is no velocity and no duration.

    Args:
        recording: samples or fixations on one image.
        image_height, image_width: size of the original image in pixels; the width also detects samples beside the
            image or clamped to its right border.
        settings: thresholds in degrees and ms.

    Raises:
        DataError: every sample is lost or outside the image, or no fixation is found.
    """
    recording = recording.in_image_pixels(image_height, image_width)
    rows = _rows(recording)
    usable = np.isfinite(recording.x) & np.isfinite(recording.y)
    if recording.suspect is not None and not settings.keep_suspect:
        usable &= ~recording.suspect
    rows = rows._where(usable)
    _check_inside(recording, rows, image_height, image_width)
    if recording.t_ms is None or recording.duration_ms is not None:
        return rows
    period = sampling_period(recording.t_ms)
    lids = beside_blinks(
        recording.t_ms,
        ~usable,
        margin_ms=settings.blink_margin_ms,
        maximum_gap_ms=settings.maximum_gap_ms,
        period_ms=period,
    )
    rows = rows._where(~lids[usable])
    degree = recording.degree(image_height, settings.pixels_per_degree)
    as_seen = replace(rows, x=rows.x / recording.stretch)  # a degree is as many pixels across as down
    if len(rows) == 0 or len(runs := _detect(as_seen, degree, period, settings)) == 0:
        raise DataError(
            f"{recording}: {settings.method} finds no fixation among {usable.sum()} usable samples; expected at "
            f"least {settings.minimum_duration_ms:g} ms in one place; check that its times are in ms, and "
            "raise the velocity or dispersion threshold if it is noisy"
        )
    return _centroids(rows, runs, period)


def _rows(recording: Recording) -> Fixations:
    """Return each row as one fixation, lost ones included."""
    unknown, alike = np.full(len(recording.x), np.nan), np.ones(len(recording.x))
    return Fixations(
        recording.x,
        recording.y,
        unknown if recording.t_ms is None else recording.t_ms,
        alike if recording.duration_ms is None else recording.duration_ms,
    )


def _check_inside(recording: Recording, rows: Fixations, height: float, width: float | None) -> None:
    total = len(recording.x)
    if len(rows) == 0:
        raise DataError(
            f"{recording}: all {total} samples are lost or clamped to the image border; expected at least "
            "one on the image; leave this recording out or record it again"
        )
    right = inf if width is None else width
    inside = (rows.x >= 0) & (rows.y >= 0) & (rows.x <= right) & (rows.y <= height)
    found = f"x {rows.x.min():g} to {rows.x.max():g}, y {rows.y.min():g} to {rows.y.max():g}"
    if not inside.any():
        size = f"{height:g} pixels high" if width is None else f"{width:g} x {height:g} pixels"
        raise DataError(
            f"{recording}: all {len(rows)} usable samples lie outside the image, which is {size} ({found}); "
            "expected pixels of the original image, (0, 0) its top left corner"
        )
    if len(rows) > 1 and inside.all() and max(rows.x.max(), rows.y.max()) <= 1:
        raise DataError(
            f"{recording}: all {len(rows)} usable samples lie in the first pixel ({found}); expected pixels "
            "of the original image; multiply fractions of the image by its width and height"
        )


def _detect(samples: Fixations, degree: float, period: float, settings: FixationSettings) -> Runs:
    limits = {
        "minimum_ms": settings.minimum_duration_ms,
        "maximum_gap_ms": settings.maximum_gap_ms,
        "period_ms": period,
    }
    x, y, t_ms = samples.x, samples.y, samples.onset_ms
    if settings.method == "idt":
        dispersion = DispersionLimits(threshold=settings.dispersion * degree, **limits)
        return dispersion_runs(x, y, t_ms, dispersion)
    velocity = VelocityLimits(
        threshold=settings.velocity_threshold * degree,
        window_ms=settings.velocity_window_ms,
        merge_distance=settings.merge_degrees * degree,
        **limits,
    )
    return velocity_runs(x, y, t_ms, velocity)


def _centroids(samples: Fixations, runs: Runs, period: float) -> Fixations:
    """Return one fixation per run: the mean of its samples, from the first onset to the last end."""
    first, last = runs[:, 0], runs[:, 1] - 1
    count = runs[:, 1] - runs[:, 0]
    before = [np.concatenate(([0.0], np.cumsum(values))) for values in (samples.x, samples.y)]
    x, y = ((total[last + 1] - total[first]) / count for total in before)
    onset = samples.onset_ms[first]
    return Fixations(x, y, onset, samples.onset_ms[last] - onset + period)
