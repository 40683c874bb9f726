"""Combine table rows and files on disk into mammograms with their lesions."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from gazekit.errors import DataError
from gazekit.reading.image_size import image_size
from gazekit.records.exam import Finding
from gazekit.records.lesions import MaskFile
from gazekit_datasets.mammography.breasts import Mammogram
from gazekit_datasets.mammography.cbis_ddsm.files import Files
from gazekit_datasets.mammography.cbis_ddsm.masks import find_mask
from gazekit_datasets.mammography.cbis_ddsm.tables import Abnormality

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Reading:
    """Options for reading the tables."""

    task: Literal["malignant", "mass"]
    split: Literal["official", "patient", "none"]
    resize_masks: bool


def mammograms(
    root: Path, files: Files, abnormalities: Iterable[Abnormality], reading: Reading
) -> Iterator[Mammogram | Finding]:
    """Yield the views of all breasts in the order of the tables, and remarks about them."""
    for patient, of_patient in _by(abnormalities, lambda row: row.patient_id).items():
        if len(_parts(of_patient)) > 1 and reading.split != "none":
            mended = ": all its exams go to test" if reading.split == "patient" else ""
            yield Finding("disagrees", patient, f"patient on both sides of the official split{mended}")
        for side, breast in _by(of_patient, lambda row: row.side).items():
            yield from _disagreements(f"{patient}_{side}", breast, reading)
            is_positive = [
                row.kind == "mass" if reading.task == "mass" else row.is_malignant for row in breast
            ]
            part = _part(of_patient if reading.split == "patient" else breast, reading)
            kinds = "+".join(sorted({row.kind for row in breast}))
            for view in _by(breast, lambda row: row.view).values():
                mammogram, findings = _mammogram(root, files, view, resize_masks=reading.resize_masks)
                yield from findings
                yield replace(mammogram, grade=int(any(is_positive)), part=part, dataset=kinds)


def _disagreements(name: str, breast: Sequence[Abnormality], reading: Reading) -> Iterator[Finding]:
    if len(_parts(breast)) > 1 and reading.split == "official":
        yield Finding("disagrees", name, "breast on both sides of the official split: it goes to test")
    if len({row.is_malignant for row in breast}) > 1:
        yield Finding("disagrees", name, "breast with benign and malignant findings: it is malignant")


def _part(rows: Iterable[Abnormality], reading: Reading) -> str | None:
    """Choose one part for all; test exams must never be trained on."""
    if reading.split == "none":
        return None
    return "test" if "test" in _parts(rows) else "train"


def _parts(rows: Iterable[Abnormality]) -> set[str]:
    return {row.part for row in rows}


def _mammogram(
    root: Path, files: Files, rows: Sequence[Abnormality], *, resize_masks: bool
) -> tuple[Mammogram, list[Finding]]:
    """Make one view; the tables of masses and of calcifications have separate files of it."""
    findings = []
    name = rows[0].image.subject
    if len(rows) > 1:
        findings.append(Finding("note", name, "image with several findings: one mask holds all"))
    if len({row.is_malignant for row in rows}) > 1:
        findings.append(Finding("disagrees", name, "image with benign and malignant findings"))
    images = list(dict.fromkeys(row.image for row in rows))
    if len(images) > 1:
        findings.append(
            Finding("note", name, "image in the tables of masses and of calcifications: taken once")
        )
    there = [path for image in images for path in files.of(image)]
    if any(len(files.of(image)) > 1 for image in images):
        findings.append(Finding("note", name, "image with several files: the first is taken"))
    lesions: tuple[MaskFile, ...] = ()
    if there:
        lesions, about_lesions = _lesions(files, rows, there[0], resize=resize_masks)
        findings += about_lesions
    path = there[0] if there else root / images[0].file
    return (
        Mammogram(rows[0].patient_id, rows[0].side, rows[0].view, path, None, lesions=lesions, name=name),
        findings,
    )


def _lesions(
    files: Files, rows: Sequence[Abnormality], image: Path, *, resize: bool
) -> tuple[tuple[MaskFile, ...], list[Finding]]:
    """Collect the masks of all lesions of a view, or none if one is missing."""
    try:
        size = image_size(image)
    except DataError:
        return (), [
            Finding("dropped", rows[0].image.subject, "head of the image unreadable: no masks for it")
        ]
    found = [
        find_mask(
            row.lesion[0].subject,
            list(dict.fromkeys(path for series in row.lesion for path in files.of(series))),
            size,
            resize=resize,
        )
        for row in rows
    ]
    masks = [mask for mask, _ in found if mask is not None]
    return tuple(masks) if len(masks) == len(rows) else (), [finding for _, finding in found if finding]


def _by(rows: Iterable[Abnormality], key: Callable[[Abnormality], K]) -> Mapping[K, list[Abnormality]]:
    groups: dict[K, list[Abnormality]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups
