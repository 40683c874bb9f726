"""Find leaks of a split: a patient, or an identical image, in two parts."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gazekit.disk.wording import first_few
from gazekit.prepared.dataset import PreparedDataset

_NAMED = 5
"""Number of patients and exams that a message names; it counts the rest."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Patients and images that are in more than one part of a split.

    Args:
        patients: every patient with exams in more than one part.
        duplicates: exams in more than one part that share an identical image, a tuple per image.
    """

    patients: tuple[str, ...]
    duplicates: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        """Name the patients and exams in one line."""
        said = []
        if self.patients:
            who = "patient is" if len(self.patients) == 1 else "patients are"
            said.append(
                f"{len(self.patients)} {who} on two sides of the split ({first_few(self.patients, _NAMED)})"
            )
        if self.duplicates:
            exams = first_few((" = ".join(group) for group in self.duplicates), _NAMED)
            number = len(self.duplicates)
            said.append(
                f"{number} identical image{'s are' if number > 1 else ' is'} in exams on two sides ({exams})"
            )
        return "; ".join(said)


def find_leak(exams: Iterable[tuple[str, str, str]], duplicates: Iterable[Sequence[str]] = ()) -> Leak | None:
    """Find the leak of a split, or None.

    Args:
        exams: (exam id, patient id, part); ``""`` means no part.
        duplicates: exams that share an identical image, one sequence of exam ids per image.
    """
    parts: dict[str, set[str]] = {}
    part_of: dict[str, str] = {}
    for exam, patient, part in exams:
        if part:
            parts.setdefault(patient, set()).add(part)
            part_of[exam] = part
    patients = tuple(sorted(patient for patient, found in parts.items() if len(found) > 1))
    images = tuple(tuple(group) for group in duplicates if _is_parted(group, part_of))
    return Leak(patients, images) if patients or images else None


def _is_parted(exams: Iterable[str], part_of: Mapping[str, str]) -> bool:
    return len({part_of[exam] for exam in exams if exam in part_of}) > 1


def image_hashes(dataset: PreparedDataset, exam: int) -> tuple[str, ...]:
    """Identify the images of an exam, whatever size and grey scale they were prepared with.

    A hash is of the names of patient, exam and view, the size of the original and the box that was cut out of it. Two
    data sets that name their exams alike thus differ as soon as a region is cut out.
    """
    names = dataset.patient_ids[exam], dataset.exam_ids[exam]
    found = []
    for number, view in enumerate(dataset.views):
        if dataset.has_image[exam, number]:
            placed = dataset.geometry[exam][view].to_numbers()
            box = [placed[side] for side in ("left", "top", "right", "bottom")]
            words = [*names, view, *map(str, (*dataset.raw_size[exam][view], *box))]
            found.append(hashlib.sha256("\n".join(words).encode()).hexdigest()[:16])
    return tuple(found)
