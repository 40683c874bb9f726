"""Estimate the cost of a preparation, and report it afterwards."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from gazekit.disk.regular_file import is_regular_file
from gazekit.errors import DataError, StorageError
from gazekit.prepared.settings import SAME, PreparationSettings
from gazekit.reading.image_size import image_size
from gazekit.records.exam import Exam

_IDLE = 90 * 2**20
"""Bytes that an idle worker takes (measured on Linux, Python 3.11)."""
_PER_PIXEL = 10
"""Bytes per pixel of the image in a worker (7.8 measured at 13.6 million pixels, JPEG 2000)."""
_LOOKED_AT = 8
"""Images whose size represents all."""


@dataclass(frozen=True, slots=True)
class Work:
    """Input read by one call of a preparation.

    Args:
        exams, files: their numbers.
        read_bytes: size of the files.
        seconds: from the first to the last exam.
    """

    exams: int
    files: int
    read_bytes: int
    seconds: float

    def __str__(self) -> str:
        """Describe in one line."""
        megabytes, seconds = self.read_bytes / 1e6, max(self.seconds, 1e-3)
        return (
            f"{self.exams} exams, {self.files} files: {megabytes:.1f} MB in {seconds:.1f} s, "
            f"{megabytes / seconds:.1f} MB/s"
        )


@dataclass(frozen=True, slots=True)
class WorkEstimate:
    """Estimated cost of a preparation.

    Args:
        files: to read.
        read_bytes: their size.
        disk_bytes: of the arrays that it will write.
        memory_bytes: of all workers together, at the size of the first images.
        jobs: workers.
    """

    files: int
    read_bytes: int
    disk_bytes: int
    memory_bytes: int
    jobs: int

    def __str__(self) -> str:
        """Describe in one line."""
        return (
            f"reading {self.files} files of {self.read_bytes / 1e6:.0f} MB in {self.jobs} "
            f"process{'es' * (self.jobs > 1)}; will take about {self.memory_bytes / 1e9:.1f} GB of memory and "
            f"{self.disk_bytes / 1e6:.0f} MB of disk"
        )


def estimate(exams: Sequence[Exam], settings: PreparationSettings, jobs: int) -> WorkEstimate:
    """Estimate the cost of preparing exams from their file sizes and the headers of the first images."""
    files = list(_files(exams))
    sizes = list(islice(_image_sizes(exams), _LOOKED_AT))
    pixels = max((height * width for height, width in sizes), default=0)
    layers = settings.channels + settings.heat_maps
    per_image = layers * np.dtype(settings.dtype).itemsize + 1 / 8  # image, heat map, mask
    height, width = settings.size
    at_once = len(settings.views) if settings.scale == SAME else 1
    return WorkEstimate(
        files=len(files),
        read_bytes=sum(path.stat().st_size for path in files),
        disk_bytes=round(len(exams) * len(settings.views) * height * width * per_image),
        memory_bytes=max(jobs, 1) * (_IDLE + _PER_PIXEL * pixels * at_once),
        jobs=max(jobs, 1),
    )


def check_disk(out: Path, needed: WorkEstimate) -> None:
    """Raise a StorageError if the disk has no room for the arrays."""
    free = shutil.disk_usage(out).free
    if free < needed.disk_bytes:
        raise StorageError(
            f"{out}: the arrays take {needed.disk_bytes / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free; choose "
            "another disk or a smaller --size"
        )


def _files(exams: Sequence[Exam]) -> Iterator[Path]:
    """List the existing files of exams, each once."""
    return (
        path
        for path in dict.fromkeys(path for exam in exams for path in exam.files())
        if is_regular_file(path)
    )


def _image_sizes(exams: Sequence[Exam]) -> Iterator[tuple[int, int]]:
    for exam in exams:
        for path in exam.images.values():
            try:
                yield image_size(path)
            except DataError:  # the preparation will refuse it with the reason
                continue
