"""Read and write the manifest ``dataset.json``, written last, so its presence marks a complete preparation."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import Field

from gazekit.disk.own_files import MIB, FileKind, read_json, validated
from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.exam_record import Entry, ExamRecord, further_columns
from gazekit.prepared.settings import KEEP, PreparationSettings
from gazekit.prepared.stored_array import AGAIN

MANIFEST = "dataset.json"
FORMAT: Final = "gazekit prepared data set"
SCHEMA = 6
_EARLIER = (3, 4, 5)
"""Versions that kept heat maps and no sigma of fixations. Up to 4 refused exams are ``rejected`` and their table is
``rejects.csv``; 3 says nothing of the files beside it."""
NAMED = "image_names"
"""Key of the settings, there where the files' names were kept."""
KIND = FileKind("the manifest of a prepared data set", 8 * MIB, AGAIN)

Name = Annotated[str, Field(min_length=1, max_length=1000)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Total = Annotated[int, Field(ge=0, lt=2**40)]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, strict=True)


class Counts(_Part):
    """Counts of exams; ``with_…`` per view, ``with_side`` and ``with_image`` None if not counted."""

    exams: Annotated[int, Field(ge=1, lt=2**31)]
    refused: Annotated[Total, Field(validation_alias=pydantic.AliasChoices("refused", "rejected"))]
    classes: dict[Name, Total]
    with_gaze: dict[Name, Total]
    with_mask: dict[Name, Total]
    with_side: dict[Name, Total] | None = None
    with_image: dict[Name, Total] | None = None
    unmatched_recordings: Total


class FileFacts(_Part):
    """Size and checksum of a file."""

    bytes: Total
    sha256: Digest


class Manifest(_Part):
    """Content of ``dataset.json``.

    Args:
        format, version: of the file; the latter is ``schema`` in it.
        fingerprint: of settings, labels and arrays; see ``fingerprint_of``.
        preparation: the settings, with ``classes`` and ``source``.
        counts: of exams.
        modalities: of the DICOM files among the images.
        sides: of the images, as far as they were known; None where nobody wrote that down.
        duplicates: exams that hold an identical image, a list per image.
        files: name → size and checksum; empty in a set of an earlier version.
    """

    format: Literal["gazekit prepared data set"] = FORMAT
    version: Annotated[int, Field(alias="schema")] = SCHEMA
    fingerprint: Digest
    preparation: dict[str, Any]
    counts: Counts
    modalities: list[str] = []
    sides: list[str] | None = None
    duplicates: list[list[Name]]
    files: dict[Name, FileFacts] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return tuple(self.preparation["classes"])

    @property
    def targets(self) -> dict[str, tuple[str, ...]]:
        """Further targets, each with the names of its classes."""
        return {name: tuple(classes) for name, classes in self.preparation.get("targets", {}).items()}

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates."""
        return tuple(self.preparation.get("covariates", ()))

    @property
    def settings(self) -> PreparationSettings:
        """How the set was prepared. Raises ConfigurationError, KeyError, TypeError or ValueError: it is no such."""
        return PreparationSettings.from_json(self.preparation)


def make_manifest(
    header: Mapping[str, Any],
    entries: Sequence[Entry],
    unmatched: int,
    files: Mapping[str, FileFacts],
) -> str:
    """Return the manifest as JSON text.

    Args:
        header: of the journal: settings, classes, source.
        entries: of the journal.
        unmatched: external recordings that belong to no exam.
        files: beside the manifest.
    """
    prepared = [entry for entry in entries if isinstance(entry, ExamRecord)]
    manifest = Manifest(
        fingerprint=fingerprint_of(header, (content_of(entry, header) for entry in prepared)),
        preparation=dict(header),
        counts=Counts(**count(header, entries), unmatched_recordings=unmatched),
        modalities=sorted({view.modality for entry in prepared for view in entry.views} - {""}),
        sides=sorted({view.laterality for entry in prepared for view in entry.views} - {""}),
        duplicates=duplicates_of(prepared),
        files=dict(files),
    )
    return to_json(manifest)


def count(header: Mapping[str, Any], entries: Sequence[Entry]) -> dict[str, Any]:
    """Count exams: the fields of `Counts` but the unmatched recordings; there may be no exam."""
    prepared = [entry for entry in entries if isinstance(entry, ExamRecord)]
    labels, keeps = Counter(entry.label for entry in prepared), header.get("missing_views") == KEEP
    return {
        "exams": len(prepared),
        "refused": len(entries) - len(prepared),
        "classes": {name: labels[name] for name in header["classes"]},
        "with_gaze": _per_view(header["views"], prepared, "has_gaze"),
        "with_mask": _per_view(header["views"], prepared, "has_mask"),
        "with_side": _per_view(header["views"], prepared, "laterality"),
        "with_image": _per_view(header["views"], prepared, "has_image") if keeps else None,
    }


def to_json(manifest: Manifest) -> str:
    """The text of ``dataset.json``."""
    return json.dumps(manifest.model_dump(by_alias=True), indent=2) + "\n"


def content_of(exam: ExamRecord, header: Mapping[str, Any]) -> list[Any]:
    """List what the fingerprint covers of an exam: labels, the digests of its arrays and of its fixations."""
    labels = (exam.exam_id, exam.patient_id, exam.label, exam.part, exam.dataset)
    present = [view.has_image for view in exam.views]
    further = further_content(header, exam.targets, exam.covariates, present)
    return [*labels, exam.digest, exam.fixation_digest(), *further]


def further_content(
    header: Mapping[str, Any],
    targets: Mapping[str, str],
    covariates: Mapping[str, float],
    present: Sequence[bool],
) -> list[Any]:
    """List what the fingerprint covers beside that, of a set that has further targets, covariates or missing views.

    Args:
        header: of the journal, or the ``preparation`` of the manifest.
        targets, covariates: of an exam, those that are known.
        present: which views it has.
    """
    if not further_columns(header):
        return []
    return [
        [targets.get(name) for name in header.get("targets", {})],
        [covariates.get(name) for name in header.get("covariates", [])],
        list(map(bool, present)),
    ]


def fingerprint_of(header: Mapping[str, Any], content: Iterable[Sequence[Any]]) -> str:
    """Hash the settings and every exam's labels and arrays.

    It is the same wherever the same data were prepared in the same way.

    Args:
        header: settings and classes; where the data came from does not count.
        content: ``content_of`` each exam, in order.
    """
    settings = {key: value for key, value in header.items() if key not in ("source", NAMED)}
    return hashlib.sha256(json.dumps([settings, list(content)]).encode()).hexdigest()


def read_manifest(root: Path) -> Manifest:
    """Read and check a manifest. Raises: DataError when it is absent, damaged or of another version."""
    path = root / MANIFEST
    values = read_json(path, KIND)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise DataError(f"{path}: not the manifest of a prepared data set; choose the folder of one")
    if values.get("schema") not in (SCHEMA, *_EARLIER):
        raise DataError(
            f"{path}: schema version {str(values.get('schema'))[:20]}; this gazekit reads version {SCHEMA}; "
            "prepare the data set again"
        )
    manifest: Manifest = validated(values, path, KIND, Manifest)
    _check(manifest, path)
    return manifest


def _check(manifest: Manifest, path: Path) -> None:
    """Raise DataError unless settings and classes are valid and the files are listed."""
    try:
        views = manifest.settings.views
    except ConfigurationError as error:
        raise DataError(f"{path}: {error}; {AGAIN}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: preparation: no settings of one ({type(error).__name__}); {AGAIN}"
        ) from None
    classes = manifest.preparation.get("classes")
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not (isinstance(classes, list) and named and len(set(classes)) == len(classes) > 1):
        raise DataError(f"{path}: preparation.classes: expected two names or more, each once; {AGAIN}")
    if not views or not all(isinstance(view, str) for view in views):
        raise DataError(f"{path}: preparation.views: expected names; {AGAIN}")
    if manifest.version != _EARLIER[0] and not manifest.files:
        raise DataError(f"{path}: files: expected size and checksum of each file; {AGAIN}")


def _per_view(views: Sequence[str], prepared: Sequence[ExamRecord], flag: str) -> dict[str, int]:
    return {
        view: sum(bool(getattr(entry.views[i], flag)) for entry in prepared) for i, view in enumerate(views)
    }


def duplicates_of(prepared: Sequence[ExamRecord]) -> list[list[str]]:
    """Group exams that share an identical image, per image."""
    owners: dict[str, dict[str, None]] = {}
    for entry in prepared:
        for view in (each for each in entry.views if each.has_image):
            owners.setdefault(view.digest, {})[entry.exam_id] = None
    groups = dict.fromkeys(tuple(exams) for exams in owners.values() if len(exams) > 1)
    return [list(group) for group in groups]
