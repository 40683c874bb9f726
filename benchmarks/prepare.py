"""What preparing raw DICOM files costs, held against the bare decoding of the same files in the same run.

    python benchmarks/prepare.py [--exams 2] [--repeats 5] [--out benchmarks/results/prepare.json]

Mammograms of the phantom at full size are written once and compressed by each transfer syntax. Then the two are timed
in turns, in one process, by its processor time: pydicom's ``pixel_array`` of every file, and the whole preparation of
the same files (reading, grey scale, breast outline, crop, resize, hashes, arrays and tables on disk). The target is 1.3
times the bare decoding for JPEG 2000, in which mammograms are archived.
"""

import argparse
import datetime
import json
import platform
import statistics
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import pydicom
from gazekit_datasets.phantom import Phantom
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from gazekit.data.exam import Exam
from gazekit.data.prepare import prepare

TARGET = 1.3
HEIGHT = 3328
SYNTAXES = (JPEG2000Lossless, JPEGLSLossless, RLELossless, ExplicitVRLittleEndian)
PACKAGES = ("gazekit", "pydicom", "pylibjpeg-openjpeg", "pyjpegls", "python-gdcm", "numpy", "scipy")


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exams", type=int, default=2, help="of two views each, at least 2")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--height", type=int, default=HEIGHT, help="rows of an image; it is 0.8 times as wide"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "prepare.json")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        raw = Path(folder, "phantom")
        Phantom(image_height=arguments.height).generate(
            raw, exams=arguments.exams, seed=0, progress=lambda *_: None
        )
        rows = [measure(raw, Path(folder), syntax, arguments.repeats) for syntax in SYNTAXES]
    about = evidence(arguments.exams, arguments.repeats, arguments.height)
    show(about, rows)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"evidence": about, "target": TARGET, "rows": rows}, indent=2) + "\n")


def measure(raw: Path, folder: Path, syntax: pydicom.uid.UID, repeats: int) -> dict[str, Any]:
    """Decode and prepare the files in one transfer syntax, in turns."""
    source = folder / str(syntax)
    source.mkdir()
    for path in sorted(raw.glob("images/*.dcm")):
        dataset = pydicom.dcmread(path)
        if syntax.is_encapsulated:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(source / path.name)
    files = sorted(source.iterdir())
    decode, whole = [], []
    for repeat in range(repeats + 1):
        decode.append(seconds(lambda: [pydicom.dcmread(path).pixel_array for path in files]))
        out = folder / f"{syntax}-{repeat}"
        whole.append(seconds(lambda out=out: prepare(Files(), source, out, jobs=0)))
    ratios = [one / other for one, other in zip(whole[1:], decode[1:], strict=True)]  # the first run warms up
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    return {
        "transfer_syntax": syntax.name,
        "files": len(files),
        "megabytes": megabytes,
        "decode_seconds": decode[1:],
        "prepare_seconds": whole[1:],
        "ratio": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
        "megabytes_per_second": megabytes / statistics.median(whole[1:]),
    }


def seconds(work: Callable[[], object]) -> float:
    """Processor time of this process: others on the machine do not count."""
    start = process_time()
    work()
    return process_time() - start


def evidence(exams: int, repeats: int, height: int) -> dict[str, Any]:
    """What the numbers rest on."""
    return {
        "n": f"{2 * exams} files of {height} rows, {repeats} repeats after one to warm up",
        "spread": "least and most of the repeats",
        "measured": "processor time of one process; both in turns",
        "device": processor(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def processor() -> str:
    """The name of the processor, as far as the system tells it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {platform.machine()}"


def show(about: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Print the evidence and the table."""
    for name, value in about.items():
        is_table = isinstance(value, dict)
        print(f"{name:9}", ", ".join(f"{k} {v}" for k, v in value.items()) if is_table else value)
    print(f"\n{'transfer syntax':34} {'MB':>6} {'decode, s':>9} {'prepare, s':>10} {'MB/s':>6}  ratio")
    for row in rows:
        decode, whole = (statistics.median(row[name]) for name in ("decode_seconds", "prepare_seconds"))
        ratio = row["ratio"]
        print(
            f"{row['transfer_syntax'][:34]:34} {row['megabytes']:6.1f} {decode:9.2f} {whole:10.2f} "
            f"{row['megabytes_per_second']:6.1f}  {ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})"
        )
    print(f"target for JPEG 2000: {TARGET}")


if __name__ == "__main__":
    main()
