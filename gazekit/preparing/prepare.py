"""Prepare a data set from raw files: once, in parallel, resumable."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter, time
from typing import Any, Literal

from gazekit.disk.atomic import PARTIAL, disk_errors, forget_partial, write_atomically
from gazekit.disk.locking import LOCK, locked
from gazekit.errors import ConfigurationError, DataError
from gazekit.machine import available_cores
from gazekit.prepared.exam_record import Entry, ExamRecord
from gazekit.prepared.index import (
    FORMER_REFUSED,
    write_findings,
    write_tables,
)
from gazekit.prepared.manifest import MANIFEST, NAMED, make_manifest, read_manifest
from gazekit.prepared.not_prepared import JOURNAL as NAME
from gazekit.prepared.not_prepared import SHARD
from gazekit.prepared.settings import PreparationSettings
from gazekit.prepared.stored_array import FORMER_HEAT_MAPS, HEAT_MAPS, LAYOUT, stored_array
from gazekit.prepared.verification import TABLES, check_file, facts_of, row_digests
from gazekit.prepared.verification import files_of as files_beside
from gazekit.preparing.estimate import Work, WorkEstimate, check_disk, estimate
from gazekit.preparing.journal import Journal, check_same, read_header, read_journal
from gazekit.preparing.one_exam import PreparedExam, Task
from gazekit.preparing.raw.outside_files import check_inside, outside
from gazekit.preparing.raw.patient_ids import PatientIds
from gazekit.preparing.raw.source import (
    RawData,
    choose_views,
    classes_of,
    fingerprint,
    further_of,
    join_recordings,
    list_exams,
    tasks_of,
)
from gazekit.preparing.redaction import files_of, finding_of, nameless, nameless_record, without_names
from gazekit.preparing.regions import with_region
from gazekit.preparing.sharding.shard import SHARD_KEY, Rest, exams_of_shard, finish_shard, finished_shard
from gazekit.preparing.summary import Summary, check_result, findings_of, summarise
from gazekit.preparing.workers import prepare_all
from gazekit.reading.bit_depth import find_depth
from gazekit.reading.window import FIRST
from gazekit.records.exam import REFUSED_GAZE, Exam
from gazekit.records.labels import describe, doubts
from gazekit.records.refused import Refused

OUTSIDE = "exams_outside"
"""Key of the settings: how many exams were refused for files outside the folder; absent where none was."""
GAZE_OUTSIDE = "exams_with_gaze_outside"
"""Key of the settings: how many exams lost gaze that lies outside the folder; absent where none did."""
_ARRAYS = ("images", "masks", HEAT_MAPS, FORMER_HEAT_MAPS)
_OURS = (MANIFEST, SHARD, *(f"{name}.npy" for name in _ARRAYS), *TABLES, FORMER_REFUSED)


def _silent(*_said: object) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Procedure:
    """How a preparation is carried out; none of it changes a pixel.

    Args:
        jobs: worker processes; None takes one per core, 0 works in this process, where a decoder that crashes takes
            the whole preparation along.
        on_bad_exam: ``"skip"`` lists a bad exam in ``refused.csv``, and bad gaze in ``findings.csv``; ``"error"`` stops
            at the first.
        image_names: keep the names of the files, which may hold those of patients, in ``index.csv`` and
            ``refused.csv``; otherwise only exams, patients and views are named.
        overwrite: discard another preparation in the folder.
        progress: called with (exams done, exams).
        note: told, before anything is read, which classes there are and what it will take.
        warn: told, before anything is read, what looks like a mistake in the classes and which exams are left out.
        shard: prepare the i-th of n parts only, as (i, n), i from 1; ``merge`` makes a data set of all of them.

    Raises:
        ConfigurationError: a negative number of jobs, or no such shard.
    """

    jobs: int | None = None
    on_bad_exam: Literal["skip", "error"] = "skip"
    image_names: bool = False
    overwrite: bool = False
    progress: Callable[[int, int], None] = _silent
    note: Callable[[str], None] = _silent
    warn: Callable[[str], None] = _silent
    shard: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            number, count = self.shard
            raise ConfigurationError(f"preparation: shard {number}/{count}; expected I/N with I from 1 to N")
        if self.jobs is not None and self.jobs < 0:
            raise ConfigurationError(f"preparation: jobs is {self.jobs}; expected at least 0")

    def workers(self, exams: int) -> int:
        """Return the number of worker processes for a number of exams."""
        return min(available_cores() if self.jobs is None else self.jobs, exams)


def prepare(
    raw: RawData,
    out: Path,
    settings: PreparationSettings,
    procedure: Procedure = Procedure(),
) -> Summary:
    """Decode, crop, flip and resize every exam of a data set, with its fixations and masks.

    A killed preparation resumes when called again with the same settings; a finished one is left as it is. The
    result does not depend on the number of jobs.

    Args:
        raw: the data set.
        out: folder of the prepared one.
        settings: of the pixels. Without views it takes all views of the source, without a crop the
            region that the source names. Without a bit depth it takes the least
            that holds every image of more than 8 bits in files other than DICOM, and reads such files once more.
        procedure: how to carry it out.

    Raises: DataError (no usable exam, no gaze matched, one class, another preparation), ConfigurationError,
    StorageError.
    """
    exams, findings = list_exams(raw.source, raw.root)
    classes = classes_of(raw.source, exams, raw.positive)
    away = check_inside(exams, raw.root, raw.allow_outside, own_gaze=raw.recordings is None)
    settings = with_region(settings, raw.source, raw.registry)
    settings = replace(settings, views=choose_views(exams, raw.root, settings.views))
    files = fingerprint(exams, raw)
    claim(out)
    procedure.note(describe(classes))
    labels, patients = [exam.label for exam in exams], [exam.patient_id for exam in exams]
    for line in (*doubts(classes, labels, patients, chosen=raw.positive is not None), *away.told):
        procedure.warn(line)
    with locked(out, busy=f"{out}: another process is preparing this data set; wait for it or stop it"):
        forget_partial(out, now=time())
        if procedure.overwrite:
            discard(out)
        if settings.bit_depth is None and settings.window == FIRST:
            settings = replace(settings, bit_depth=_depth(out, files, exams, raw, settings, procedure))
        settings = replace(settings, heat_maps=any(exam.heat_maps for exam in exams))
        header = settings.to_json() | {"layout": LAYOUT} | {"classes": list(classes), "source": files}
        header |= further_of(exams)
        header |= {NAMED: True} if procedure.image_names else {}
        header |= {OUTSIDE: away.exams} if away.exams else {}
        header |= {GAZE_OUTSIDE: away.gaze} if away.gaze else {}
        if raw.gaze_options and raw.recordings is None and any(exam.gaze for exam in exams):
            header["gaze_options"] = json.loads(json.dumps(raw.gaze_options, default=str))
        header |= {SHARD_KEY: list(procedure.shard)} if procedure.shard else {}
        if is_damaged(out, header, procedure.note) or _came_to_nothing(out, header):
            discard(out)
        if is_finished(out):
            return summarise(out)
        if procedure.shard and (found := finished_shard(out, header)):
            return found
        joined = join_recordings(raw.recordings, exams)
        own = exams_of_shard(exams, procedure.shard)
        with closing(Journal(out, header, settings)) as journal:
            left = own[len(journal.entries) :]
            compared = PatientIds(procedure.warn)
            tasks = tasks_of(left, raw, settings, joined, [exam.exam_id for exam in exams], compared)
            needed = estimate(left, settings, procedure.workers(len(own)))
            work = _work_off(journal, left, tasks, needed, procedure, raw.root)
        rest = Rest(
            findings=(*findings, *(finding_of(each, named=procedure.image_names) for each in raw.skipped)),
            expects_gaze=joined is not None or any(exam.gaze for exam in exams),
            unmatched=len(joined.unmatched_recordings) if joined else 0,
        )
        if procedure.shard:
            return finish_shard(out, header, journal, rest, work)
        finish(out, header, journal, rest)
        return summarise(out, work)


def _work_off(
    journal: Journal,
    exams: Sequence[Exam],
    tasks: Iterator[Task | Refused],
    needed: WorkEstimate,
    procedure: Procedure,
    root: Path,
) -> Work:
    """Carry out the tasks of the exams that the journal does not have yet."""
    total = len(journal.entries) + len(exams)
    check_disk(journal.path.parent, needed)
    procedure.note(str(needed))
    start = perf_counter()
    if not procedure.image_names:
        tasks = map(nameless, tasks)
    with closing(prepare_all(tasks, procedure.workers(total))) as results:
        named = results if procedure.image_names else _without_names(results, exams, root)
        record(journal, named, total, procedure)
    return Work(len(exams), needed.files, needed.read_bytes, perf_counter() - start)


def _depth(
    out: Path,
    files: str,
    exams: Iterable[Exam],
    raw: RawData,
    settings: PreparationSettings,
    procedure: Procedure,
) -> int | None:
    """Return the bit depth of the whole data set: from an earlier call on the same files, else from the files."""
    earlier = read_header(out)
    if earlier.get("source") == files and earlier.get("bit_depth") is not None:
        depth: int | None = int(earlier["bit_depth"])
    else:
        exams = [exam for exam in exams if not outside(exam, raw.root, raw.allow_outside)]
        images = [exam.images[view] for exam in exams for view in settings.views if view in exam.images]
        depth = find_depth(images, procedure.workers(len(exams)), colour=settings.colour)
    if depth is not None:
        procedure.note(
            f"whole numbers of more than 8 bits outside DICOM are read as {depth} bits in the whole data set; "
            "--bit-depth sets another number"
        )
    return depth


def is_damaged(out: Path, header: dict[str, Any], note: Callable[[str], None]) -> bool:
    """Say whether ``out`` is prepared, but its files no longer match its manifest.

    Raises: DataError when it is prepared otherwise, or its manifest cannot be read.
    """
    if not (out / MANIFEST).exists():
        return False
    manifest = read_manifest(out)
    check_same(out, manifest.preparation, header)
    try:
        for name in manifest.files:
            check_file(out, name, manifest)
    except DataError as error:
        note(f"{error}; preparing it again")
        return True
    return False


def is_finished(out: Path) -> bool:
    """Whether ``out`` is prepared; if so, remove the journal that a process left which was killed at the very end."""
    if not (out / MANIFEST).exists():
        return False
    with disk_errors(out):
        (out / NAME).unlink(missing_ok=True)
    return True


def _came_to_nothing(out: Path, header: dict[str, Any]) -> bool:
    """Say whether ``out`` holds another preparation, unfinished and without an exam: nothing is lost with it."""
    if (out / MANIFEST).exists() or not (out / NAME).exists():
        return False
    if read_header(out) == header:
        return False
    return not any(isinstance(entry, ExamRecord) for entry in read_journal(out)[1])


def finish(out: Path, header: dict[str, Any], journal: Journal, rest: Rest) -> None:
    """Write the tables, then, once everything is known to be complete, the manifest."""
    write_findings(out, [*rest.findings, *findings_of(journal.entries)])
    write_tables(out, header, journal.entries)
    check_result(journal.entries, out, expects_gaze=rest.expects_gaze)
    _check_arrays(out, journal)
    files = {name: facts_of(out / name) for name in files_beside(header)}
    write_atomically(out / MANIFEST, make_manifest(header, journal.entries, rest.unmatched, files))
    journal.path.unlink()


def _check_arrays(out: Path, journal: Journal) -> None:
    """Raise DataError unless every exam's array rows match the journal."""
    prepared = [entry for entry in journal.entries if isinstance(entry, ExamRecord)]
    arrays = [
        stored_array(array.path, (len(prepared), *array.shape), str(array.dtype))
        for array in journal.arrays.values()
    ]
    for entry, digest in zip(prepared, row_digests(*arrays), strict=True):
        if digest != entry.digest:
            raise DataError(
                f"{out}: the pixels of exam {entry.exam_id} were changed while it was prepared; run the same "
                "command again, which prepares them again from there"
            )


def claim(out: Path) -> None:
    """Make the folder, or check that it holds a preparation. Raises: DataError."""
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in out.iterdir() if not path.name.endswith(PARTIAL)} - {LOCK}
    if there and MANIFEST not in there and NAME not in there:
        raise DataError(f"{out}: holds other files ({sorted(there)[0]} …); give a new or an empty folder")


def discard(out: Path) -> None:
    """Remove a preparation and nothing else in its folder. Raises: StorageError."""
    with disk_errors(out):
        journal = out / NAME
        if not journal.exists() and (out / MANIFEST).exists():
            write_atomically(journal, "{}\n")  # marks the folder as ours to the end
        for name in _OURS:  # the manifest first: without it the rest is no data set
            (out / name).unlink(missing_ok=True)
        journal.unlink(missing_ok=True)


def _without_names(
    results: Iterable[PreparedExam | Refused], exams: Iterable[Exam], root: Path
) -> Iterator[PreparedExam | Refused]:
    for result, exam in zip(results, exams, strict=True):
        if isinstance(result, Refused):
            yield replace(result, reason=without_names(result.reason, files_of(exam), root))
        else:
            yield replace(result, record=nameless_record(result.record, exam, root))


def record(
    journal: Journal,
    results: Iterable[PreparedExam | Refused],
    total: int,
    procedure: Procedure,
) -> None:
    """Append results to the journal. Raises DataError: one is refused, and the procedure stops at that."""
    for result in results:
        _check_good(result.record if isinstance(result, PreparedExam) else result, procedure)
        journal.append(result)
        procedure.progress(len(journal.entries), total)
    for entry in journal.entries:  # also of an earlier, interrupted call
        _check_good(entry, procedure)


def _check_good(entry: Entry, procedure: Procedure) -> None:
    """Raise DataError if an exam or gaze on it is refused, and the procedure stops at that."""
    if procedure.on_bad_exam != "error":
        return
    if isinstance(entry, Refused):
        raise DataError(f"exam {entry.key}: {entry.reason}")
    for each in (each for view in entry.views for each in view.findings):
        if each.kind == REFUSED_GAZE:
            raise DataError(f"exam {entry.exam_id}: gaze on {each.about}: {each.what}")
