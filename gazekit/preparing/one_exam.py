"""One exam from its files to arrays; runs in the worker processes, so it must not import torch."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gazekit.disk.plain_text import storable
from gazekit.errors import ConfigurationError, DataError
from gazekit.gaze.fixations import Fixations, fixations_of
from gazekit.gaze.heat_map import check_on_image, sigma_pixels
from gazekit.gaze.quality import copies, doubts_about, measured_on_image, share_inside
from gazekit.gaze.readers import reader_names
from gazekit.prepared.exam_record import ExamRecord, ReaderFixation, ViewRecord
from gazekit.prepared.settings import SAME, WHOLE, PreparationSettings
from gazekit.prepared.stored_masks import packed
from gazekit.preparing.regions import found_region
from gazekit.reading.image import read_image
from gazekit.reading.lesion_masks import lesion_mask
from gazekit.reading.window import parse_window
from gazekit.records.arrays import Grey, Mask
from gazekit.records.exam import DOUBT, GAZE, NOTE, ODD, REFUSED_GAZE, Exam, Finding
from gazekit.records.geometry import Geometry, common_scales, largest_scale
from gazekit.records.raw_image import RawImage
from gazekit.records.recording import Recording
from gazekit.records.refused import Refused
from gazekit.records.region import PixelBox, Region, whole_image

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import RegionFinder

_BY_PIXELS = "scaled with the other views by pixels: one of them has no pixel spacing"
_UNNAMED = (
    "its recordings name no reader, so they are numbered on each image, and 1 need not be the same reader on another; "
    "name them with --names, or a column reader, before readers are compared or chosen"
)
_DARK = 1 / 16
"""Share of white below which the brightest pixel makes an image nearly black (ours): four of its bits are unused."""
_MOST_OF_AN_IMAGE = 0.5
"""Share of an image above which a lesion mask is doubted (ours)."""
_TOO_LARGE = (
    "its lesion mask marks more than half of the image; expected 0 outside the lesions: check that it is not inverted, "
    "and not the image itself"
)
_MIRRORED = (
    "lies in its image as one of side {} does, but is of side {}: check the side, or mirror the stored image"
)
_SMALL = "fills less than half of its image at the scale of the other views: check its pixel spacing"


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """An exam to prepare.

    Args:
        exam: with paths below ``root``.
        recordings: view → gaze recordings on its image.
        settings: what to do.
        root: the folder of the data set.
        finder: of the region that the settings name; None where they name none.
        noticed: view → kinds and sentences of findings made before its pixels are read.
    """

    exam: Exam
    recordings: Mapping[str, tuple[Recording, ...]]
    settings: PreparationSettings
    root: Path
    finder: "RegionFinder | None" = None
    noticed: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.settings.finds_region != (self.finder is not None):
            raise ValueError(
                f"settings name the region {self.settings.region_name!r}, finder is {self.finder}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class PreparedExam:
    """An exam as arrays ``[V, H, W]`` (colour images ``[V, 3, H, W]``), its masks packed, and its record.

    ``heat_maps`` come finished with the data.
    """

    images: NDArray[Any]
    masks: NDArray[np.uint8]
    heat_maps: NDArray[Any]
    record: ExamRecord


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The image of one view, and the crop in it.

    ``scale`` is that of the prepared image, None for the largest; ``noticed`` are kinds and sentences of findings.
    """

    view: str
    raw: RawImage
    side: str | None
    lesion: Mask
    region: Region
    box: PixelBox
    scale: float | None = None
    noticed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """One prepared view as arrays ``[H, W]`` (a colour image ``[3, H, W]``), and its record."""

    image: Grey
    mask: Grey | None
    heat_map: Grey | None
    record: ViewRecord


def prepare_exam(task: Task) -> PreparedExam | Refused:
    """Decode, crop, flip and resize all views of an exam, with their fixations and masks, or refuse it.

    Gaze that cannot be used does not cost the exam: it is a finding.
    """
    try:
        there = {found.view: _prepare_view(task, found) for found in _images_of(task)}
        views = [there.get(view) or _missing_view(task.settings, view) for view in task.settings.views]
    except DataError as error:
        return Refused(task.exam.exam_id, _below_root(task, error))
    dtype = np.dtype(task.settings.dtype)
    blank = np.zeros(task.settings.size, dtype=np.float32)
    arrays = (
        _whole_numbers([view.image for view in views], dtype),
        packed(np.stack([blank if view.mask is None else view.mask for view in views]) > 0),
        _whole_numbers([blank if view.heat_map is None else view.heat_map for view in views], dtype),
    )
    stored = arrays if task.settings.heat_maps else arrays[:2]
    return PreparedExam(*arrays, record=_record(task.exam, views, stored))


def _below_root(task: Task, error: DataError) -> str:
    """Say an error with paths relative to the data set."""
    return str(error).replace(f"{task.root}/", "")


def _record(exam: Exam, views: list[_View], arrays: tuple[NDArray[Any], ...]) -> ExamRecord:
    return ExamRecord(
        *(exam.exam_id, exam.patient_id, exam.label, exam.part, exam.dataset),
        views=tuple(view.record for view in views),
        digest=hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest(),
        targets=exam.targets,
        covariates=exam.covariates,
    )


def _missing_view(settings: PreparationSettings, view: str) -> _View:
    """A view that the exam lacks: black."""
    channels = (settings.channels,) if settings.colour else ()
    black = np.zeros((*channels, *settings.size), dtype=np.float32)
    return _View(black, None, None, ViewRecord.missing(view, settings.size))


def _images_of(task: Task) -> Iterable[_Found]:
    """Read the images that the exam has: one by one, or together where they share one scale."""
    found = (_find(task, view) for view in task.settings.views if view in task.exam.images)
    return _at_one_scale(list(found), task.settings.size) if task.settings.scale == SAME else found


def _find(task: Task, view: str) -> _Found:
    exam = task.exam
    raw = _read(exam.images[view], task.settings)
    lesion = lesion_mask(exam.masks.get(view, ()), raw.pixels.shape)  # [H, W]
    region = _region(raw, lesion, task.finder)
    box = region.image if task.settings.crop == WHOLE else region.box
    return _Found(view, raw, exam.laterality.get(view) or raw.laterality, lesion, region, box)


def _at_one_scale(found: list[_Found], size: tuple[int, int]) -> list[_Found]:
    """Scale all images alike, and note where their pixels had to count as equal or one looks small beside another."""
    scales = common_scales([each.box for each in found], [each.raw.pixel_spacing_mm for each in found], size)
    by_pixels = len(found) > 1 and any(each.raw.pixel_spacing_mm is None for each in found)
    scaled = []
    for place, (each, scale) in enumerate(zip(found, scales, strict=True)):
        noticed = [(NOTE, _BY_PIXELS)] if by_pixels and place == 0 else []
        if scale < largest_scale(each.box, size) / 2:
            noticed.append((ODD, _SMALL))
        scaled.append(replace(each, scale=scale, noticed=tuple(noticed)))
    return scaled


def _prepare_view(task: Task, found: _Found) -> _View:
    exam, settings, view = task.exam, task.settings, found.view
    raw, side, lesion, region = found.raw, found.side, found.lesion, found.region
    geometry = Geometry.fit(
        found.box,
        settings.size,
        flip=settings.laterality == "auto" and side == "R",
        keep_left=settings.crop != WHOLE and settings.laterality == "auto" and side is not None,
        scale=found.scale,
    )
    image = geometry.warp(raw.pixels)  # [H, W]
    if raw.colour is not None:
        image = np.stack([geometry.warp(channel) for channel in raw.colour])  # [3, H, W]
    if settings.mask_outside and not region.doubt:
        image *= region.inside(geometry)
    mask = _mask(lesion, geometry)
    fixations, said = _fixations(task, found, geometry)
    if view in exam.masks and (doubt := _doubt_about_mask(lesion)):
        said.append(doubt)
    heat_map = None
    try:
        heat_map = _finished(exam.heat_maps[view], raw, geometry) if view in exam.heat_maps else None
    except DataError as error:
        said.append((REFUSED_GAZE, _below_root(task, error)))
    before = task.noticed.get(view, ())
    findings = [*before, *((ODD, warning) for warning in raw.warnings), *found.noticed]
    if settings.laterality == "auto" and side and region.side and region.side != side:
        findings.append((ODD, _MIRRORED.format(region.side, side)))
    if region.doubt:
        findings.append((DOUBT, f"kept whole: {region.doubt}"))
    elif darkness := _darkness(raw.pixels):
        findings.append((ODD, darkness))
    record = ViewRecord(
        view=view,
        image=storable(Path(os.path.relpath(exam.images[view], task.root)).as_posix()),
        has_gaze=bool(fixations) or heat_map is not None,
        has_mask=mask is not None,
        laterality=side or "",
        modality=raw.modality,
        raw_size=(raw.pixels.shape[0], raw.pixels.shape[1]),
        geometry=geometry,
        spacing_mm=raw.pixel_spacing_mm,
        digest=raw.digest(),
        findings=tuple(Finding(kind, view, what) for kind, what in (*findings, *said)),
        fixations=fixations,
    )
    return _View(image, mask, heat_map, record)


def _read(path: Path, settings: PreparationSettings) -> RawImage:
    raw = read_image(path, parse_window(settings.window), settings.bit_depth, colour=settings.colour)
    if raw.guessed_depth is not None:
        raise DataError(
            f"{path}: holds whole numbers of more than 8 bits, and no such image was in the training data to tell how "
            f"many bits are used; say it with --bit-depth (this image takes {raw.guessed_depth})"
        )
    return raw


def _region(raw: RawImage, lesion: Mask, finder: "RegionFinder | None") -> Region:
    """Find the region; keep the whole image where none is sought, none is found, or a marked lesion lies beside it."""
    if finder is None:
        return whole_image(raw.pixels.shape)
    region = found_region(finder, raw.pixels)
    if region.doubt or region.holds(lesion):
        return region
    return whole_image(raw.pixels.shape, "a marked lesion lies outside the region found")


def _darkness(pixels: Grey) -> str:
    """Say that an image shows nothing or next to nothing; empty if it does show something."""
    darkest, brightest = float(pixels.min()), float(pixels.max())
    if darkest == brightest:
        return "shows nothing: all its pixels are equal"
    if brightest < _DARK:
        return f"is nearly black, its brightest pixel at {brightest:.1%} of white: check its bit depth, or its window"
    return ""


def _doubt_about_mask(lesion: Mask) -> tuple[str, str] | None:
    """Return kind and sentence of a finding about a mask that marks nothing, or more than a lesion can be."""
    share = lesion.mean()
    if share == 0:
        return NOTE, "its lesion mask marks nothing"
    return (ODD, _TOO_LARGE) if share > _MOST_OF_AN_IMAGE else None


def _mask(lesion: Mask, geometry: Geometry) -> Grey | None:
    """Prepared pixels at least half covered by a lesion, also outside the region; None where nothing is marked."""
    if not lesion.any():
        return None
    coverage = geometry.warp(lesion.astype(np.float32))  # [H, W]
    if coverage.max() == 0:
        raise DataError("the lesion lies outside the region found; prepare with crop none")
    enough = min(0.5, float(coverage.max()))  # a tiny lesion keeps its best pixel
    return np.asarray(coverage >= enough, dtype=np.float32)


def _doubts(
    task: Task, found: _Found, recordings: Sequence[Recording], fixations: Sequence[Fixations]
) -> Iterator[tuple[str, str]]:
    """List what looks wrong with the recordings of an image, each sentence once."""
    pixels = found.raw.pixels
    cut = found.region.boxed() if task.finder is not None and not found.region.doubt else None
    said: dict[str, None] = {}
    for recording, rows, copied in zip(recordings, fixations, copies(recordings), strict=True):
        check = replace(measured_on_image(recording, rows, pixels.shape), copied=copied)
        if cut is not None:
            check = replace(check, region=share_inside(rows, cut), region_name=task.settings.region_name)
        said |= dict.fromkeys((*recording.notes, *doubts_about(check)))
    said |= dict.fromkeys(_repeated_readers(recordings))
    yield from ((GAZE, sentence) for sentence in said)
    if len({each.file for each in recordings if each.reader is None}) > 1:
        yield NOTE, _UNNAMED


def _fixations(
    task: Task, found: _Found, geometry: Geometry
) -> tuple[tuple[ReaderFixation, ...], list[tuple[str, str]]]:
    """Find the fixations of all recordings that can be used, and what is to be said: the others, and what looks wrong.

    Readers and recordings are counted before any is refused.
    """
    recordings = task.recordings.get(found.view, ())
    used: list[Recording] = []
    fixations: list[Fixations] = []
    rows: list[ReaderFixation] = []
    said: list[tuple[str, str]] = []
    looks: Counter[str] = Counter()
    height, width = found.raw.pixels.shape
    for reader, recording in zip(reader_names(recordings), recordings, strict=True):
        looks[reader] += 1
        try:
            own = fixations_of(
                recording, image_height=height, image_width=width, settings=task.settings.fixations
            )
            placed = _placed(recording, own, found.raw, geometry, task.settings)
        except DataError as error:
            said.append((REFUSED_GAZE, _below_root(task, error)))
            continue
        used.append(recording)
        fixations.append(own)
        rows += [ReaderFixation(reader, *row, looks[reader]) for row in placed]
    return tuple(rows), [*said, *_doubts(task, found, used, fixations)]


def _placed(
    recording: Recording,
    found: Fixations,
    raw: RawImage,
    geometry: Geometry,
    settings: PreparationSettings,
) -> Iterator[tuple[float, float, float | None, float, float, float]]:
    """Place fixations in prepared pixels: x, y, onset from the recording's first row, duration and the two sigmas.

    Clocks run on from image to image: only from its own start do onsets tell the first seconds of a look.

    Raises:
        DataError: none is on what is kept.
    """
    x, y = geometry.apply(found.x, found.y)
    height, width = raw.pixels.shape
    across, down = sigma_pixels(recording, height, width, settings.fixations)
    sigma = (across * geometry.scale, down * geometry.scale)
    try:
        check_on_image(x, y, found.duration_ms, shape=settings.size, sigma=sigma)
    except (DataError, ConfigurationError) as error:
        if isinstance(error, ConfigurationError) and recording.pixels_per_degree is None:
            raise  # sigma is that of the settings, for every recording
        raise DataError(f"{recording}: {error}") from None
    start = 0.0 if recording.t_ms is None else recording.t_ms[0]
    onset = [None if np.isnan(value) else float(value - start) for value in found.onset_ms]
    columns = zip(x.tolist(), y.tolist(), onset, found.duration_ms.tolist(), strict=True)
    return ((*row, *sigma) for row in columns)


def _repeated_readers(recordings: Sequence[Recording]) -> Iterator[str]:
    """Report readers with several recordings of one image."""
    readers = Counter(each.reader for each in recordings if each.reader is not None)
    if any(count > 1 for count in readers.values()):
        yield (
            "a reader has several recordings of one image: they make one heat map, and their order counts within each "
            "recording only"
        )
    has_time: dict[str, set[bool]] = {}
    for reader, each in zip(reader_names(recordings), recordings, strict=True):
        has_time.setdefault(reader, set()).add(each.t_ms is not None or each.duration_ms is not None)
    if any(len(kinds) > 1 for kinds in has_time.values()):
        yield (
            "a reader has recordings with times and without on one image: a sample without a time weighs as much as 1 "
            "ms, so the others make the heat map; leave one kind out, or name another reader for it"
        )


def _finished(path: Path, raw: RawImage, geometry: Geometry) -> Grey:
    """A heat map that the data bring as an image, cut and resized like the image it lies on, with a maximum of 1.

    Raises: DataError: it has another shape or is in colour, or is empty there.
    """
    found = read_image(path, colour=True)  # window and bit depth of the data set are those of its images
    if found.colour is not None and (found.colour != found.colour[0]).any():
        raise DataError(
            f"{path}: the heat map is in colour; expected grey, brighter where gaze was longer; save it before it is "
            "coloured"
        )
    pixels = found.pixels
    if pixels.shape != raw.pixels.shape:
        raise DataError(
            f"{path}: a heat map of {pixels.shape[1]} x {pixels.shape[0]} pixels on an image of "
            f"{raw.pixels.shape[1]} x {raw.pixels.shape[0]}; expected the same size"
        )
    heat_map = geometry.warp(pixels)
    if heat_map.max() <= 0:
        raise DataError(f"{path}: the heat map is empty where the image is kept; leave it out")
    return np.asarray(heat_map / heat_map.max(), dtype=np.float32)


def _whole_numbers(layers: list[Grey], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.rint(np.clip(np.stack(layers), 0, 1) * np.iinfo(dtype).max).astype(dtype)  # [V, …, H, W]
