"""Define the record of a prepared exam, written as JSON in the journal and as rows in the tables."""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pydantic
from pydantic import Field

from gazekit.prepared.settings import KEEP
from gazekit.records.exam import Finding
from gazekit.records.geometry import Geometry
from gazekit.records.refused import Refused

EXAM_COLUMNS = ("exam_id", "patient_id", "label", "split", "dataset")
VIEW_COLUMNS = ("view", "image", "has_gaze", "has_mask", "laterality", "raw_height", "raw_width")
GEOMETRY_COLUMNS = (
    "left",
    "top",
    "right",
    "bottom",
    "flip",
    "scale",
    "offset_x",
    "offset_y",
    "width",
    "height",
)
SPACING_COLUMNS = ("spacing_y_mm", "spacing_x_mm")
"""Distance of the original's pixel centres; empty where its file says none, absent in sets of earlier versions."""
INDEX_COLUMNS = (*EXAM_COLUMNS, *VIEW_COLUMNS, *GEOMETRY_COLUMNS)
FIXATION_COLUMNS = ("exam_id", "view", "reader", "x", "y", "onset_ms", "duration_ms")
HAS_IMAGE = "has_image"
"""Column that is 0 where an exam lacks a view; there where a preparation keeps such exams."""
TARGET, COVARIATE = "target_", "covariate_"
"""Beginnings of the columns for further targets and for covariates; an empty cell is not known."""
SIGMA_COLUMNS = ("sigma_x", "sigma_y")
"""Width of a fixation's Gaussian; absent in sets of earlier versions."""
RECORDING = "recording"
"""Column for the number of a fixation's recording, from 1, among those of its reader on its image; absent in sets of
earlier versions."""

Id = Annotated[str, Field(min_length=1, max_length=1000)]
ShortText = Annotated[str, Field(max_length=10_000)]
Pixels = Annotated[int, Field(ge=-(10**7), le=10**7)]
Flag = Annotated[int, Field(ge=0, le=1)]
Spacing = Annotated[
    Annotated[float, Field(gt=0, allow_inf_nan=False)] | None,
    pydantic.BeforeValidator(lambda cell: None if cell == "" else cell),
]


class ReaderFixation(NamedTuple):
    """A fixation of a reader on one view, in prepared pixels; the onset is None where nobody recorded it.

    It counts from the first row of its recording. ``sigma_x`` and ``sigma_y`` are the standard deviations of the
    Gaussian. ``recording`` is the number of the recording, from 1, among those of the reader on the view; 0 where an
    earlier version did not write it down.
    """

    reader: str
    x: float
    y: float
    onset_ms: float | None
    duration_ms: float
    sigma_x: float
    sigma_y: float
    recording: int = 0


def fixation_digest(fixations: Iterable[tuple[str, ReaderFixation]]) -> str:
    """A hash of the fixations of an exam, given as views and fixations in the order of the table.

    Where a reader's next recording begins, its number counts only if no fall of the onset tells so: that is how sets
    of earlier versions tell it, and their fingerprints stay.
    """
    digest = hashlib.sha256()
    last: dict[tuple[str, str], tuple[float, int]] = {}
    for view, fixation in fixations:
        reader, *numbers, recording = fixation
        digest.update(f"{view}\n{reader}\n".encode())
        digest.update(np.array([np.nan if each is None else each for each in numbers]).tobytes())
        onset = nan if fixation.onset_ms is None else fixation.onset_ms
        before, of = last.get((view, reader), (onset, recording))
        if recording != of and not onset < before:
            digest.update(f"{recording}\n".encode())
        last[view, reader] = onset, recording
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class ViewRecord:
    """One prepared view.

    Args:
        view: its name.
        image: the file relative to the source; empty where names are not kept.
        has_gaze, has_mask: whether anybody looked at it, and whether a lesion is marked on it.
        laterality: ``"L"`` or ``"R"``; empty where it is not known.
        modality: of a DICOM file (``"MG"``), else empty.
        raw_size: (height, width) of the original in pixels.
        geometry: raw to prepared pixels.
        spacing_mm: distance of the original's pixel centres down and across; None where its file says none.
        digest: of the original's pixels, by which identical images are found.
        findings: what the preparation noticed of it, about the view.
        fixations: in the order in which they happened, reader by reader.
        has_image: whether the exam has this view; without it the rest says nothing.
    """

    view: str
    image: str
    has_gaze: bool
    has_mask: bool
    laterality: str
    modality: str
    raw_size: tuple[int, int]
    geometry: Geometry
    spacing_mm: tuple[float, float] | None
    digest: str
    findings: tuple[Finding, ...] = ()
    fixations: tuple[ReaderFixation, ...] = ()
    has_image: bool = True

    @classmethod
    def missing(cls, view: str, size: tuple[int, int]) -> "ViewRecord":
        """The record of a view that an exam lacks; its pixels are zero."""
        height, width = size
        return cls(
            *(view, "", False, False, "", ""),
            raw_size=size,
            geometry=Geometry.fit((0, 0, width, height), size, flip=False, keep_left=False),
            spacing_mm=None,
            digest="",
            has_image=False,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the journal's and index's values for the view itself."""
        return {
            "view": self.view,
            "image": self.image,
            "has_gaze": int(self.has_gaze),
            "has_mask": int(self.has_mask),
            "laterality": self.laterality,
            "modality": self.modality,
            "raw_height": self.raw_size[0],
            "raw_width": self.raw_size[1],
            **self.geometry.to_numbers(),
            **dict(zip(SPACING_COLUMNS, self.spacing_mm or (None, None), strict=True)),
            **({} if self.has_image else {HAS_IMAGE: 0}),
        }


@dataclass(frozen=True, slots=True)
class ExamRecord:
    """One prepared exam.

    Args:
        exam_id, patient_id, label, part, dataset: as in :class:`gazekit.records.exam.Exam`.
        views: in the order of the arrays.
        digest: of its rows of the arrays.
        targets, covariates: what is known of them, as in :class:`gazekit.records.exam.Exam`.
    """

    exam_id: str
    patient_id: str
    label: str
    part: str | None
    dataset: str
    views: tuple[ViewRecord, ...]
    digest: str
    targets: Mapping[str, str] = field(default_factory=dict)
    covariates: Mapping[str, float] = field(default_factory=dict)

    def _facts(self) -> tuple[str | None, ...]:
        """The values of ``EXAM_COLUMNS``."""
        return self.exam_id, self.patient_id, self.label, self.part, self.dataset

    def without_image_names(self) -> "ExamRecord":
        """Return the record without file names."""
        return replace(self, views=tuple(replace(view, image="") for view in self.views))

    def to_json(self) -> dict[str, Any]:
        """Return the journal line."""
        return {
            **dict(zip(EXAM_COLUMNS, self._facts(), strict=True)),
            "views": [view.to_json() for view in self.views],
            "fixations": [[view.view, *each] for view in self.views for each in view.fixations],
            "image_digests": [view.digest for view in self.views],
            "findings": [[each.kind, view.view, each.what] for view in self.views for each in view.findings],
            "digest": self.digest,
            **({"targets": dict(self.targets)} if self.targets else {}),
            **({"covariates": dict(self.covariates)} if self.covariates else {}),
        }

    def fixation_digest(self) -> str:
        """A hash of all fixations."""
        return fixation_digest((view.view, each) for view in self.views for each in view.fixations)

    def index_rows(self, further: Sequence[str] = ()) -> Iterator[list[Any]]:
        """A row of ``index.csv`` per view: ``INDEX_COLUMNS``, ``SPACING_COLUMNS`` and ``further``.

        Args:
            further: ``further_columns`` of the set.
        """
        columns = (*VIEW_COLUMNS, *GEOMETRY_COLUMNS, *SPACING_COLUMNS)
        known: dict[str, Any] = {TARGET + name: label for name, label in self.targets.items()}
        known |= {COVARIATE + name: repr(number) for name, number in self.covariates.items()}
        for view in self.views:
            values = view.to_json()
            known[HAS_IMAGE] = int(view.has_image)
            yield [
                *self._facts(),
                *(values[name] for name in columns),
                *(known.get(name, "") for name in further),
            ]

    def fixation_rows(self) -> Iterator[list[Any]]:
        """A row of ``fixations.csv`` per fixation: ``FIXATION_COLUMNS``, ``SIGMA_COLUMNS`` and ``RECORDING``."""
        for view in self.views:
            yield from ([self.exam_id, view.view, *each] for each in view.fixations)


def further_columns(header: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns that ``index.csv`` has for missing views, further targets and covariates, after all others.

    Args:
        header: of the journal, or the ``preparation`` of the manifest.
    """
    presence = (HAS_IMAGE,) if header.get("missing_views") == KEEP else ()
    targets, covariates = header.get("targets", {}), header.get("covariates", [])
    return (*presence, *(TARGET + name for name in targets), *(COVARIATE + name for name in covariates))


Entry = ExamRecord | Refused
"""Entry of a journal about an exam."""


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Return the journal line of an exam, prepared or refused."""
    if isinstance(entry, Refused):
        return {"exam_id": entry.key, "refused": entry.reason}
    return entry.to_json()


class _Placed(pydantic.BaseModel):
    """A view in the flat form of journal and index."""

    model_config = pydantic.ConfigDict(frozen=True)

    view: Id
    image: ShortText
    laterality: ShortText
    raw_height: Pixels
    raw_width: Pixels
    left: Pixels
    top: Pixels
    right: Pixels
    bottom: Pixels
    flip: Flag
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    offset_x: Pixels
    offset_y: Pixels
    width: Pixels
    height: Pixels
    spacing_y_mm: Spacing = None
    spacing_x_mm: Spacing = None

    has_image: Flag = 1

    @property
    def geometry(self) -> Geometry:
        """Raw to prepared pixels."""
        return Geometry.from_numbers({name: getattr(self, name) for name in GEOMETRY_COLUMNS})

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """Distance of the original's pixel centres down and across; None where its file says none."""
        down, across = self.spacing_y_mm, self.spacing_x_mm
        return None if down is None or across is None else (down, across)


class _JournalView(_Placed):
    has_gaze: Flag
    has_mask: Flag
    modality: ShortText = ""


class _JournalFixation(NamedTuple):
    view: str
    reader: str
    x: float
    y: float
    onset_ms: float | None
    duration_ms: float
    sigma_x: float
    sigma_y: float
    recording: int = 0


class _JournalExam(pydantic.BaseModel):
    exam_id: str
    patient_id: str
    label: str
    part: Annotated[str | None, Field(validation_alias="split")]
    dataset: str
    views: list[_JournalView]
    fixations: list[_JournalFixation]
    image_digests: list[str]
    findings: list[tuple[str, str, str]] = []
    digest: str
    targets: dict[str, str] = {}
    covariates: dict[str, float] = {}

    @pydantic.model_validator(mode="after")
    def _digest_per_view(self) -> "_JournalExam":
        if len(self.image_digests) != len(self.views):
            raise ValueError("expected a digest per view")
        return self

    def entry(self) -> ExamRecord:
        views = (
            self._view(view, digest) for view, digest in zip(self.views, self.image_digests, strict=True)
        )
        return ExamRecord(
            *(self.exam_id, self.patient_id, self.label, self.part, self.dataset),
            views=tuple(views),
            digest=self.digest,
            targets=self.targets,
            covariates=self.covariates,
        )

    def _view(self, view: _JournalView, digest: str) -> ViewRecord:
        return ViewRecord(
            view=view.view,
            image=view.image,
            has_gaze=bool(view.has_gaze),
            has_mask=bool(view.has_mask),
            laterality=view.laterality,
            modality=view.modality,
            raw_size=(view.raw_height, view.raw_width),
            geometry=view.geometry,
            spacing_mm=view.spacing_mm,
            digest=digest,
            findings=tuple(Finding(kind, of, what) for kind, of, what in self.findings if of == view.view),
            fixations=tuple(ReaderFixation(*row[1:]) for row in self.fixations if row[0] == view.view),
            has_image=bool(view.has_image),
        )


class _JournalRefused(pydantic.BaseModel):
    exam_id: str
    refused: str = Field(validation_alias=pydantic.AliasChoices("refused", "reject"))  # its name until 0.1

    def entry(self) -> Refused:
        return Refused(self.exam_id, self.refused)


JOURNAL_ENTRY: pydantic.TypeAdapter[_JournalExam | _JournalRefused] = pydantic.TypeAdapter(
    _JournalExam | _JournalRefused
)
"""A line of the journal; its ``entry()`` is the inverse of :func:`entry_to_json`."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A row of ``index.csv``: an exam, one of its views, and the geometry of its image."""

    exam_id: str
    patient_id: str
    label: str
    part: str
    dataset: str
    view: str
    image: str
    laterality: str
    has_gaze: str
    has_mask: str
    has_image: int
    raw_height: int
    raw_width: int
    geometry: Geometry
    spacing_mm: tuple[float, float] | None
    targets: Mapping[str, str]
    covariates: Mapping[str, float]


class IndexCells(_Placed):
    """The cells of a row of ``index.csv``."""

    exam_id: Id
    patient_id: ShortText
    label: ShortText
    part: Annotated[Literal["", "train", "val", "test"], Field(validation_alias="split")]
    dataset: ShortText
    has_gaze: Literal["0", "1"]
    has_mask: Literal["0", "1"]
    targets: dict[str, str] = {}
    covariates: dict[str, float] = {}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _gather(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Gather the columns of targets and covariates."""
        found: dict[str, Any] = dict(row)
        for field_name, beginning in (("targets", TARGET), ("covariates", COVARIATE)):
            cells = {name.removeprefix(beginning): row[name] for name in row if name.startswith(beginning)}
            found[field_name] = {name: cell for name, cell in cells.items() if cell != ""}
        return found

    def row(self) -> IndexRow:
        """Keep what the cells say."""
        same = sys.intern  # in row after row
        return IndexRow(
            exam_id=same(self.exam_id),
            patient_id=same(self.patient_id),
            label=same(self.label),
            part=same(self.part),
            dataset=same(self.dataset),
            view=same(self.view),
            image=self.image,
            laterality=same(self.laterality),
            has_gaze=same(self.has_gaze),
            has_mask=same(self.has_mask),
            has_image=self.has_image,
            raw_height=self.raw_height,
            raw_width=self.raw_width,
            geometry=self.geometry,
            spacing_mm=self.spacing_mm,
            targets=self.targets or _NONE,
            covariates=self.covariates or _NONE,
        )


_NONE: Mapping[str, Any] = {}


class FixationRow(NamedTuple):
    """A row of ``fixations.csv``: a fixation of a reader on one image, in prepared pixels."""

    exam_id: str
    view: str
    reader: str
    x: float
    y: float
    onset_ms: float
    duration_ms: float
    sigma_x: float = nan
    sigma_y: float = nan
    recording: float = 0
