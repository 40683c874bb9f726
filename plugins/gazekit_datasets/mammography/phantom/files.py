"""Write the files of an exam (DICOM images, lesion masks, gaze samples), each complete or not at all."""

from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gazekit.disk.atomic import write_atomically
from gazekit_datasets.mammography.phantom.dicom import dicom_bytes
from gazekit_datasets.mammography.phantom.drawing import draw_scene
from gazekit_datasets.mammography.phantom.gaze import Samples, record_gaze
from gazekit_datasets.mammography.phantom.geometry import image_shape
from gazekit_datasets.mammography.phantom.readers import population, rating
from gazekit_datasets.mammography.phantom.render import render
from gazekit_datasets.mammography.phantom.scene import VIEWS, Scene, Settings, View, generator

FOLDERS = ("images", "gaze", "masks")
COLUMNS = ("exam_id", "patient_id", "label", "cc", "mlo", "cc_gaze", "mlo_gaze", "cc_mask", "mlo_mask")


def exam_row(scene: Scene) -> dict[str, str]:
    """Make an exam's table row; paths are relative to the root, gaze files empty without a recording."""
    row = {"exam_id": scene.exam_id, "patient_id": scene.patient_id, "label": scene.label}
    for view in VIEWS:
        row[view] = f"images/{scene.exam_id}_{view}.dcm"
        row[f"{view}_gaze"] = f"gaze/{scene.exam_id}_{view}.csv" if scene.has_gaze else ""
        row[f"{view}_mask"] = f"masks/{scene.exam_id}_{view}.png"
    return row


def is_written(root: Path, row: dict[str, str]) -> bool:
    """Say whether all files of a table row exist."""
    return all((root / row[column]).exists() for column in COLUMNS[3:] if row[column])


def write_exam(root: Path, settings: Settings, seed: int, identity: str, index: int) -> None:
    """Draw exam ``index`` and write its files.

    Args:
        root: of the data set; its folders exist.
        settings, seed, index: determine the exam.
        identity: see `dicom_bytes`.

    Raises:
        StorageError: the disk is full or not writable.
    """
    scene = draw_scene(settings, seed, index)
    row = exam_row(scene)
    shape = image_shape(settings.image_height)
    for view in VIEWS:
        rng = generator(seed, index, f"tissue {view}")
        image, mask = render(scene, view, shape, difficulty=settings.difficulty, rng=rng)
        write_atomically(root / row[view], dicom_bytes(image, scene, view, identity))
        write_atomically(root / row[f"{view}_mask"], _png(mask))
        if scene.has_gaze:
            recordings = {}
            for number, reader in enumerate(population(settings, seed)):
                eye = generator(seed, index, f"gaze {view}" + f" {reader.name}" * (number > 0))
                recordings[reader.name] = record_gaze(scene, view, shape, quality=reader.dwell, rng=eye)
            write_atomically(root / row[f"{view}_gaze"], _gaze_table(scene, view, recordings))


def ratings_table(settings: Settings, seed: int, scenes: Sequence[Scene]) -> str:
    """Format each reader's rating of the first exams as CSV."""
    text = StringIO()
    text.write("exam_id,patient_id,label,reader,rating\n")
    readers = population(settings, seed)
    for index, scene in enumerate(scenes):
        for reader in readers:
            found = rating(reader, settings, seed, index, malignant=scene.malignant)
            text.write(f"{scene.exam_id},{scene.patient_id},{scene.label},{reader.name},{found:.4f}\n")
    return text.getvalue()


def _png(mask: NDArray[np.bool_]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(buffer, format="PNG")
    return buffer.getvalue()


def _gaze_table(scene: Scene, view: View, recordings: Mapping[str, Samples]) -> str:
    """Format raw samples as CSV, with the reader if there are several; a lost sample has empty x and y."""
    named = len(recordings) > 1
    text = StringIO()
    text.write(f"exam_id,view,{'reader,' * named}t_ms,x,y\n")
    for reader, samples in recordings.items():
        begin = f"{scene.exam_id},{view},{f'{reader},' * named}"
        for t_ms, x, y in zip(samples.t_ms, samples.x, samples.y, strict=True):
            place = "," if np.isnan(x) else f"{x:.2f},{y:.2f}"
            text.write(f"{begin}{t_ms:.1f},{place}\n")
    return text.getvalue()
