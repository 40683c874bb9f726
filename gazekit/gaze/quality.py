"""Quality measures and warnings for a recording."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gazekit.errors import DataError
from gazekit.gaze.blinks import sampling_period
from gazekit.gaze.fixations import Fixations, FixationSettings, fixations_of
from gazekit.gaze.lost import FEWEST, SHARE, Repeated, repeated_place
from gazekit.records.arrays import Booleans, Mask, Size
from gazekit.records.recording import Recording

_BORDER = 1.0
"""Distance in pixels from the image edge within which a sample is on the border."""
_CLOCKS_MS = 20.0
"""Overlap of two fixations up to which it is rounding of their times (ours)."""
_BRIEF, _LONG = 10.0, 10_000.0
"""Median durations of fixations, in ms, beyond which they are hardly in ms (ours)."""


@dataclass(frozen=True, slots=True)
class RecordingCheck:
    """The quality measures of a recording; None if the recording, or a missing image, leaves them open.

    Args:
        rows: samples, or fixations where the file holds those.
        seconds: from the first row to the end of the last.
        rate_hz: samples per second, from the mean interval without gaps.
        interval_spread_ms: spread of the middle half of the intervals between samples.
        lost: share of the rows without a place; None if there are no rows.
        border: share of the other rows on the border of the image or clamped to it.
        outside: share of the other rows outside the image.
        fixations: number of fixations found.
        median_duration_ms: median duration of the fixations found.
        region: share of the fixation time inside the region that a preparation would cut out.
        lesion: share of the fixation time inside the lesion masks.
        region_area, lesion_area: share of the image that these cover: what chance would give.
        refused: why no fixation can be found; None if one can.
        repeated: a place that comes so often that it may stand for lost samples.
        copied: another recording of the image has the same rows.
        simultaneous: share of the samples at the time of the one before, or of the fixations that begin well before the
            one before has ended.
        holds_fixations: the rows are fixations, and not samples.
        region_name: the region that is meant; empty without one.
    """

    rows: int
    seconds: float | None
    rate_hz: float | None
    interval_spread_ms: float | None
    lost: float | None
    border: float | None = None
    outside: float | None = None
    fixations: int | None = None
    median_duration_ms: float | None = None
    region: float | None = None
    lesion: float | None = None
    region_area: float | None = None
    lesion_area: float | None = None
    refused: str | None = None
    repeated: Repeated | None = None
    region_name: str = ""
    copied: bool = False
    simultaneous: float | None = None
    holds_fixations: bool = False


def check_recording(
    recording: Recording, *, size: Size | None, settings: FixationSettings
) -> tuple[RecordingCheck, Fixations | None]:
    """Measure a recording and its fixations, in pixels of the image (without an image: of the recording).

    Args:
        recording: samples or fixations.
        size: height and width of the image looked at; None when it is unknown.
        settings: of the fixation detection.
    """
    check = _time(recording)
    try:
        if size is None:
            placed, height = without_image(recording, settings)
            width = None
        else:
            height, width = size
            placed = recording.in_image_pixels(height, width)
            check = _place(check, placed, size)
        fixations = fixations_of(placed, image_height=height, image_width=width, settings=settings)
    except DataError as error:
        return replace(check, refused=str(error).removeprefix(f"{recording}: ")), None
    return _with_fixations(check, recording, fixations), fixations


def measured_on_image(recording: Recording, fixations: Fixations, size: Size) -> RecordingCheck:
    """Measure a recording whose fixations on an image of this height and width are known."""
    check = _place(_time(recording), recording.in_image_pixels(*size), size)
    return _with_fixations(check, recording, fixations)


def copies(recordings: Sequence[Recording]) -> list[bool]:
    """Say of each recording of an image whether another one has the same rows."""
    rows = [(each.x.tobytes(), each.y.tobytes()) for each in recordings]
    counts = Counter(rows)
    return [
        counts[each] > 1 and len(recording.x) > 1 for each, recording in zip(rows, recordings, strict=True)
    ]


def without_image(recording: Recording, settings: FixationSettings) -> tuple[Recording, float]:
    """Return a recording in its native pixels (of the screen or the displayed image) and a height for its degrees.

    Raises:
        DataError: nothing tells how many of these pixels are one degree of visual angle.
    """
    own = replace(
        recording, on_screen=False, centre=None, display_height=None, display_width=None, of_copy=False
    )
    if recording.of_copy:  # its degree is in pixels of the original
        own = replace(own, pixels_per_degree=None)
    if recording.display_height is not None:
        return own, recording.display_height
    needs_degrees = recording.t_ms is not None and recording.duration_ms is None
    if not needs_degrees or own.pixels_per_degree or settings.pixels_per_degree:
        usable = recording.y[np.isfinite(recording.y)]
        return own, float(usable.max(initial=0)) + 1  # high enough that every sample lies inside
    raise DataError(
        f"{recording}: neither the recording nor an image says how long one degree of visual angle is; give the image, "
        "or --set fixations.pixels_per_degree (1: thresholds in pixels)"
    )


def lie_inside(fixations: Fixations, mask: Mask) -> Booleans:
    """Return for each fixation, ``[n]``, whether the pixel under its centroid is in a mask ``[H, W]`` of the image."""
    height, width = mask.shape
    x, y = np.floor(fixations.x), np.floor(fixations.y)
    on_image = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    inside = np.zeros(len(fixations), dtype=bool)
    inside[on_image] = mask[y[on_image].astype(np.int64), x[on_image].astype(np.int64)]
    return inside


def share_inside(fixations: Fixations, mask: Mask) -> float:
    """Return the share of fixation time whose centroid lies in a mask ``[H, W]`` of the image."""
    total = float(fixations.duration_ms.sum())
    inside = float(fixations.duration_ms[lie_inside(fixations, mask)].sum())
    return inside / total if total > 0 else 0.0


def doubts_about(check: RecordingCheck) -> list[str]:
    """List the faults and warnings of a recording, in sentences that do not name it."""
    rate, region = check.rate_hz, check.region
    lasting = check.median_duration_ms if check.holds_fixations else None
    repeated = [] if check.repeated is None else [str(check.repeated)]
    simultaneous = (check.simultaneous or 0) > SHARE and (check.simultaneous or 0) * check.rows >= FEWEST
    doubts = {
        "more than half of the samples are lost": (check.lost or 0) > 0.5,
        "fewer than 1 sample a second; are the times in ms?": rate is not None and rate < 1,
        "fewer than 20 samples a second; too few to tell fixations from saccades": rate is not None
        and 1 <= rate < 20,
        "more than 5000 samples a second; are the times in ms?": rate is not None and rate > 5000,
        "more than a fifth of the samples lie on the border of the image; were they clamped to it?": (
            check.border or 0
        )
        > 0.2
        and (check.border or 0) * check.rows >= FEWEST,
        "more than half of the samples lie outside the image; wrong geometry?": (check.outside or 0) > 0.5,
        "many samples have the time of the one before; are there rows of each eye, or of several readers?": (
            simultaneous and not check.holds_fixations
        ),
        "many fixations begin before the one before has ended; are they of both eyes, or of several readers?": (
            simultaneous and check.holds_fixations
        ),
        "half of the fixations last less than 10 ms; are their durations in ms?": lasting is not None
        and lasting < _BRIEF,
        "half of the fixations last more than 10 s; are their durations in ms?": lasting is not None
        and lasting > _LONG,
        "another recording of the image has the same rows; is one a copy? They count as two": check.copied,
        f"less than 20 % of the fixation time lies in the {check.region_name}; wrong geometry, or another image?": (
            region is not None and region < 0.2
        ),
    }
    reasons = [] if check.refused is None else [check.refused]
    return reasons + repeated + [sentence for sentence, holds in doubts.items() if holds]


def _with_fixations(check: RecordingCheck, recording: Recording, fixations: Fixations) -> RecordingCheck:
    is_timed = recording.t_ms is not None or recording.duration_ms is not None
    duration = float(np.median(fixations.duration_ms)) if is_timed and len(fixations) else None
    return replace(
        check,
        fixations=len(fixations),
        median_duration_ms=duration,
        holds_fixations=recording.duration_ms is not None,
    )


def _time(recording: Recording) -> RecordingCheck:
    t_ms, duration = recording.t_ms, recording.duration_ms
    lost = ~(np.isfinite(recording.x) & np.isfinite(recording.y))
    seconds = rate = spread = simultaneous = None
    if t_ms is not None and len(t_ms) > 1:
        intervals = np.diff(t_ms)
        period = sampling_period(t_ms)
        seconds = float(t_ms[-1] - t_ms[0] + (period if duration is None else duration[-1])) / 1000
        early = intervals <= 0 if duration is None else intervals < duration[:-1] - _CLOCKS_MS
        simultaneous = float(early.mean())
        if duration is None:
            rate = 1000 / period if period > 1e-9 else None
            spread = float(np.subtract(*np.percentile(intervals, (75, 25))))
    share = float(lost.mean()) if len(lost) else None
    return RecordingCheck(
        len(lost), seconds, rate, spread, share, repeated=repeated_place(recording), simultaneous=simultaneous
    )


def _place(check: RecordingCheck, placed: Recording, size: Size) -> RecordingCheck:
    """Complete the check with the shares on the border and outside; ``placed`` is in pixels of the original image."""
    usable = np.isfinite(placed.x) & np.isfinite(placed.y)
    if not usable.any():
        return check
    x, y = placed.x[usable], placed.y[usable]
    height, width = size
    depth = np.minimum(np.minimum(x, width - x), np.minimum(y, height - y))  # pixels inside the image
    border = (depth >= 0) & (depth <= _BORDER) if placed.suspect is None else placed.suspect[usable]
    return replace(check, border=float(border.mean()), outside=float((depth < 0).mean()))
