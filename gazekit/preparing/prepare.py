"""From raw files to a prepared data set: once, in parallel, resumable."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, Literal

from gazekit.disk.atomic import PARTIAL, disk_errors, forget_partial, write_atomically
from gazekit.disk.locking import LOCK, locked
from gazekit.errors import ConfigurationError, DataError
from gazekit.gaze.fixations import FixationSettings
from gazekit.gaze.matching import Joined
from gazekit.prepared.index import (
    write_findings,
    write_tables,
)
from gazekit.prepared.manifest import MANIFEST, NAMED, make_manifest, read_manifest
from gazekit.prepared.not_prepared import JOURNAL as NAME
from gazekit.prepared.settings import Crop, LateralityRule, PixelType, PreparationSettings
from gazekit.prepared.stored_array import stored_array
from gazekit.prepared.verification import FILES, check_file, facts_of, row_digests
from gazekit.preparing.estimate import Work, check_disk, estimate
from gazekit.preparing.journal import Journal, check_same, read_header
from gazekit.preparing.one_exam import PreparedExam, Reject
from gazekit.preparing.outside_files import check_inside, outside
from gazekit.preparing.redaction import files_of, without_names
from gazekit.preparing.source import (
    choose_views,
    classes_of,
    fingerprint,
    join_recordings,
    list_exams,
    tasks_of,
)
from gazekit.preparing.summary import Summary, check_result, findings_of, summarise
from gazekit.preparing.workers import prepare_all
from gazekit.reading.bit_depth import find_depth
from gazekit.reading.parallel import available_cores
from gazekit.reading.window import FIRST
from gazekit.records.exam import Exam
from gazekit.records.labels import describe, doubts
from gazekit.records.recording import Recording

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import DataSource, GazeReader

OUTSIDE = "exams_outside"
"""Key of the settings: how many exams were refused for files outside the folder; absent where none was."""
_OURS = (MANIFEST, NAME, *FILES)


def prepare(
    source: "DataSource",
    root: Path,
    out: Path,
    *,
    views: Sequence[str] | None = None,
    size: tuple[int, int] = (224, 224),
    crop: Crop = "breast",
    laterality: LateralityRule = "auto",
    window: str = FIRST,
    dtype: PixelType = "uint8",
    bit_depth: int | None = None,
    mask_outside: bool | None = None,
    jobs: int | None = None,
    on_bad_exam: Literal["skip", "error"] = "skip",
    gaze_reader: "Callable[[str], GazeReader] | None" = None,
    recordings: Sequence[Recording] | None = None,
    fixations: FixationSettings | None = None,
    gaze_options: Mapping[str, Any] | None = None,
    image_names: bool = False,
    positive: str | None = None,
    allow_outside: Sequence[Path] = (),
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Summary:
    """Decode, crop, flip and resize every exam of a data set, with its heat maps and masks.

    A killed preparation goes on where it stopped when called again with the same settings; a finished one
    is left as it is. The result does not depend on ``jobs``.

    Args:
        source, root: which exams there are below the folder of the raw data set.
        out: folder of the prepared one.
        views: views that an exam must have, in order; None takes all views of the source.
        size, crop, laterality, window, dtype, mask_outside, fixations: see :class:`PreparationSettings`.
        bit_depth: bits of the full scale of whole numbers of more than 8 bits in files other than DICOM; None takes the
            least that holds every image, for which such files are read once more.
        jobs: worker processes; None takes one per core, 0 works in this process, where a decoder that crashes takes
            the whole preparation along.
        on_bad_exam: ``"skip"`` lists a bad exam in ``rejects.csv``, ``"error"`` stops at the first.
        gaze_reader: looks a gaze reader up by the name that an exam gives.
        recordings: joined by exam and view or by image name, in place of the exams' own.
        gaze_options: with which options ``gaze_reader`` reads the exams' own gaze files, in JSON values: a folder
            prepared with others holds another preparation.
        image_names: keep the names of the files, which may hold those of patients, in ``index.csv`` and
            ``rejects.csv``; otherwise only exams, patients and views are named.
        positive: which of two classes is the positive one; None takes the source's order.
        allow_outside: folders outside ``root`` below which the source may name files too.
        overwrite: discard another preparation in ``out``.
        progress: called with (exams done, exams).
        note: told, before anything is read, which classes there are and what it will take.
        warn: told, before anything is read, what looks like a mistake in the classes and which exams are left out.

    Raises: DataError (no usable exam, no gaze matched, one class, another preparation), ConfigurationError,
    StorageError.
    """
    root, out = Path(root), Path(out)
    exams, findings = list_exams(source, root)
    classes = classes_of(source, exams, positive)
    refused, told = check_inside(exams, root, allow_outside)
    chosen = choose_views(exams, root, views)
    settings = PreparationSettings(
        *(chosen, size, crop, laterality, window, dtype, fixations or FixationSettings()),
        bit_depth=bit_depth,
        mask_outside=mask_outside,
    )
    files = fingerprint(exams, recordings, root)
    _claim(out)
    if note is not None:
        note(describe(classes))
    labels, patients = [exam.label for exam in exams], [exam.patient_id for exam in exams]
    if warn is not None:
        for line in (*doubts(classes, labels, patients, chosen=positive is not None), told):
            if line:
                warn(line)
    with locked(out, busy=f"{out}: another process is preparing this data set; wait for it or stop it"):
        forget_partial(out, now=time())
        if overwrite:
            _discard(out)
        if bit_depth is None and window == FIRST:
            usable = [exam for exam in exams if not any(outside(exam, root, allow_outside))]
            images = (exam.images[view] for exam in usable for view in chosen if view in exam.images)
            depth = _depth(out, files, images, _jobs(jobs, len(exams)))
            settings = replace(settings, bit_depth=depth)
            if depth is not None and note is not None:
                note(
                    f"whole numbers of more than 8 bits outside DICOM are read as {depth} bits in the whole data set; "
                    "--bit-depth sets another number"
                )
        header = settings.to_json() | {"classes": list(classes), "source": files}
        header |= {NAMED: True} if image_names else {}
        header |= {OUTSIDE: refused} if refused else {}
        if gaze_options and recordings is None and any(exam.gaze for exam in exams):
            header["gaze_options"] = json.loads(json.dumps(gaze_options, default=str))
        if _is_damaged(out, header, note):
            _discard(out)
        if (out / MANIFEST).exists():
            return summarise(out)
        joined, workers = join_recordings(recordings, exams), _jobs(jobs, len(exams))
        with closing(Journal(out, header, settings)) as journal:
            rest = exams[len(journal.entries) :]
            needed = estimate(rest, settings, workers)
            check_disk(out, needed)
            if note is not None:
                note(str(needed))
            start = perf_counter()
            tasks = tasks_of(rest, root, settings, gaze_reader, joined, allow_outside)
            with closing(prepare_all(tasks, workers)) as results:
                named = results if image_names else _without_names(results, rest, root)
                _record(journal, named, len(exams), on_bad_exam, progress)
            work = Work(len(rest), needed.files, needed.read_bytes, perf_counter() - start)
        write_findings(out, [*findings, *findings_of(journal.entries)])
        _finish(out, header, journal, exams, joined)
        return summarise(out, work)


def _depth(out: Path, files: str, images: Iterable[Path], jobs: int) -> int | None:
    """The bit depth of the whole data set: that of an earlier call on the same files, or else found in them."""
    earlier = read_header(out)
    if earlier.get("source") == files and earlier.get("bit_depth") is not None:
        return int(earlier["bit_depth"])
    return find_depth([path for path in images if path.is_file()], jobs)


def _is_damaged(out: Path, header: dict[str, Any], note: Callable[[str], None] | None) -> bool:
    """Whether ``out`` is prepared, but its files are not those of its manifest any more.

    Raises: DataError when it is prepared otherwise, or its manifest cannot be read.
    """
    if not (out / MANIFEST).exists():
        return False
    manifest = read_manifest(out)
    check_same(out, manifest.preparation, header)
    try:
        for name in FILES:
            check_file(out, name, manifest)
    except DataError as error:
        if note is not None:
            note(f"{error}; preparing it again")
        return True
    return False


def _finish(
    out: Path, header: dict[str, Any], journal: Journal, exams: Sequence[Exam], joined: Joined | None
) -> None:
    """Write the tables, then, once all is known to be there, the manifest, which says so."""
    write_tables(out, journal.entries)
    check_result(journal.entries, exams, out, external=joined is not None)
    _check_arrays(out, journal)
    unmatched = len(joined.unmatched_recordings) if joined else 0
    files = {name: facts_of(out / name) for name in FILES}
    write_atomically(out / MANIFEST, make_manifest(header, journal.entries, unmatched, files))
    journal.path.unlink()


def _check_arrays(out: Path, journal: Journal) -> None:
    """Raise DataError unless every exam's rows of the arrays are those that the journal has noted."""
    prepared = [entry for entry in journal.entries if "reject" not in entry]
    arrays = [
        stored_array(array.path, (len(prepared), *array.shape), str(array.dtype))
        for array in journal.arrays.values()
    ]
    for entry, digest in zip(prepared, row_digests(*arrays), strict=True):
        if digest != entry["digest"]:
            raise DataError(
                f"{out}: the pixels of exam {entry['exam_id']} were changed while it was prepared; run the same "
                "command again, which makes them anew from there"
            )


def _claim(out: Path) -> None:
    """Make the folder, or make sure that it is that of a preparation. Raises: DataError."""
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in out.iterdir() if not path.name.endswith(PARTIAL)} - {LOCK}
    if there and MANIFEST not in there and NAME not in there:
        raise DataError(f"{out}: holds other files ({sorted(there)[0]} …); give a new or an empty folder")


def _discard(out: Path) -> None:
    """Remove a preparation; nothing else that may lie in its folder. Raises: StorageError."""
    with disk_errors(out):
        for name in _OURS:  # the manifest first: without it the rest is no data set
            (out / name).unlink(missing_ok=True)


def _jobs(jobs: int | None, exams: int) -> int:
    if jobs is not None and jobs < 0:
        raise ConfigurationError(f"preparation: jobs is {jobs}; expected at least 0")
    return min(available_cores() if jobs is None else jobs, exams)


def _without_names(
    results: Iterable[PreparedExam | Reject], exams: Iterable[Exam], root: Path
) -> Iterator[PreparedExam | Reject]:
    for result, exam in zip(results, exams, strict=True):
        if isinstance(result, Reject):
            yield Reject(result.exam_id, without_names(result.reason, files_of(exam), root))
        else:
            for view in result.record["views"]:
                view["image"] = ""
            yield result


def _record(
    journal: Journal,
    results: Iterable[PreparedExam | Reject],
    total: int,
    on_bad_exam: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    for result in results:
        if isinstance(result, Reject) and on_bad_exam == "error":
            raise DataError(f"exam {result.exam_id}: {result.reason}")
        journal.append(result)
        if progress is not None:
            progress(len(journal.entries), total)
    rejected = [entry for entry in journal.entries if "reject" in entry]  # of an earlier, interrupted call
    if rejected and on_bad_exam == "error":
        raise DataError(f"exam {rejected[0]['exam_id']}: {rejected[0]['reject']}")
