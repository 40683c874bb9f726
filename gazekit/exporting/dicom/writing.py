"""Write the DICOM files of an exam: a capture and a segmentation of each view's attention, and a report."""

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from gazekit.disk.atomic import disk_errors, write_atomically
from gazekit.disk.file_names import file_name
from gazekit.errors import ConfigurationError, DataError
from gazekit.exporting.dicom.source_header import read_source
from gazekit.exporting.dicom.words import RESEARCH_ONLY, short
from gazekit.reading.image import read_image
from gazekit.reading.window import parse_window
from gazekit.records.geometry import Geometry
from gazekit.records.raw_image import RawImage
from gazekit.registry.distribution import install_command

_LONGEST_SIDE = 1024
"""Longer side of a Secondary Capture, px; it is for viewing, the Segmentation has the source's pixels."""
_CLASS = 16
"""Letters of a class in a label: with them, the whole warning has room in the 64 that DICOM allows."""


@dataclass(frozen=True, slots=True, eq=False)
class AttentionSource:
    """A view and its attention.

    Args:
        image: DICOM file.
        window: window it was read with.
        geometry: raw to prepared pixels.
        attention: ``[h, w]``; negative values count as 0, and the largest as 1. None if the model has no map of it.
        side: ``"L"`` or ``"R"`` if known from elsewhere than the file, else empty.
    """

    image: Path
    window: str
    geometry: Geometry
    attention: NDArray[np.float32] | None = field(repr=False)
    side: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """The prediction of a model for an exam.

    Args:
        probabilities: class → probability.
        called: the class that is called, which need not have the highest probability.
        explained: the class that the attention explains.
        model: name of the model.
        threshold: above which the second of two classes is called.
    """

    probabilities: Mapping[str, float]
    called: str
    explained: str
    model: str
    threshold: float


@dataclass(slots=True)
class Written:
    """A line for each file that failed or lacks fields; no line quotes a header's values."""

    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def write_exam(
    folder: Path,
    name: str,
    views: Mapping[str, AttentionSource],
    found: Findings,
    *,
    copy_patient: bool = False,
    burn_in: bool = False,
) -> Written:
    """Write ``NAME_VIEW_capture.dcm`` and ``NAME_VIEW_segmentation.dcm`` of each view, and ``NAME_report.dcm``.

    All belong to the study of their source image and refer to it by its unique identifiers. Other patient and study
    fields stay empty unless ``copy_patient``. A view that cannot be referred to becomes a problem; the others are
    written.

    Args:
        folder: created if necessary.
        name: prefix of the file names.
        views: view → its image and attention.
        found: the prediction.
        copy_patient: copy name, id, birth date and sex, and date, time, number and physician of the study.
        burn_in: add a caption with view, class, probability, colours and millimetres below the capture's picture.

    Raises:
        ConfigurationError: highdicom is not installed.
        StorageError: the disk is full or read-only.
    """
    check_installed()
    written, headers = Written(), {}
    lacking: dict[tuple[str, ...], list[str]] = {}
    for view, source in views.items():
        try:
            with _silent():
                headers[view], left_out = read_source(source.image, copy_patient=copy_patient)
                made = _of_view(source, headers[view], found, view if burn_in else "")
        except DataError as error:
            written.problems.append(f"no DICOM objects of view {view}: {_without_path(error, source.image)}")
            continue
        if left_out:
            lacking.setdefault(left_out, []).append(view)
        own = file_name(name, view)
        _save(folder, {f"{own}_{kind}.dcm": each for kind, each in made.items()})
    written.remarks = [
        f"DICOM objects of view{'s' if len(of) > 1 else ''} {', '.join(of)} written without {', '.join(names)}: "
        "DICOM forbids the header's value"
        for names, of in lacking.items()
    ]
    if headers:
        try:
            with _silent():
                report = _report(list(headers.values()), found)
        except DataError as error:
            written.problems.append(f"no DICOM report: {error}")
        else:
            _save(folder, {f"{file_name(name)}_report.dcm": report})
    return written


def check_installed() -> None:
    """Raise ConfigurationError if highdicom, which writes the objects, is not installed."""
    try:
        import gazekit.exporting.dicom.secondary_capture
        import gazekit.exporting.dicom.segmentation
        import gazekit.exporting.dicom.structured_report  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            f"DICOM objects are written by highdicom, which is not installed: {install_command('dicom')}"
        ) from None


@contextmanager
def _silent() -> Iterator[None]:
    """Suppress warnings, log lines and errors of pydicom and highdicom: they quote values of headers."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    before = [logger.disabled for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.disabled = True
        try:
            yield
        except (DataError, MemoryError):
            raise
        except Exception as error:  # highdicom may raise anything on an odd header
            raise DataError(
                f"the header of the image gives no valid object ({type(error).__name__}); gazekit data validate, or "
                "dciodvfy of dicom3tools, says what is wrong with it"
            ) from None
        finally:
            for logger, disabled in zip(loggers, before, strict=True):
                logger.disabled = disabled


def _of_view(
    source: AttentionSource, header: Dataset, found: Findings, captioned_view: str
) -> dict[str, Dataset]:
    """Make the objects of one view by kind; none if the model has no map of it."""
    if source.attention is None:
        return {}
    from gazekit.exporting.dicom.secondary_capture import secondary_capture
    from gazekit.exporting.dicom.segmentation import segmentation
    from gazekit.reporting.drawing.originals.placement import ShownPlacement

    raw = read_image(source.image, parse_window(source.window))
    shape = (raw.pixels.shape[0], raw.pixels.shape[1])
    label = f"attention for {short(found.explained, _CLASS)}, {RESEARCH_ONLY}"
    picture, per_pixel = _picture(raw, source, found, captioned_view)
    attention = ShownPlacement.on_original(source.geometry, shape, shape).map(source.attention)
    return {
        "capture": secondary_capture(picture, header, per_pixel=per_pixel, description=label),
        "segmentation": segmentation(_unit(attention), header, model=found.model, label=label),
    }


def _picture(
    raw: RawImage, source: AttentionSource, found: Findings, captioned_view: str
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Return RGB ``[H, W, 3]``, the whole image with the attention over it, and its source pixels per pixel."""
    from gazekit.reporting.drawing.captioned import Caption, captioned
    from gazekit.reporting.drawing.originals.shown import show_original, view_words
    from gazekit.reporting.drawing.overlay import overlay

    assert source.attention is not None
    shown = show_original(raw, source.geometry, side=source.side, longest=_LONGEST_SIDE, shortest=1)
    attention = shown.placement.map(source.attention)
    picture = overlay(shown.image, attention)
    per_pixel = raw.pixels.shape[0] / shown.shape[0], raw.pixels.shape[1] / shown.shape[1]
    if captioned_view:
        caption = Caption(
            view=view_words(shown.side, captioned_view),
            exam="",
            prediction=f"P({found.explained}) = {found.probabilities[found.explained]:.2f}",
            explained=found.explained,
            mm_per_pixel=shown.mm_per_pixel,
            positive=bool((attention > 0).any()),
        )
        picture = captioned(picture, caption)
    return picture, per_pixel


def _report(headers: list[Dataset], found: Findings) -> Dataset:
    from gazekit.exporting.dicom.structured_report import structured_report

    return structured_report(
        headers,
        found.probabilities,
        called=found.called,
        threshold=found.threshold,
        model=found.model,
    )


def _save(folder: Path, made: Mapping[str, Dataset]) -> None:
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, dataset in made.items():
        content = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote the values written
            dataset.save_as(content, enforce_file_format=True)
        write_atomically(folder / name, content.getvalue())


def _without_path(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _unit(attention: NDArray[np.float64]) -> NDArray[np.float64]:
    positive = np.maximum(attention, 0)
    return positive / (positive.max() or 1)
