"""Verify a prepared data set: files against the manifest, content against the fingerprint.

Checksums detect changes by a share, a copy or a second process. They are no signature: a change that also updates the
manifest goes unnoticed.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gazekit.disk.atomic import write_atomically
from gazekit.disk.own_files import FileKind, check_size, opened
from gazekit.disk.wording import in_command
from gazekit.errors import DataError
from gazekit.prepared.exam_record import ReaderFixation, fixation_digest
from gazekit.prepared.index import FINDINGS, FIXATIONS, FORMER_REFUSED, INDEX, REFUSED, refused_path
from gazekit.prepared.manifest import (
    MANIFEST,
    FileFacts,
    Manifest,
    fingerprint_of,
    further_content,
    read_manifest,
    to_json,
)
from gazekit.prepared.stored_array import AGAIN, arrays_of
from gazekit.records.arrays import Array

if TYPE_CHECKING:
    from gazekit.prepared.dataset import PreparedDataset

TABLES = (INDEX, FIXATIONS, FINDINGS, REFUSED)
_KIND = FileKind("a file of a prepared data set", 2**62, AGAIN)


def files_of(preparation: Mapping[str, Any]) -> tuple[str, ...]:
    """The files of a set with these settings, beside its manifest."""
    return (*(f"{name}.npy" for name in arrays_of(preparation)), *TABLES)


def facts_of(path: Path) -> FileFacts:
    """Return size and checksum of a file. Raises DataError: it is missing, or not a regular file."""
    with opened(path, _KIND) as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileFacts(bytes=file.tell(), sha256=digest.hexdigest())


def check_sizes(root: Path, manifest: Manifest) -> None:
    """Raise DataError if a file that the manifest names is absent, or has another size."""
    for name in _named(root, manifest):
        check_size(root / name, _KIND, manifest.files[name].bytes)


def check_file(root: Path, name: str, manifest: Manifest) -> None:
    """Raise DataError if a file does not match its checksum in the manifest."""
    if name in manifest.files:
        check_size(root / name, _KIND, manifest.files[name].bytes)
        if facts_of(root / name) != manifest.files[name]:
            raise DataError(f"{root / name}: does not match its checksum in the manifest; {AGAIN}")


def check_content(root: Path, manifest: Manifest, content: "PreparedDataset") -> None:
    """Raise DataError if labels, patients or pixels are not those that the fingerprint was taken of."""
    if _fingerprint(manifest, content) != manifest.fingerprint:
        raise DataError(
            f"{root}: labels, patients or pixels are not those that were prepared; gazekit data verify "
            f"{in_command(root)} says which file was changed; {AGAIN}"
        )


def seal(root: Path) -> None:
    """Update the manifest for files changed on purpose, as in a negative control."""
    from gazekit.prepared.dataset import PreparedDataset

    manifest = read_manifest(root)
    names = (*files_of(manifest.preparation)[:-1], refused_path(root).name)
    manifest = manifest.model_copy(update={"files": {name: facts_of(root / name) for name in names}})
    write_atomically(root / MANIFEST, to_json(manifest))
    fingerprint = _fingerprint(manifest, PreparedDataset.open(root))
    write_atomically(root / MANIFEST, to_json(manifest.model_copy(update={"fingerprint": fingerprint})))


def _fingerprint(manifest: Manifest, content: "PreparedDataset") -> str:
    parts: Sequence[str | None] = content.parts or [None] * len(content.exam_ids)
    exams = zip(
        content.exam_ids,
        content.patient_ids,
        (content.classes[label] for label in content.labels),
        parts,
        content.datasets,
        row_digests(*content.arrays.values()),
        *([fixation_digests(content)] if "layout" in manifest.preparation else []),
        strict=True,
    )
    known = map(content.known_of, range(len(content.exam_ids)))
    further = (
        further_content(manifest.preparation, *known_of_exam, present)
        for known_of_exam, present in zip(known, content.has_image.tolist(), strict=True)
    )
    everything = ([*exam, *beside] for exam, beside in zip(exams, further, strict=True))
    return fingerprint_of(manifest.preparation, everything)


def fixation_digests(content: "PreparedDataset") -> Iterator[str]:
    """The digest of each exam's fixations, as the preparation took it."""
    table = content.fixation_table
    rows = np.stack(
        [table.x, table.y, table.onset_ms, table.duration_ms, table.sigma_x, table.sigma_y], axis=1
    )
    bounds = np.searchsorted(table.exam, np.arange(len(content) + 1))  # exam by exam in the file
    recording = table.recording.tolist()
    for first, end in itertools.pairwise(bounds.tolist()):
        views = (content.views[view] for view in table.view[first:end].tolist())
        readers = (table.readers[reader] for reader in table.reader[first:end].tolist())
        named = zip(readers, rows[first:end].tolist(), recording[first:end], strict=True)
        fixations = (ReaderFixation._make((reader, *numbers, of)) for reader, numbers, of in named)
        yield fixation_digest(zip(views, fixations, strict=True))


@dataclass(frozen=True, slots=True)
class Verified:
    """Result of ``faults_of``: a line per fault, and the files without a checksum."""

    faults: list[str]
    unchecked: list[str]


def faults_of(root: Path) -> Verified:
    """Check every file of a prepared set against its checksum, then labels, patients and pixels."""
    from gazekit.prepared.dataset import PreparedDataset

    try:
        manifest = read_manifest(root)
        unchecked = [] if _named(root, manifest) else [FIXATIONS, FINDINGS, refused_path(root).name]
    except DataError as error:
        return Verified([str(error)], [])
    faults = []
    for name in manifest.files:
        try:
            check_file(root, name, manifest)
        except DataError as error:
            faults.append(str(error))
    if not faults:
        try:
            content = PreparedDataset.open(root)
            if _fingerprint(manifest, content) != manifest.fingerprint:
                where = f"{root / MANIFEST}: was changed:" if manifest.files else f"{root}:"
                faults.append(
                    f"{where} settings, labels, patients or pixels are not those that were prepared; {AGAIN}"
                )
        except DataError as error:
            faults.append(str(error))
    return Verified(faults, unchecked)


def row_digests(*arrays: Array) -> Iterator[str]:
    """The digest of each exam's rows of the arrays, as ``preparing.one_exam`` takes it."""
    for rows in zip(*arrays, strict=True):
        digest = hashlib.sha256()
        for row in rows:
            digest.update(row.tobytes())
        yield digest.hexdigest()


def _named(root: Path, manifest: Manifest) -> list[str]:
    """The files of the manifest. Raises DataError: it names others than there are."""
    expected = files_of(manifest.preparation)
    if manifest.files and set(manifest.files) not in (set(expected), {*expected[:-1], FORMER_REFUSED}):
        raise DataError(f"{root / 'dataset.json'}: files: expected {', '.join(expected)}; {AGAIN}")
    return list(manifest.files)
