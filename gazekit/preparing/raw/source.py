"""Collect the input of a preparation: exams, classes, a fingerprint of the files, gaze recordings."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazekit.disk.plain_text import has_controls, visible
from gazekit.disk.regular_file import is_regular_file
from gazekit.disk.suggestion import did_you_mean
from gazekit.errors import ConfigurationError, DataError, PluginError
from gazekit.gaze.collecting import SkippedFile
from gazekit.gaze.formats import files_beside, recordings_of
from gazekit.gaze.image_names import in_folder_of
from gazekit.gaze.matching import DOUBTFUL, Joined, Spelled, fitting, join, tells_exam
from gazekit.prepared.settings import REFUSE, PreparationSettings
from gazekit.prepared.splits import PARTS
from gazekit.preparing.one_exam import Task
from gazekit.preparing.raw.header_look import look_at_headers
from gazekit.preparing.raw.outside_files import gaze_outside, outside
from gazekit.preparing.raw.patient_ids import PatientIds
from gazekit.preparing.regions import find_finder
from gazekit.reading.identifying.identity_rules import identity_rules
from gazekit.reading.identifying.view_names import ViewNames
from gazekit.reading.tables.table import LARGEST
from gazekit.records.exam import REFUSED_GAZE, Exam, Finding
from gazekit.records.labels import check_label, in_order, spell_alike, with_positive
from gazekit.records.lesions import Lesion, MaskFile
from gazekit.records.recording import Recording
from gazekit.records.refused import Refused
from gazekit.registry.discovery import load_registry
from gazekit.registry.registry import Registry

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import DataSource, GazeReader

OfExams = dict[str | None, list[Recording]]
"""exam_id → recordings in a file that name it; under None those that name no exam of the data set."""


@dataclass(frozen=True, slots=True, eq=False)
class RawData:
    """A raw data set, and how to read it.

    Args:
        source: lists the exams below ``root``.
        root: the folder of the data set.
        positive: the positive class of two; None takes the source's order.
        allow_outside: folders outside ``root`` where the source may also name files.
        gaze_reader: looks up a gaze reader by the name that an exam gives.
        gaze_options: options with which ``gaze_reader`` reads the exams' own gaze files, as JSON values; a folder
            prepared with other options holds another preparation.
        recordings: joined by exam and view or by image name, instead of the exams' own.
        skipped: files that give no recording, though they lie among those that do.
        registry: provides the region that images are cut to; None finds all plugins.
    """

    source: "DataSource"
    root: Path
    positive: str | None = None
    allow_outside: Sequence[Path] = ()
    gaze_reader: "Callable[[str], GazeReader] | None" = None
    gaze_options: Mapping[str, Any] | None = None
    recordings: Sequence[Recording] | None = None
    skipped: Sequence[SkippedFile] = ()
    registry: Registry | None = None


def list_exams(source: "DataSource", root: Path) -> tuple[list[Exam], list[Finding]]:
    """List all exams of a source, with consistent spelling of labels, and the findings.

    Raises:
        DataError: there is no such folder or no exam, or an id comes twice.
        PluginError: the source yields something else than exams and findings.
    """
    if not root.is_dir():
        told = f"is a file; give its folder, {root.parent}" if root.exists() else "there is no such folder"
        raise DataError(f"{root}: {told}; expected the folder of a data set")
    exams: list[Exam] = []
    findings: list[Finding] = []
    for each in _listed(source, root):
        if isinstance(each, Exam):
            exams.append(each)
        else:
            findings.append(each)
    if not exams:
        first = f"; {findings[0].about}: {findings[0].what}" if findings else ""
        raise DataError(f"{root}: the data set has no exams{first}")
    seen: set[str] = set()
    for exam in exams:
        _check_names(exam, root)
        if exam.exam_id in seen:
            raise DataError(f"{root}: exam {exam.exam_id} comes twice; expected every exam_id once")
        seen.add(exam.exam_id)
    given = [exam.exam_id for exam in exams if exam.part is not None]
    if given and len(given) < len(exams):
        raise DataError(
            f"{root}: {len(given)} of {len(exams)} exams name a part (such as {given[0]}); expected all or none"
        )
    exams, respelled = spell_alike(exams, source.classes)
    return exams, [*findings, *respelled]


def _listed(source: "DataSource", root: Path) -> Iterator[Exam | Finding]:
    """Yield exams and findings of a source. Raises PluginError: it has another type than the contract says."""
    kind = type(source)

    def promise(promised: str, kept: bool, came: object) -> None:
        if not kept:
            raise PluginError(
                f"{root}: data source {kind.__module__}.{kind.__name__} promises {promised}; came: {came!r}"
            )

    promise("an attribute classes, None for those that it finds", hasattr(source, "classes"), kind)
    found: Any = source.exams(root)
    promise("exams and findings", isinstance(found, Iterable), found)
    for each in found:
        promise("exams and findings", isinstance(each, Exam | Finding), each)
        if isinstance(each, Exam):
            for name in ("exam_id", "patient_id", "label"):
                text = getattr(each, name)
                promise(f"a text as {name}", isinstance(text, str), text)
            whose = f"of exam {visible(each.exam_id)}"
            promise(f"a part among {PARTS} or None {whose}", each.part in (*PARTS, None), each.part)
            for name, (promised, fits) in _VALUES.items():
                values = getattr(each, name)
                kept = isinstance(values, Mapping) and all(map(fits, values.values()))
                promise(f"{name} {promised} {whose}", kept, values)
        yield each


_FILE: tuple[str, Callable[[Any], bool]] = ("{view: pathlib.Path}", lambda value: isinstance(value, Path))
_VALUES = {
    "images": _FILE,
    "gaze": _FILE,
    "heat_maps": _FILE,
    "masks": (
        "{view: lesions}",
        lambda value: isinstance(value, Sequence) and all(isinstance(each, Lesion) for each in value),
    ),
    "laterality": ("{view: 'L' or 'R'}", lambda value: not value or value in ("L", "R")),
    "targets": ("{name: text}", lambda value: isinstance(value, str)),
    "covariates": (
        "{name: number}",
        lambda value: isinstance(value, Real) and not abs(float(value)) > LARGEST,
    ),
}
"""Field of an exam → what it holds, and a check of each value."""


def _check_names(exam: Exam, root: Path) -> None:
    """Raise DataError if a name cannot be read back from tables, or contains terminal control characters."""
    names = [("exam_id", exam.exam_id), ("patient_id", exam.patient_id), ("label", exam.label)]
    names += [("dataset", exam.dataset), *(("view", view) for view in exam.images)]
    names += [(f"target {target}", name) for target, name in exam.targets.items()]
    for what, name in names:
        if has_controls(name) or (what == "exam_id" and not name.strip()):
            raise DataError(
                f"{root}: exam '{visible(exam.exam_id)[:80]}': its {what} is '{visible(name)[:80]}'; expected "
                "printable characters, no line breaks; correct it in the table of exams"
            )


def classes_of(source: "DataSource", exams: Sequence[Exam], positive: str | None = None) -> tuple[str, ...]:
    """Return the source's classes, else the labels found, in numeric order if they are numbers.

    Args:
        source, exams: see :func:`list_exams`.
        positive: the class to put last of two; None keeps the order.

    Raises:
        DataError: a label is outside the classes, or there are fewer than two classes.
        ConfigurationError: there is no such positive class, or there are more than two classes.
    """
    found = in_order(exam.label for exam in exams)
    classes = found if source.classes is None else tuple(source.classes)
    if len(classes) < 2:
        every = f"all {len(exams)} exams are" if len(exams) > 1 else "the only exam is"
        raise DataError(f"one class only: {every} '{classes[0]}'; expected at least two; check their labels")
    for exam in exams:
        check_label(exam.label, classes, f"exam {exam.exam_id}")
    return classes if positive is None else with_positive(classes, positive)


def further_of(exams: Sequence[Exam]) -> dict[str, Any]:
    """Return the further targets with their classes, and the covariates, as far as any exam has some.

    Raises:
        DataError: a target has one class only.
    """
    found: dict[str, Any] = {}
    if targets := dict.fromkeys(name for exam in exams for name in exam.targets):
        found["targets"] = {
            name: list(in_order(exam.targets[name] for exam in exams if name in exam.targets))
            for name in targets
        }
        for name, classes in found["targets"].items():
            if len(classes) < 2:
                raise DataError(
                    f"target {name}: all exams that say it are '{classes[0]}'; expected at least two classes; check "
                    "the table, or leave the column out"
                )
    if covariates := dict.fromkeys(name for exam in exams for name in exam.covariates):
        found["covariates"] = list(covariates)
    return found


def views_of(exams: Sequence[Exam]) -> tuple[str, ...]:
    """List all views of a source, in the order of the exam with the most views, then by first appearance."""
    fullest = sorted(exams, key=lambda exam: -len(exam.images))
    return tuple(dict.fromkeys(view for exam in fullest for view in exam.images))


def choose_views(exams: Sequence[Exam], root: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the requested views, else all. Raises: DataError: one is in no exam or has a dot, or there is no view."""
    there = views_of(exams)
    if not wanted and not there:
        raise DataError(f"{root}: no exam names an image; expected one per view")
    for view in wanted:
        if there and view not in there:
            raise DataError(
                f"{root}: no exam has a view '{view}'{did_you_mean(view, there)}; there are {', '.join(there)}"
            )
    views = tuple(wanted or there)
    if dotted := next((view for view in views if "." in view), None):
        raise DataError(
            f"{root}: '{dotted}' cannot name a view, because parts of a model are named after it; choose a name "
            "without a dot"
        )
    return views


def fingerprint(exams: Sequence[Exam], raw: RawData) -> str:
    """Hash the table of exams, size and time of every file, and the content of external recordings."""
    digest, root = hashlib.sha256(), raw.root
    reader = lru_cache(raw.gaze_reader) if raw.gaze_reader and raw.recordings is None else None
    for exam in exams:
        files = {kind: _stamps(getattr(exam, kind).items(), root) for kind in ("images", "gaze")}
        files["masks"] = _stamps(exam.mask_files(), root)
        further = {"heat_maps": exam.heat_maps.items(), "beside": _beside(exam, raw, reader)}
        files |= {kind: _stamps(paths, root) for kind, paths in further.items() if paths}
        about: list[Any] = [
            exam.exam_id,
            exam.patient_id,
            exam.label,
            exam.part,
            exam.dataset,
            exam.gaze_reader,
        ]
        about += [dict(exam.laterality), repr(_outlines(exam))]
        about += [dict(exam.targets), dict(exam.covariates)] if exam.targets or exam.covariates else []
        digest.update(json.dumps([about, files]).encode())
    for recording in raw.recordings or ():
        named: tuple[str | None, ...] = (recording.exam_id, recording.view, recording.image)
        named += () if recording.reader is None else (recording.reader,)
        digest.update(str(named).encode())
        for values in (recording.x, recording.y, recording.t_ms, recording.duration_ms):
            digest.update(b"" if values is None else values.tobytes())
        digest.update(str((recording.pixels_per_degree, recording.stretch)).encode())
        digest.update(_placing(recording))
    return digest.hexdigest()


def _stamps(paths: Iterable[tuple[str, Path]], root: Path) -> list[Any]:
    """Return view, relative path, size and modification time; the last two are None if they cannot be looked up."""
    stamps = []
    for view, path in paths:
        size = None
        with suppress(OSError):
            about = path.stat()
            size = about.st_size, about.st_mtime_ns
        stamps.append((view, os.path.relpath(path, root), size))
    return stamps


def _placing(recording: Recording) -> bytes:
    """Encode the other facts that place a recording on its image; empty for one in pixels of the image."""
    shown = (recording.display_height, recording.display_width, recording.on_screen, recording.centre)
    suspect = b"" if recording.suspect is None else recording.suspect.tobytes()
    return suspect if shown == (None, None, False, None) else str(shown).encode() + suspect


def _beside(exam: Exam, raw: RawData, reader: "Callable[[str], GazeReader] | None") -> list[tuple[str, Path]]:
    """List the files that reading an exam's own gaze files takes besides them."""
    if reader is None or exam.gaze_reader is None or outside(exam, raw.root, raw.allow_outside):
        return []  # a file outside is not opened
    of_format, lost = reader(exam.gaze_reader), dict(gaze_outside(exam, raw.root, raw.allow_outside))
    inside = [(view, gaze) for view, gaze in exam.gaze.items() if lost.get(view) != gaze]
    return [(view, path) for view, gaze in inside for path in files_beside(of_format, gaze)]


def _outlines(exam: Exam) -> list[Any]:
    """Return mask data that are not in files."""
    return [
        (view, lesion.resize if isinstance(lesion, MaskFile) else lesion.points)
        for view, lesions in exam.masks.items()
        for lesion in lesions
    ]


def tasks_of(
    exams: Sequence[Exam],
    raw: RawData,
    settings: PreparationSettings,
    joined: Joined | None = None,
    ids: Collection[str] = (),
    patients: PatientIds | None = None,
) -> Iterator[Task | Refused]:
    """Make a task per exam with its recordings, or refuse it with a reason; gaze files shared by exams are read once.

    A gaze file that cannot be used does not cost the exam: it is noticed.

    Args:
        exams: exams of the data set.
        raw: the data set; files outside its folder are refused unless below an allowed one.
        settings: the preparation settings.
        joined: external recordings, instead of the exams' own.
        ids: the exam_ids of the whole data set, if the exams are a part of it.
        patients: told whose the images are by their headers.
    """
    ids = frozenset(ids or (exam.exam_id for exam in exams))
    spelled = Spelled(ids)

    @lru_cache(maxsize=8)
    def read(name: str, path: Path) -> OfExams:
        if raw.gaze_reader is None:
            raise ConfigurationError(
                f"{raw.root}: the exams have gaze ({name}); expected a way to look up readers"
            )
        if not is_regular_file(path):
            raise DataError(f"{path}: there is no gaze file that can be read; check the table of exams")
        found: OfExams = {}
        for each in recordings_of(raw.gaze_reader(name), path):
            exam_id = spelled.like(each.exam_id)
            if exam_id in ids:
                found.setdefault(exam_id, []).append(replace(each, exam_id=exam_id))
            else:
                found.setdefault(None, []).append(each)
        return found

    finder = find_finder(settings.region_name, raw.registry)
    names, rules = ViewNames(views_of(exams)), identity_rules(raw.registry or load_registry())
    for listed in exams:
        try:
            _check_files(listed, raw, settings)
        except DataError as error:
            yield Refused(listed.exam_id, str(error).replace(f"{raw.root}/", ""))
            continue
        views = [view for view in settings.views if view in listed.images]
        recordings: dict[str, tuple[Recording, ...]] = {}
        exam, refused = _without_gaze_outside(listed if joined is None else replace(listed, gaze={}), raw)
        for view in views:
            try:
                if joined is not None:
                    recordings[view] = tuple(joined.matched.get((exam.exam_id, view), ()))
                elif view in exam.gaze:
                    recordings[view] = _belonging(read, exam, view)
            except DataError as error:
                reason = str(error).replace(f"{raw.root}/", "")
                refused.setdefault(view, []).append((REFUSED_GAZE, reason))
        sided, noticed = look_at_headers(exam, views, names, rules, raw.root, patients)
        noticed = {view: [*refused.get(view, ()), *noticed.get(view, ())] for view in views}
        yield Task(sided, recordings, settings, raw.root, finder, noticed)


def join_recordings(recordings: Sequence[Recording] | None, exams: Sequence[Exam]) -> Joined | None:
    """Assign external recordings to exams, with file names only. Raises: DataError if nothing matches."""
    if recordings is None:
        return None
    return join([replace(each, source=Path(each.source.name)) for each in recordings], exams)


def _check_files(exam: Exam, raw: RawData, settings: PreparationSettings) -> None:
    views = settings.views
    missing = [view for view in views if view not in exam.images]
    if missing and (settings.missing_views == REFUSE or len(missing) == len(views)):
        there = ", ".join(exam.images) or "none"
        advice = "" if len(missing) == len(views) else "; --missing-views keep keeps such exams"
        raise DataError(
            f"missing view {', '.join(missing)}: expected an image for {', '.join(views)}; there is {there}{advice}"
        )
    for path in outside(exam, raw.root, raw.allow_outside):
        raise _leads_out(path)


def _leads_out(path: Path) -> DataError:
    return DataError(
        f"the path of {path.name} leads out of the data set; expected one below its folder, or below a folder "
        "allowed with --allow-outside"
    )


def _without_gaze_outside(exam: Exam, raw: RawData) -> tuple[Exam, dict[str, list[tuple[str, str]]]]:
    """Take from an exam its gaze files and heat maps that are outside; a finding for the view of each."""
    refused: dict[str, list[tuple[str, str]]] = {}
    lost = gaze_outside(exam, raw.root, raw.allow_outside)
    for view, path in lost:
        refused.setdefault(view, []).append((REFUSED_GAZE, str(_leads_out(path))))
    kept = (
        {view: path for view, path in files.items() if (view, path) not in lost}
        for files in (exam.gaze, exam.heat_maps)
    )
    gaze, heat_maps = kept
    return replace(exam, gaze=gaze, heat_maps=heat_maps), refused


def _belonging(read: Callable[[str, Path], OfExams], exam: Exam, view: str) -> tuple[Recording, ...]:
    """Select the recordings in a view's gaze file that belong to the view."""
    path = exam.gaze[view]
    if exam.gaze_reader is None:
        raise DataError(f"{path}: no gaze reader is named for this exam; expected the name of its format")
    there = read(exam.gaze_reader, path)
    if not there:  # none is from a requested reader
        return ()
    every = [*there.get(exam.exam_id, ()), *there.get(None, ())]
    found = tuple(each for each in every if _is_about(each, exam, view))
    if any(fitting(each, exam) for each in every):  # what else was shown is no gaze on this image
        found = tuple(each for each in found if each.view or not each.image or fitting(each, exam))
    named = [
        each
        for each in found
        if each.exam_id != exam.exam_id
        and view in fitting(each, exam)
        and not tells_exam(str(each.image), exam)
    ]
    strange = {*map(id, named)} - {*map(id, in_folder_of(named, str(exam.images[view].absolute())))}
    if strange:
        note = f"{len(strange)} more in its file: {DOUBTFUL}"
        found = tuple(replace(each, notes=(*each.notes, note)) for each in found if id(each) not in strange)
    if not found:
        first = next(iter(there.values()))[0]
        raise DataError(f"{path}: no recording of exam {exam.exam_id}, view {view}; it has {first}")
    return found


def _is_about(recording: Recording, exam: Exam, view: str) -> bool:
    """Whether a recording in the gaze file of a view is of that view. It names no other exam of the data set.

    One that names nothing is; one that names another view is not. An exam_id that is none of the data set (a trial, a
    reading) and an exam_id without a view leave it to the image, if that is one of the exam's.
    """
    of_exam = recording.exam_id in (None, exam.exam_id)
    fits = fitting(recording, exam)
    if recording.view is not None:
        return Spelled(exam.images).like(recording.view) == view and (of_exam or view in fits)
    if fits or not of_exam:
        return view in fits
    return recording.exam_id is not None or recording.image is None
