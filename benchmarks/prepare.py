"""What preparing raw DICOM files costs, held against the bare decoding of the same files in the same run.

    python benchmarks/prepare.py [--exams 2] [--turns 5] [--out benchmarks/results/prepare.json]

Mammograms of the phantom at full size are written once and compressed by each transfer syntax. Then the two are timed
in turns, in one process, by its processor time: pydicom's ``pixel_array`` of every file, and the whole preparation of
the same files (reading, grey scale, breast outline, crop, resize, hashes, arrays and tables on disk). The target is 1.3
times the bare decoding for JPEG 2000, in which mammograms are archived.
"""

from collections.abc import Iterator
from importlib.metadata import version
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pydicom
import torch
from evidence import arguments, publish, take_turns
from gazekit_datasets.phantom import Phantom
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from gazekit.data.exam import Exam
from gazekit.data.prepare import prepare

TARGET = 1.3
HEIGHT = 3328
SYNTAXES = (JPEG2000Lossless, JPEGLSLossless, RLELossless, ExplicitVRLittleEndian)
DECODERS = ("pydicom", "pylibjpeg-openjpeg", "pyjpegls", "python-gdcm", "scipy")


class Files:
    """The data set of some pairs of files: images, and nothing else to read."""

    classes = ("benign", "malignant")

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
        "--height", type=int, default=HEIGHT, help="rows of an image; it is 0.8 times as wide"
    )
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with TemporaryDirectory() as folder:
        raw = Path(folder, "phantom")
        phantom = Phantom(image_height=asked.height)
        phantom.generate(raw, exams=asked.exams, seed=0, progress=lambda *_: None)
        table = [measure(raw, Path(folder), syntax, asked.turns) for syntax in SYNTAXES]
    publish(
        "prepare",
        "cpu",
        table,
        asked.out,
        n=f"{2 * asked.exams} files of {asked.height} rows, {asked.turns} turns after one to warm up",
        measured="processor time of one process, medians and interquartile ranges",
        target=f"ratio {TARGET} for JPEG 2000",
        decoders=", ".join(f"{name} {version(name)}" for name in DECODERS),
    )


def measure(raw: Path, folder: Path, syntax: pydicom.uid.UID, turns: int) -> dict[str, Any]:
    """Decode and prepare the files in one transfer syntax, in turns."""
    source = folder / str(syntax)
    source.mkdir()
    for path in sorted(raw.glob("images/*.dcm")):
        dataset = pydicom.dcmread(path)
        if syntax.is_encapsulated:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(source / path.name)
    files, number = sorted(source.iterdir()), count()
    things = {
        "decode": lambda: [pydicom.dcmread(path).pixel_array for path in files],
        "prepare": lambda: prepare(Files(), source, folder / f"{syntax}-{next(number)}", jobs=0),
    }
    timed = take_turns(things, turns=turns, warm_up=1)
    decode, whole = timed["decode"], timed["prepare"]
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    return {
        "transfer_syntax": syntax.name,
        "MB": megabytes,
        "decode_s": decode.cpu,
        "decode_spread": decode.cpu_spread,
        "prepare_s": whole.cpu,
        "prepare_spread": whole.cpu_spread,
        "ratio": whole.cpu / decode.cpu,
        "MB_per_s": megabytes / whole.cpu,
    }


if __name__ == "__main__":
    main()
