"""Look at the headers of an exam's images before their pixels: sides, special images, contradictions with its table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gazekit.preparing.raw.patient_ids import PatientIds
from gazekit.reading.identifying.image_look import contradictions, look_at
from gazekit.reading.identifying.view_names import ViewNames
from gazekit.records.exam import NOTE, ODD, Exam
from gazekit.records.identity import IdentityRule

Remarks = dict[str, list[tuple[str, str]]]
"""View → kinds and sentences of findings."""


def look_at_headers(
    exam: Exam,
    seen: Sequence[str],
    views: ViewNames,
    rules: Mapping[str, IdentityRule],
    root: Path,
    patients: PatientIds | None = None,
) -> tuple[Exam, Remarks]:
    """Return an exam with the sides that only texts of headers or names of DICOM files say, and what was noticed.

    The sides are those by which ``gazekit predict`` would mirror the same files.

    Args:
        exam: with paths of images, which may be missing or damaged.
        seen: the views to prepare.
        views: those of the data set.
        rules: how data sources identify their own files.
        root: the folder of the data set; names of folders below it count.
        patients: told whose the images are by their headers.
    """
    looks = {
        view: look_at(path, root if path.is_relative_to(root) else path.parent.parent, views, rules)
        for view, path in exam.images.items()
    }
    sides = {
        view: look.side
        for view, look in looks.items()
        if look.header is not None and not look.header.side and look.side and not exam.laterality.get(view)
    }
    if patients is not None:
        told = (look.identity.patient for look in looks.values() if look.header is not None)
        patients.look(exam, told)
    noticed: Remarks = {view: [] for view in seen}
    for view, what in contradictions(looks, exam.laterality, views):
        noticed.setdefault(view, []).append((ODD, what))
    for view in seen:
        identity = looks[view].identity
        if kind := identity.special or identity.unfit:
            noticed[view].append((NOTE, f"is no usual image of its view: {kind}"))
    return replace(exam, laterality={**exam.laterality, **sides}), noticed
