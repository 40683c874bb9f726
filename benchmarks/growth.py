"""Measure how time and memory of each command grow with the number of exams.

    python benchmarks/growth.py FOLDER --exams 25000 --size 64
    python benchmarks/growth.py FOLDER --exams 5000 --size 224 --steps split first_step epoch evaluate report predict

Each step runs in a separate process, for the exams of a small phantom and for n, 2n and 4n exams. These repeat the
phantom: masks are links to its files; in its images the brightness of some pixels is changed, so that no two are alike;
exams and patients have distinct ids. Data and results stay in FOLDER and are used again. The
exponent is the slope of a straight line through log(time - time of the phantom) over log(exams - exams of the phantom):
starting a process, which takes equally long for any number of exams, does not flatten it. ``exponents`` is of wall
time, ``exponents_cpu`` of the CPU time of the process and its workers, which ``docs/scaling.md`` shows. Stopped, the
same command goes on with the steps that it has not measured. Linux only.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gazekit import __version__ as gazekit_version
from gazekit.machine import free_memory
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.exam_record import ExamRecord, ReaderFixation, ViewRecord
from gazekit.prepared.index import write_findings, write_tables
from gazekit.prepared.manifest import MANIFEST, make_manifest, read_manifest
from gazekit.prepared.stored_array import arrays_of
from gazekit.prepared.verification import facts_of, files_of, row_digests

PHANTOM = 60
"""Exams that are drawn; the rest repeat them."""
_VIEWS = ("cc", "mlo")
_BACKGROUND = 2**14 - 1
_EVERY = 0.05
"""Seconds between two looks at the memory of a step's processes."""
_SMALL = ("backbone.widths=[8,16,16,16]", "fusion.maps.heads=1", "training.batch_size=64")
_FIRST_STEP = "memory: "
"""Beginning of the line that `gazekit train` says after its first step."""
Said = list[tuple[float, str]]
"""Lines that a command said, each with the seconds until then."""


@dataclass(frozen=True)
class Folders:
    """Where the data of one number of exams lie."""

    root: Path
    exams: int

    @property
    def raw(self) -> Path:
        return self.root / f"raw_{self.exams}"

    @property
    def prepared(self) -> Path:
        return self.root / f"prepared_{self.exams}"

    @property
    def run(self) -> Path:
        return self.root / f"run_{self.exams}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="for data and results; an empty one at first")
    parser.add_argument("--exams", type=int, default=1000, help="n")
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 2, 4], help="multiples of n")
    parser.add_argument("--size", type=int, default=64, help="side of the images, px")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--preset", default="mammonet_small")
    parser.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help=f"of the preset (default: {_SMALL})"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file", default=None)
    asked = parser.parse_args()
    asked.set = asked.set or list(_SMALL)
    root = asked.folder / f"{asked.size}px"
    draw_phantom(root, asked.size)
    numbers = [PHANTOM, *(asked.exams * factor for factor in asked.factors)]
    found: dict[str, dict[int, Measured]] = {step: {} for step in asked.steps}
    for exams in numbers:
        folders = Folders(root, exams)
        for step in asked.steps:
            print(f"{exams} exams, {step} ...", file=sys.stderr, flush=True)
            found[step][exams] = measured_once(step, folders, asked)
    publish(found, asked)


def measured_once(step: str, folders: Folders, asked: argparse.Namespace) -> "Measured":
    """Measure a step, or read what it took with the same settings."""
    kept = folders.root / "measured" / f"{step}_{folders.exams}.json"
    settings = {
        "preset": asked.preset,
        "set": asked.set,
        "threads": asked.threads,
        "version": gazekit_version,
    }
    if kept.exists() and (told := json.loads(kept.read_text()))["settings"] == settings:
        return Measured(**told["measured"])
    measured = STEPS[step](folders, asked)
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps({"settings": settings, "measured": asdict(measured)}))
    return measured


def publish(found: "Mapping[str, Mapping[int, Measured]]", asked: argparse.Namespace) -> None:
    """Write a row per step and number of exams, and the exponents."""
    import evidence  # imports torch, whose memory the processes measured would seem to have

    table = [
        {"step": step, "exams": exams, **each.row()}
        for step, of_step in found.items()
        for exams, each in of_step.items()
    ]
    exponents = {
        step: exponent({n: each.seconds for n, each in of_step.items()}) for step, of_step in found.items()
    }
    of_cpu = {step: exponent({n: each.cpu for n, each in of_step.items()}) for step, of_step in found.items()}
    more = {"size": asked.size, "preset": asked.preset, "set": asked.set}
    more |= {"free_memory_MB": round(free_memory() / 1e6)}  # a control group may leave less than the machine
    more |= {"exponents": exponents, "exponents_cpu": of_cpu}
    out = asked.out or evidence.RESULTS / (
        "growth.json" if asked.size == 64 else f"growth_{asked.size}px.json"
    )
    evidence.torch.set_num_threads(asked.threads)
    evidence.publish("growth", "cpu", table, out, **more)


def exponent(seconds: Mapping[int, float]) -> float | None:
    """Slope of log time over log exams, both beyond those of the smallest set; None where nothing is beyond."""
    (least, start), *rest = sorted(seconds.items())
    beyond = [(exams - least, each - start) for exams, each in rest if each > start]
    if len(beyond) < 2:
        return None
    return float(np.polyfit(*np.log(np.array(beyond)).T, 1)[0])


# Measuring


@dataclass(frozen=True)
class Measured:
    """What a process and those that it started took.

    Args:
        seconds: from its start to its end, or between two lines that it said.
        cpu: seconds of processor time of all of them, but for what each does after the last look at it.
        own: greatest memory of all of them at one time, without mapped files, in bytes.
        resident: the same with mapped files.
        more: further numbers of the step.
    """

    seconds: float
    cpu: float
    own: int
    resident: int
    more: Mapping[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        numbers = {"seconds": round(self.seconds, 2), "cpu": round(self.cpu, 2)}
        return (
            numbers
            | {"own_MB": round(self.own / 1e6), "resident_MB": round(self.resident / 1e6)}
            | dict(self.more)
        )


def gazekit(folders: Folders, asked: argparse.Namespace, *arguments: object) -> tuple[Measured, Said]:
    """Run a command; return what it took, and the lines that it said with the seconds until then."""
    command = [sys.executable, "-m", "gazekit", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": str(asked.threads)}
    said: Said = []
    start = time.perf_counter()
    with (folders.root / "stdout.txt").open("w") as stdout:
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment)

        def listen() -> None:
            said.extend((time.perf_counter() - start, line.rstrip()) for line in process.stderr or ())

        listener = threading.Thread(target=listen)
        listener.start()
        own, resident, cpu = 0, 0, dict[int, float]()
        while process.poll() is None:
            at_work = list(processes_of(process.pid))
            own = max(own, sum(each.own for each in at_work))
            resident = max(resident, sum(each.resident for each in at_work))
            cpu |= {each.number: each.cpu for each in at_work}
            time.sleep(_EVERY)
        seconds = time.perf_counter() - start
        listener.join()
    if process.returncode:
        raise SystemExit("\n".join([" ".join(command), *(line for _, line in said[-20:])]))
    return Measured(seconds, sum(cpu.values()), own, resident), said


@dataclass(frozen=True)
class AtWork:
    """A process now: its memory without mapped files and with them, in bytes, and its processor time in seconds."""

    number: int
    own: int
    resident: int
    cpu: float


def processes_of(process: int) -> Iterator[AtWork]:
    """Yield a process and all its descendants."""
    folder = Path(f"/proc/{process}")
    with suppress(OSError):  # one that has just ended
        lines = (line.partition(":") for line in (folder / "status").read_text().splitlines())
        size = {name: int(rest.split()[0]) * 1024 for name, _, rest in lines if name in ("RssAnon", "VmRSS")}
        _, _, numbers = (folder / "stat").read_text().rpartition(")")  # the program's name may hold spaces
        ticks = sum(map(int, numbers.split()[11:13]))
        cpu = ticks / os.sysconf("SC_CLK_TCK")
        yield AtWork(process, size.get("RssAnon", 0), size.get("VmRSS", 0), cpu)
        for task in (folder / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from processes_of(int(child))


# Steps


def validate(folders: Folders, asked: argparse.Namespace) -> Measured:
    make_raw(folders)
    return gazekit(folders, asked, "data", "validate", "phantom", folders.raw)[0]


def prepare(folders: Folders, asked: argparse.Namespace) -> Measured:
    make_raw(folders)
    out = folders.root / f"made_{folders.exams}"
    arguments = ("data", "prepare", "phantom", folders.raw, out, "--size", asked.size, "--overwrite")
    return gazekit(folders, asked, *arguments)[0]


def split(folders: Folders, asked: argparse.Namespace) -> Measured:
    make_prepared(folders)
    return gazekit(
        folders, asked, "data", "split", folders.prepared, folders.root / f"split_{folders.exams}.csv"
    )[0]


def first_step(folders: Folders, asked: argparse.Namespace) -> Measured:
    """From the start of ``gazekit train`` to the end of its first step; memory is that of the whole training."""
    trained, said = train(folders, asked)
    return replace(trained, seconds=_when(said, _FIRST_STEP))


def epoch(folders: Folders, asked: argparse.Namespace) -> Measured:
    """From the end of the first step to that of the first epoch, with its validation."""
    trained, said = train(folders, asked)
    return replace(trained, seconds=_when(said, "epoch 1/1") - _when(said, _FIRST_STEP))


_trained: dict[Folders, tuple[Measured, Said]] = {}


def train(folders: Folders, asked: argparse.Namespace) -> tuple[Measured, Said]:
    """Train one epoch, once in a call of this script."""
    if folders not in _trained:
        make_prepared(folders)
        changes = [part for change in asked.set for part in ("--set", change)]
        options = (
            "--data",
            folders.prepared,
            "--out",
            folders.run,
            "--epochs",
            1,
            "--device",
            "cpu",
            "--overwrite",
        )
        _trained[folders] = gazekit(folders, asked, "train", asked.preset, *options, *changes)
    return _trained[folders]


def evaluate(folders: Folders, asked: argparse.Namespace) -> Measured:
    make_run(folders, asked)
    return gazekit(folders, asked, "evaluate", folders.run, "--part", "all", "--device", "cpu")[0]


def report(folders: Folders, asked: argparse.Namespace) -> Measured:
    """A report of all exams, each in the case browser."""
    make_run(folders, asked)
    page = folders.root / f"report_{folders.exams}" / "report.html"
    page.parent.mkdir(exist_ok=True)
    options = ("--part", "all", "--cases", folders.exams, "--out", page, "--device", "cpu")
    measured = gazekit(folders, asked, "report", folders.run, *options)[0]
    pages = [page, *page.parent.glob("report_cases/*.html")]
    more = {"pages": len(pages), "largest_page_MB": max(each.stat().st_size for each in pages) / 1e6}
    largest = max(pages, key=lambda each: each.stat().st_size)
    return replace(measured, more=more | {"opens_in_s": seconds_to_open(largest)})


def seconds_to_open(page: Path) -> float | None:
    """Time Chromium with a page, less that with an empty one; None without Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom")
    seconds = []
    for target in ("about:blank", page.absolute().as_uri()):
        start = time.perf_counter()
        subprocess.run([chromium, *options, target], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return seconds[1] - seconds[0]


def predict(folders: Folders, asked: argparse.Namespace) -> Measured:
    make_run(folders, asked)
    make_raw(folders)
    options = ("--format", "csv", "--device", "cpu")
    return gazekit(folders, asked, "predict", folders.run, folders.raw / "exams.csv", *options)[0]


def _when(said: Said, words: str) -> float:
    return next(seconds for seconds, line in said if words in line)


STEPS: dict[str, Callable[[Folders, argparse.Namespace], Measured]] = {
    "validate": validate,
    "prepare": prepare,
    "split": split,
    "first_step": first_step,
    "epoch": epoch,
    "evaluate": evaluate,
    "report": report,
    "predict": predict,
}


# Data


def draw_phantom(root: Path, size: int) -> None:
    """Draw the exams that all others repeat, and prepare them."""
    base = Folders(root, PHANTOM)
    if not (base.prepared / MANIFEST).exists():
        root.mkdir(parents=True, exist_ok=True)
        drawn, command = base.raw, (sys.executable, "-m", "gazekit", "data")
        options = ("--exams", str(PHANTOM), "--seed", "3", "--image-height", str(size))
        subprocess.run((*command, "phantom", drawn, *options), check=True, stdout=subprocess.DEVNULL)
        prepared = (*command, "prepare", "phantom", drawn, base.prepared, "--size", str(size))
        subprocess.run(prepared, check=True, stdout=subprocess.DEVNULL)


def make_run(folders: Folders, asked: argparse.Namespace) -> None:
    if not (folders.run / "metrics.jsonl").exists():
        train(folders, asked)


def make_raw(folders: Folders) -> None:
    """Write a raw phantom of many exams: its table, images, gaze, and links to its masks."""
    base = Folders(folders.root, PHANTOM).raw
    if (folders.raw / "exams.csv").exists():
        return
    with (base / "exams.csv").open(newline="") as file:
        drawn = list(csv.DictReader(file))
    for name in ("images", "gaze", "masks"):
        (folders.raw / name).mkdir(parents=True, exist_ok=True)
    _link(base / "phantom.json", folders.raw / "phantom.json")
    rows = []
    for number, exam in enumerate(_repeated(drawn, folders.exams)):
        row, random = dict(exam), np.random.default_rng(number)
        row["exam_id"], row["patient_id"] = names_of(number)
        for column in exam.keys() - {"exam_id", "patient_id", "label"}:
            there = Path(exam[column])
            row[column] = f"{there.parent}/{number}_{there.name}"
            if column in _VIEWS:
                _write_altered(base / there, folders.raw / row[column], random)
            elif column.endswith("_gaze"):
                told = (base / there).read_text().replace(f"{exam['exam_id']},", f"{row['exam_id']},")
                (folders.raw / row[column]).write_text(told)
            else:
                _link(base / there, folders.raw / row[column])
        rows.append(row)
    with (folders.raw / "exams.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(drawn[0]))
        writer.writeheader()
        writer.writerows(rows)


def names_of(number: int) -> tuple[str, str]:
    """The ids of an exam and of its patient, who has two."""
    return f"N{number:07d}", f"Q{number // 2:07d}"


def _repeated(things: Sequence[Any], number: int) -> Iterator[Any]:
    return (things[i % len(things)] for i in range(number))


def _link(existing: Path, path: Path) -> None:
    path.unlink(missing_ok=True)
    path.hardlink_to(existing)


def _write_altered(drawn: Path, path: Path, random: np.random.Generator) -> None:
    """Copy an image of the phantom whose 14-bit pixels, outside the background, differ by up to 1 of 128."""
    stored, length = _drawn(drawn)
    content = bytearray(stored)
    pixels = np.frombuffer(content, dtype="<u2", offset=len(content) - length)
    pixels ^= (
        (random.integers(0, 2, len(pixels), dtype=np.uint16) << 7) * (pixels < _BACKGROUND) * (pixels > 0)
    )
    path.write_bytes(content)


@cache
def _drawn(path: Path) -> tuple[bytes, int]:
    """The file of a drawn image, and how many of its last bytes are pixels."""
    import pydicom

    return path.read_bytes(), len(pydicom.dcmread(path).PixelData)


def make_prepared(folders: Folders) -> None:
    """Write a prepared set of many exams; its images differ from the phantom's by up to 1 of 255."""
    if (folders.prepared / MANIFEST).exists():
        return
    base = PreparedDataset.open(Folders(folders.root, PHANTOM).prepared)
    manifest = read_manifest(base.root)
    folders.prepared.mkdir(exist_ok=True)
    stored = {name: base.arrays[name] for name in arrays_of(manifest.preparation)}
    made = {
        name: np.lib.format.open_memmap(
            folders.prepared / f"{name}.npy",
            "w+",
            array.dtype,
            (folders.exams, *array.shape[1:]),
            version=(1, 0),
        )
        for name, array in stored.items()
    }
    drawn, entries = [record_of(base, exam) for exam in range(len(base))], []
    for number, record in enumerate(_repeated(drawn, folders.exams)):
        for name, array in stored.items():
            made[name][number] = array[number % len(base)]
        image = made["images"][number]
        image ^= np.random.default_rng(number).integers(0, 2, image.shape, image.dtype) * (image > 0)
        (digest,) = row_digests(*(array[number : number + 1] for array in made.values()))
        exam_id, patient_id = names_of(number)
        views = tuple(replace(view, digest=f"{digest} {view.view}") for view in record.views)
        entries.append(replace(record, exam_id=exam_id, patient_id=patient_id, digest=digest, views=views))
    for array in made.values():
        array.flush()
    write_tables(folders.prepared, manifest.preparation, entries)
    write_findings(folders.prepared, [])
    files = {name: facts_of(folders.prepared / name) for name in files_of(manifest.preparation)}
    (folders.prepared / MANIFEST).write_text(make_manifest(manifest.preparation, entries, 0, files))


def record_of(dataset: PreparedDataset, exam: int) -> ExamRecord:
    """The record of an exam of a prepared set."""
    views = []
    for column, view in enumerate(dataset.views):
        rows = dataset.fixation_table.take(dataset._rows(exam, view))
        numbers = zip(
            rows.x, rows.y, rows.onset_ms, rows.duration_ms, rows.sigma_x, rows.sigma_y, strict=True
        )
        names = (rows.readers[reader] for reader in rows.reader)
        record = ViewRecord(
            view=view,
            image="",
            has_gaze=bool(dataset.has_gaze[exam, column]),
            has_mask=bool(dataset.has_mask[exam, column]),
            laterality=dataset.laterality[exam][view],
            modality="MG",
            raw_size=dataset.raw_size[exam][view],
            geometry=dataset.geometry[exam][view],
            spacing_mm=dataset.spacing_mm[exam].get(view),
            digest="",
            fixations=tuple(
                ReaderFixation(name, *map(float, row)) for name, row in zip(names, numbers, strict=True)
            ),
        )
        views.append(record)
    label = dataset.classes[dataset.labels[exam]]
    return ExamRecord("", "", label, None, dataset.datasets[exam], tuple(views), "")


if __name__ == "__main__":
    main()
