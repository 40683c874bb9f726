"""Seeded mutations of every kind of image file, in the child processes that decode: an image, or one clear line."""

import random
import struct
from functools import cache
from io import BytesIO

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from gazekit.errors import DataError
from gazekit.reading.image import read_image
from gazekit.reading.image_size import image_size
from gazekit.reading.parallel import Limits, ordered_map

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEG2000Lossless,
    JPEGLSLossless,
)
NUMBERS = [
    struct.pack(f"<{kind}", n)
    for kind, top in (("H", 2**16), ("I", 2**32))
    for n in (0, 1, top // 2, top - 1)
]
LIMITS = Limits(seconds=60, mebibytes=2048)
BATCH = 40


def dicom(syntax):
    pixels = np.random.default_rng(0).integers(0, 4096, (64, 48)).astype("<u2")
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3"
    dataset.PatientName, dataset.ImageLaterality, dataset.ViewPosition = "Nobody", "R", "MLO"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 64, 48, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelPaddingValue = 0
    dataset.WindowCenter, dataset.WindowWidth = ["2000", "900"], ["3000", "500"]
    table = Dataset()
    table.LUTDescriptor = [16, 0, 16]
    table.add_new("LUTData", "US", list(range(0, 65536, 4096)))
    dataset.VOILUTSequence = [table]
    dataset.PixelData = pixels.tobytes() if syntax != ExplicitVRBigEndian else pixels.astype(">u2").tobytes()
    dataset["PixelData"].VR = "OW"
    if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    file = BytesIO()
    pydicom.dcmwrite(
        file,
        dataset,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    return file.getvalue()


def picture(kind, dtype, **options):
    pixels = np.random.default_rng(1).integers(0, 255, (64, 48)).astype(dtype)
    file = BytesIO()
    if kind == "NPY":
        np.save(file, pixels)
    else:
        Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@cache
def originals():
    pictures = [
        *(picture("PNG", dtype) for dtype in (np.uint8, np.uint16)),
        *(picture("TIFF", np.uint8, compression=how) for how in (None, "tiff_lzw", "tiff_deflate")),
        *(picture("JPEG", np.uint8, quality=90), picture("NPY", np.uint16), picture("NPY", np.float32)),
    ]
    return [(".dcm", dicom(syntax)) for syntax in SYNTAXES] + [("", content) for content in pictures]


def mutated(content, others, chance):
    """One to four faults anywhere, half of them in the first part, where the lengths are."""
    content = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = (
            chance.randrange(min(len(content), 600) if chance.random() < 0.5 else len(content))
            if content
            else 0
        )
        length = chance.choice((1, 2, 4, 16, 200))
        kind = chance.randrange(6)
        if kind == 0 and content:
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            content[at : at + 4] = chance.choice(NUMBERS)
        elif kind == 2:
            del content[at : at + length]
        elif kind == 3:
            content[at:at] = chance.randbytes(length)
        elif kind == 4:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            content[at : at + length] = other[start : start + length]
        else:
            del content[max(at, 1) :]
    return bytes(content)


def read_batch(task):
    """What becomes of some mutants: the sort of outcome of each, or a description of what must not happen."""
    folder, seeds = task
    found = []
    for seed in seeds:
        chance = random.Random(seed)
        suffix, content = chance.choice(originals())
        path = folder / f"{seed}{suffix}"
        path.write_bytes(mutated(content, [other for _, other in originals()], chance))
        found.append(_read(path, seed))
        path.unlink()
    return found


def _read(path, seed):
    try:
        image_size(path)
    except DataError as error:
        if "\n" in str(error):
            return f"seed {seed}: several lines: {error}"
    except Exception as error:
        return f"seed {seed}: image_size: {error!r}"
    try:
        image = read_image(path)
    except DataError as error:
        clear = str(path) in str(error) and "\n" not in str(error) and "Nobody" not in str(error)
        return "refused" if clear else f"seed {seed}: not one clear line: {error}"
    except Exception as error:
        return f"seed {seed}: {error!r}"
    pixels = image.pixels
    sound = pixels.ndim == 2 and pixels.dtype == np.float32 and pixels.min() >= 0 and pixels.max() <= 1
    return "read" if sound else f"seed {seed}: pixels are not in [0, 1]"


def outcomes(folder, number):
    tasks = [(folder, range(start, start + BATCH)) for start in range(0, number, BATCH)]
    lost = ordered_map(
        read_batch, tasks, jobs=2, limits=LIMITS, lost=lambda task, why: [f"seeds {task[1]}: {why}"]
    )
    return [outcome for batch in lost for outcome in batch]


@pytest.mark.parametrize("number", [1000, pytest.param(24_000, marks=pytest.mark.slow)])
def test_mutated_images_are_read_or_refused_in_one_line(tmp_path, number):
    found = outcomes(tmp_path, number)
    wrong = [outcome for outcome in found if outcome not in ("read", "refused")]
    assert not wrong, f"{len(wrong)} of {number}: {wrong[:5]}"
    assert len(found) == number
    assert found.count("read") > number // 20 and found.count("refused") > number // 5


def test_the_originals_are_all_read(tmp_path):
    for number, (suffix, content) in enumerate(originals()):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(content)
        assert read_image(path).pixels.shape == image_size(path) == (64, 48)
