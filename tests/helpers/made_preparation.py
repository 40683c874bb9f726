"""Exams written as small files, and prepared."""

from dataclasses import fields

import numpy as np
from PIL import Image
from plugins_installed import installed_registry

from gazekit.prepared.settings import PreparationSettings
from gazekit.preparing.prepare import Procedure
from gazekit.preparing.prepare import prepare as prepare_data
from gazekit.preparing.raw.source import RawData
from gazekit.preparing.validating.validation import validate as validate_data
from gazekit.records.exam import Exam
from gazekit.records.lesions import MaskFile
from gazekit.records.recording import Recording

X, Y = 61.3, 88.7
"""Where the lesion lies and where the reader looks, in raw pixels."""


class Listed:
    """A data source that is a list, of mammograms."""

    region = "breast"

    def __init__(self, exams, classes=("0", "1")):
        self.listed, self.classes = exams, classes

    def exams(self, root):
        yield from self.listed


class Reader:
    """A gaze format of one line ``x,y[,exam_id[,reader]]`` per fixation."""

    def read(self, path):
        for line in path.read_text().splitlines():
            x, y, exam, reader = [*line.split(","), None, None][:4]
            at = np.array([0.0])
            yield Recording(
                path, np.array([float(x)]), np.array([float(y)]), at, at + 300, exam, reader=reader
            )


def breast(seed, shape=(160, 120)):
    """A half ellipse with its chest wall on the left and a bright lesion, 12 bits."""
    rows, columns = np.indices(shape) + 0.5
    inside = (columns / 90) ** 2 + ((rows - 85) / 60) ** 2 <= 1
    lesion = (columns - X) ** 2 + (rows - Y) ** 2 <= 6**2
    tissue = np.random.default_rng(seed).integers(1000, 1800, shape)
    return np.where(lesion, 4095, np.where(inside, tissue, 0)).astype(np.uint16), lesion


def write_exams(root, count=6, views=("cc", "mlo"), laterality="L"):
    """Exams of which every one has gaze on cc and a mask on each view; two exams per patient."""
    root.mkdir(exist_ok=True)
    exams = []
    for i in range(count):
        images, masks = {}, {}
        for j, view in enumerate(views):
            pixels, lesion = breast(10 * i + j)
            images[view], mask = root / f"{i}_{view}.png", root / f"{i}_{view}_mask.png"
            masks[view] = (MaskFile(mask),)
            Image.fromarray(pixels).save(images[view])
            Image.fromarray(lesion.astype(np.uint8) * 255).save(mask)
        gaze = {views[0]: root / f"{i}.gaze"}
        gaze[views[0]].write_text(f"{X},{Y}\n")
        exams.append(
            Exam(
                f"e{i}",
                f"p{i // 2}",
                str(i % 2),
                images,
                gaze,
                masks,
                "reader",
                dict.fromkeys(views, laterality),
            )
        )
    return exams


def prepare(source, root, out, **options):
    """Prepare with the fields of the raw data, the settings and the procedure by name."""
    raw, settings, procedure = (
        {field.name: options.pop(field.name) for field in fields(kind) if field.name in options}
        for kind in (RawData, PreparationSettings, Procedure)
    )
    assert not options
    if views := settings.get("views"):
        settings["views"] = tuple(views)
    raw.setdefault("registry", installed_registry())
    return prepare_data(
        RawData(source, root, **raw), out, PreparationSettings(**settings), Procedure(**procedure)
    )


def validate(source, root, *, read_images=True, jobs=None, progress=lambda _done, _total: None, **options):
    """Validate likewise."""
    raw = {field.name: options.pop(field.name) for field in fields(RawData) if field.name in options}
    settings = PreparationSettings(**options)
    return validate_data(
        RawData(source, root, **raw), settings, read_images=read_images, jobs=jobs, progress=progress
    )


def run(exams, root, out, classes=("0", "1"), **options):
    options = {"size": (48, 40), "jobs": 0, "gaze_reader": lambda name: Reader()} | options
    return prepare(Listed(exams, classes), root, out, **options)
