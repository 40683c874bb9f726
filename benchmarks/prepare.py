"""Time the preparation of raw DICOM files against bare decoding of the same files in the same run.

    python benchmarks/prepare.py [--exams 2] [--turns 5] [--images FOLDER] [--out benchmarks/results/prepare.json]

Mammograms of the phantom at full size, or real ones from a folder, are written once in each transfer syntax. Then four
tasks are timed in turns, in one process, by processor time: decoding every file, and the whole preparation of the
same files (reading, grey scale, breast outline, crop, resize, hashes, arrays and tables on disk). Each is done with the
decoders that gazekit uses now and those it used before: the first that pydicom finds with python-gdcm installed
and pylibjpeg-rle not. The target is 1.3 times the bare decoding for JPEG 2000, in which mammograms are archived.
"""

from collections.abc import Iterator
from importlib.metadata import version
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pydicom
import torch
from evidence import arguments, publish, take_turns
from gazekit_datasets.mammography.phantom import Phantom
from numpy.typing import NDArray
from pydicom.pixels import get_decoder
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from gazekit.prepared.settings import PreparationSettings
from gazekit.preparing.prepare import Procedure, prepare
from gazekit.preparing.raw.source import RawData
from gazekit.reading.dicom.file import open_dicom
from gazekit.reading.dicom.pixels import decoded
from gazekit.records.exam import Exam

TARGET = 1.3
HEIGHT = 3328
SYNTAXES = (JPEG2000Lossless, JPEGLSLossless, RLELossless, ExplicitVRLittleEndian)
DECODERS = ("pydicom", "pylibjpeg-openjpeg", "pylibjpeg-rle", "pyjpegls", "python-gdcm")
EARLIER = {
    JPEG2000Lossless: "gdcm",
    JPEGLSLossless: "gdcm",
    RLELossless: "pydicom",
    ExplicitVRLittleEndian: "",
}


class Files:
    """A data set of file pairs: images only."""

    classes = ("benign", "malignant")
    region = "breast"

    def exams(self, root: Path) -> Iterator[Exam]:
        """Yield an exam per pair, the classes in turn."""
        paths = sorted(root.glob("*.dcm"))
        for number, (cc, mlo) in enumerate(zip(paths[::2], paths[1::2], strict=True)):
            label = self.classes[number % 2]
            yield Exam(f"E{number}", f"P{number}", label, images={"cc": cc, "mlo": mlo})


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--exams", type=int, default=2, help="of two views each, at least 2")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument(
        "--height", type=int, default=HEIGHT, help="rows of a phantom's image; it is 0.8 times as wide"
    )
    parser.add_argument("--images", type=Path, help="folder of DICOM mammograms instead of the phantom's")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with TemporaryDirectory() as folder:
        if asked.images is None:
            raw = Path(folder, "phantom")
            phantom = Phantom(image_height=asked.height)
            phantom.generate(raw, exams=asked.exams, seed=0, progress=lambda *_: None)
            paths = sorted(raw.glob("images/*.dcm"))
        else:
            paths = sorted(asked.images.rglob("*.dcm"))[: 2 * asked.exams]
        table = [measure(paths, Path(folder), syntax, asked.turns) for syntax in SYNTAXES]
    publish(
        "prepare",
        "cpu",
        table,
        asked.out,
        n=f"{len(paths)} {'real' if asked.images else 'phantom'} files, {asked.turns} turns after one to warm up",
        measured="processor time of one process, medians and interquartile ranges",
        before="with the decoders of earlier versions",
        target=f"ratio {TARGET} for JPEG 2000",
        decoders=", ".join(f"{name} {version(name)}" for name in DECODERS),
    )


def measure(paths: list[Path], folder: Path, syntax: pydicom.uid.UID, turns: int) -> dict[str, Any]:
    """Decode and prepare the files in one transfer syntax, with new and former decoders in turns."""
    source = folder / str(syntax)
    source.mkdir()
    for number, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            dataset.decompress(generate_instance_uid=False)
        if syntax.is_encapsulated:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(source / f"{number}.dcm")
    files, number = sorted(source.iterdir()), count()

    def prepared() -> None:
        prepare(
            RawData(Files(), source),
            folder / f"{syntax}-{next(number)}",
            PreparationSettings(),
            Procedure(jobs=0),
        )

    def prepared_as_before() -> None:
        with patch("gazekit.reading.dicom.pixels.decoded", decoded_as_before):
            prepared()

    timed = take_turns(
        {
            "decode_before": lambda: [decoded_as_before(open_dicom(path)) for path in files],
            "decode": lambda: [decoded(open_dicom(path)) for path in files],
            "prepare_before": prepared_as_before,
            "prepare": prepared,
        },
        turns=turns,
        warm_up=1,
    )
    seconds = {name: each.cpu for name, each in timed.items()}
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    return {
        "transfer_syntax": syntax.name,
        "MB": megabytes,
        **{f"{name}_s": each.cpu for name, each in timed.items()},
        **{f"{name}_spread": each.cpu_spread for name, each in timed.items()},
        "decode_to_before": seconds["decode"] / seconds["decode_before"],
        "prepare_to_before": seconds["prepare"] / seconds["prepare_before"],
        "ratio": seconds["prepare"] / seconds["decode"],
        "share_before": seconds["decode_before"] / seconds["prepare_before"],
        "share": seconds["decode"] / seconds["prepare"],
        "MB_per_s_before": megabytes / seconds["prepare_before"],
        "MB_per_s": megabytes / seconds["prepare"],
    }


def decoded_as_before(dataset: Any) -> NDArray[Any]:
    """Decode with the first decoder that pydicom finds."""
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    cells, _ = decoder.as_array(dataset, decoding_plugin=EARLIER[decoder.UID])
    return np.ascontiguousarray(cells)


if __name__ == "__main__":
    main()
