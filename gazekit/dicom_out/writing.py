"""The DICOM files of one view's attention."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gazekit
from gazekit.atomic import disk_errors
from gazekit.data.geometry import Geometry
from gazekit.data.image import read_image
from gazekit.data.raw_image import RawImage
from gazekit.data.window import parse_window
from gazekit.dicom_out.projection import on_raw_image
from gazekit.dicom_out.source_header import read_source
from gazekit.errors import ConfigurationError

_LONGEST_SIDE = 1024
"""Pixels of the longer side of a Secondary Capture, which is for looking; the Segmentation has the source's pixels."""
_NAME = "gazekit"


@dataclass(frozen=True, slots=True)
class AttentionSource:
    """Where an attention map comes from.

    Args:
        image: DICOM file.
        window: that it was read with.
        geometry: raw to prepared pixels.
        explained: the class that the map explains.
        model: what computed it.
    """

    image: Path
    window: str
    geometry: Geometry
    explained: str
    model: str


def write_attention(
    folder: Path, name: str, source: AttentionSource, attention: NDArray[np.float32], *, copy_patient: bool
) -> tuple[Path, Path]:
    """Write ``NAME_capture.dcm`` and ``NAME_segmentation.dcm``.

    Both belong to the study of the source image and refer to it by its unique identifiers. All else that its header
    says of patient and study stays empty unless ``copy_patient``.

    Args:
        folder: made if need be.
        name: of the files, without a suffix.
        source: of the attention.
        attention: ``[h, w]``; negative values count as 0, and the largest as 1.
        copy_patient: copy name, id, birth date and sex, and date, time, number and physician of the study.

    Raises:
        ConfigurationError: highdicom is not installed.
        DataError: the source has no unique identifiers.
        StorageError: the disk is full or read-only.
    """
    try:
        from gazekit.dicom_out.secondary_capture import secondary_capture
        from gazekit.dicom_out.segmentation import segmentation
    except ImportError:
        raise ConfigurationError(
            "DICOM objects are written by highdicom, which is not installed: pip install 'gazekit[dicom]'"
        ) from None
    header = read_source(source.image, copy_patient=copy_patient)
    raw = read_image(source.image, parse_window(source.window))
    label = f"{_NAME} attention for {source.explained}, research only"[:64]
    made: dict[str, Any] = {
        "capture": secondary_capture(
            _picture(raw, source, attention),
            header,
            manufacturer=_NAME,
            version=gazekit.__version__,
            description=label,
        ),
        "segmentation": segmentation(
            _unit(on_raw_image(attention, source.geometry, raw.pixels.shape, raw.pixels.shape)),
            header,
            model=source.model,
            label=label,
            manufacturer=_NAME,
            version=gazekit.__version__,
        ),
    }
    paths = {kind: folder / f"{name}_{kind}.dcm" for kind in made}
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for kind, dataset in made.items():
            dataset.save_as(paths[kind], enforce_file_format=True)
    return paths["capture"], paths["segmentation"]


def _picture(raw: RawImage, source: AttentionSource, attention: NDArray[np.float32]) -> NDArray[np.uint8]:
    """RGB ``[H, W, 3]``: the whole image as it lies in the file, with the attention over it."""
    from gazekit.report.overlay import overlay

    height, width = raw.pixels.shape
    zoom = min(1.0, _LONGEST_SIDE / max(height, width))
    size = max(1, round(height * zoom)), max(1, round(width * zoom))
    small = np.clip(Geometry.fit((0, 0, width, height), size).warp(raw.pixels), 0, 1)
    return overlay(small, on_raw_image(attention, source.geometry, (height, width), size))


def _unit(attention: NDArray[np.float64]) -> NDArray[np.float64]:
    positive = np.maximum(attention, 0)
    return positive / (positive.max() or 1)
