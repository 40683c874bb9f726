"""Group loose image files into exams to predict: by data source and header, else by file name."""

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from gazekit.disk.walk import files_below
from gazekit.disk.wording import counted, first_few
from gazekit.errors import DataError
from gazekit.prediction.by_products import by_product
from gazekit.prediction.exam_names import Nameable, name_exams, recognisable
from gazekit.reading.content import SUFFIXES, has_image_suffix, is_dicom, is_dicom_index
from gazekit.reading.dicom.file import printable
from gazekit.reading.identifying.identity import FOR_PROCESSING
from gazekit.reading.identifying.image_look import SOME, ImageLook, Looked, look_at
from gazekit.reading.identifying.view_names import ViewNames
from gazekit.records.identity import IdentityRule

NO_PATIENT = "no usable patient id in the headers: each study is treated as one exam"
NO_STUDY = "no patient or study in the headers: images of one folder and side are treated as one exam"
_NAMED = 5
"""Most files or exams that a sentence names."""
Key = TypeVar("Key", bound=Hashable)
BY_STUDY, BY_NAME = "study", "name"
SEVERAL_STUDIES = "images from several studies of one visit are treated as one exam"


@dataclass(slots=True)
class LooseExam:
    """Images that belong together.

    Args:
        key: a unique name that a user recognises and that does not identify the patient: the id in a table, the public
            name in a published data set, or the part that the file names share, without any patient information from
            the header.
        images: view → file.
        patient: the patient's id, empty if unknown; shown only on request.
        refused: why the exam is not predicted, without a file name; empty if it is predicted.
        laterality: view → ``"L"`` or ``"R"``, where known.
        covariates: name → number, as a table says.
        assumed: what is assumed of it, one sentence each; also under ``Grouping.assumed``.
    """

    key: str
    images: dict[str, Path]
    patient: str = ""
    refused: str = ""
    laterality: dict[str, str] = field(default_factory=dict)
    covariates: dict[str, float] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Grouping:
    """Exams, and the images left out of them.

    Args:
        exams: in the order of their files.
        left_out: reason → images left out.
        assumed: assumption → keys of the exams it was made for.
        names: file → a name that a user recognises and that does not identify the patient.
        unlisted: folder → why it cannot be listed.
    """

    exams: list[LooseExam]
    left_out: dict[str, list[Path]] = field(default_factory=dict)
    assumed: dict[str, list[str]] = field(default_factory=dict)
    names: dict[Path, str] = field(default_factory=dict)
    unlisted: dict[Path, str] = field(default_factory=dict)

    def remarks(self, name: Callable[[Path], str]) -> Iterator[str]:
        """List what was left out and assumed, one sentence each. Args: name, gives a file's printable name."""
        for folder, reason in self.unlisted.items():
            yield f"left out what lies in {name(folder)}: {reason}"
        for reason, paths in self.left_out.items():
            yield f"left out {counted(len(paths), 'image')} ({first_few(map(name, paths), _NAMED)}): {reason}"
        for what, exams in self.assumed.items():
            yield about_exams(exams, what)


def about_exams(exams: Sequence[str], what: str) -> str:
    """Say how many exams a statement concerns, and name the first few."""
    return f"{counted(len(exams), 'exam')} ({first_few(exams, _NAMED)}): {what}"


def only_special(view: str, special: str) -> str:
    """Word the assumption made where a view has only special images."""
    return f"view {view} is there only as: {special}"


def without_views(missing: Sequence[str]) -> str:
    """Word the assumption made where an exam lacks views, and the model was trained on such exams too."""
    return f"no view {', '.join(missing)}: predicted without"


def without_covariates(missing: Sequence[str]) -> str:
    """Word the assumption made where covariates that the model reads are not known."""
    return f"no covariate {', '.join(missing)}: predicted as not known"


@dataclass(slots=True)
class _Group:
    """Images that belong together, one per view, with remarks about them."""

    images: dict[str, ImageLook]
    refused: str = ""
    assumed: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Sorting:
    """The views requested, and the result for the images so far."""

    views: ViewNames
    modalities: Sequence[str]
    rules: Mapping[str, IdentityRule]
    keep_missing: bool = False
    colour: bool = False
    left_out: dict[str, list[Path]] = field(default_factory=dict)
    names: dict[Path, str] = field(default_factory=dict)
    unfit: dict[tuple[Hashable, str], str] = field(default_factory=dict)
    """Owner and view → why its image cannot be used."""

    def leave_out(self, path: Path, reason: str) -> None:
        self.left_out.setdefault(reason, []).append(path)


def group_images(
    paths: Iterable[Path],
    views: Sequence[str],
    modalities: Sequence[str] = (),
    rules: Mapping[str, IdentityRule] | None = None,
    *,
    keep_missing: bool = False,
    colour: bool = False,
    report: Looked = lambda _done, _total: None,
) -> Grouping:
    """Group image files, in any order, into exams; folders are searched.

    An image belongs to the patient, side, visit and view that a data source's rule or its DICOM header names. Where a
    view has several images, standard images win over special ones; among several standard images the study decides,
    then the file name. Views and sides missing from the header fields are sought in its free text, then in the names
    of the file and its folders (``0012_cc.dcm``, ``P1-L-MLO.png``, ``LEFT/CC/0012.png``). Images other than DICOM are
    grouped by name: some of its words are the view, the others the exam.

    Args:
        paths: image files, or folders of image files.
        views: the views that each exam needs: ``cc`` and ``mlo`` of a breast, or ``l_cc`` … ``r_mlo`` of a visit.
        modalities: accepted for DICOM images; empty = any.
        rules: how data sources identify their own files, by source name.
        keep_missing: predict an exam that lacks a view from the others.
        colour: images of patients are in colour; else such pictures are taken for drawings over an image.
        report: of the images looked at.

    Returns:
        All exams; one that lacks a view, or has a view twice, is refused with that reason.

    Raises:
        DataError: a path does not exist, there is no image, or none can be used.
    """
    sorting = _Sorting(ViewNames(tuple(views)), modalities, rules or {}, keep_missing, colour)
    unlisted: dict[Path, str] = {}
    files = dict(sorted(_files(paths, unlisted.__setitem__)))
    sorting.names |= {folder: recognisable(folder, ()) for folder in unlisted}
    if not files:
        closed = "".join(f"; {folder}: {reason}" for folder, reason in unlisted.items())
        table = next((file for path in paths if path.is_dir() for file in sorted(path.glob("exams.*"))), None)
        raise DataError(
            f"no image in the given paths{closed}; expected DICOM files, or files ending in {', '.join(SUFFIXES)}"
            + (
                f"; to predict the rows of a table, give it: gazekit predict RUN FOLDER/{table.name}"
                if table
                else ""
            )
        )
    looked_at = []
    for done, (path, folder) in enumerate(files.items(), start=1):
        looked_at.append(_look(path, folder, sorting))
        if done % SOME == 0:
            report(done, len(files))
    readable = [image for image in looked_at if image and not image.damage]
    groups = list(_groups(readable, sorting))
    _add_unreadable(groups, [image for image in looked_at if image and image.damage])
    if not groups:
        reasons = "; ".join(f"{len(images)} × {reason}" for reason, images in sorting.left_out.items())
        raise DataError(f"none of the {len(files)} images can be used: {reasons}")
    groups.sort(key=lambda group: min(image.path for image in group.images.values()))
    return replace(_named(groups, sorting), unlisted=unlisted)


def _files(paths: Iterable[Path], unlisted: Callable[[Path, str], None]) -> Iterator[tuple[Path, Path]]:
    """Return the files, each with the folder below which folder names count; tell folders that cannot be listed."""
    for position, path in enumerate(paths, start=1):
        if path.is_dir():
            yield from ((file, path) for file in files_below(path, unlisted) if _is_image(file))
        elif path.is_file():
            yield path, path.parent.parent
        else:
            found = "not a file" if os.path.lexists(path) else "no such file"
            raise DataError(f"given path number {position}: {found} or folder; expected an image")


def _is_image(file: Path) -> bool:
    """Say whether a file is an image, by suffix; archives store DICOM files without one."""
    if has_image_suffix(file.name):
        return True
    try:
        return not is_dicom_index(file) and is_dicom(file)
    except DataError:
        return False


def _look(path: Path, folder: Path, sorting: _Sorting) -> ImageLook | None:
    """Look at a file; None if it was left out."""
    image = look_at(path, folder, sorting.views, sorting.rules)
    sorting.names[path] = recognisable(path, image.header.naming if image.header else ())
    reason = _unfit(image, folder, sorting)
    if not reason:
        return image
    sorting.unfit.setdefault((_owner(image, sorting.views), image.view), reason)
    sorting.leave_out(path, reason)
    return None


def _unfit(image: ImageLook, folder: Path, sorting: _Sorting) -> str:
    """Say why an image is not used; empty if it is."""
    header, views = image.header, ", ".join(sorting.views.views)
    if image.identity.unfit:
        return image.identity.unfit
    if header is None and not image.damage:
        parts = image.path.relative_to(folder).parts
        unfit = by_product(image.path, [*parts[:-1], image.path.stem], colour=sorting.colour)
        if unfit:
            return unfit
    if header and header.modality and sorting.modalities and header.modality not in sorting.modalities:
        trained = ", ".join(sorting.modalities)
        return f"modality {printable(header.modality)}, but the model was trained on {trained}"
    if image.view:
        return ""
    if image.identity.view:
        known = printable(image.identity.view)
        sided = sorting.views.sided and not image.side
        return f"view {known}{' of an unknown side' if sided else ''}, but the model reads {views}"
    return image.damage or (
        f"neither header nor name gives one of the views {views}; a table can (exam_id and a column per view)"
    )


def _groups(images: Sequence[ImageLook], sorting: _Sorting) -> Iterator[_Group]:
    """Group images by owner; where a view then comes twice, by study too, and then by name."""
    for owner, together in _split(images, lambda image: _owner(image, sorting.views)).items():
        for part in _parts(together, sorting.views):
            group = _chosen(part, sorting)
            if group is None:
                continue
            for view in sorting.views.views:
                reason = sorting.unfit.get((owner, view))
                if reason and view not in group.images:
                    group.refused = f"the only image of view '{view}' is not used: {reason}"
            if owner[0] == BY_STUDY:
                group.assumed.append(NO_PATIENT)
            if owner[0] == BY_NAME and not all(image.name.view for image in group.images.values()):
                group.assumed.append(NO_STUDY)
            if len({image.identity.study for image in group.images.values()}) > 1:
                group.assumed.append(SEVERAL_STUDIES)
            yield group


def _owner(image: ImageLook, views: ViewNames) -> tuple[str, Hashable, str, str]:
    """Return the owner of an image: patient, side and visit; without a patient its study; without both its name."""
    identity = image.identity
    side = "" if views.sided else image.side
    if identity.patient:
        return "patient", identity.patient, side, identity.visit or identity.study
    if identity.study:
        return BY_STUDY, identity.study, side, ""
    if len(views.views) == 1:
        return "file", image.path, "", ""
    return BY_NAME, image.name.exam, side, ""


def _parts(together: Sequence[ImageLook], views: ViewNames) -> Iterator[Sequence[ImageLook]]:
    """Make one exam of an owner's images, or several where a view comes twice."""
    if not _repeats(together):
        yield together
        return
    for study in _split(together, lambda image: image.identity.study).values():
        if not _repeats(study):
            yield study
        elif len(views.views) == 1:  # a view that needs no other
            first, *others = _usual(study)
            yield [first, *(image for image in study if image.identity.special)]
            yield from ([image] for image in others)
        elif all(image.name.view == image.view for image in study):
            yield from _split(study, lambda image: image.name.exam).values()
        else:
            yield study


def _split(images: Sequence[ImageLook], key: Callable[[ImageLook], Key]) -> dict[Key, list[ImageLook]]:
    found: dict[Key, list[ImageLook]] = {}
    for image in images:
        found.setdefault(key(image), []).append(image)
    return found


def _usual(images: Sequence[ImageLook]) -> list[ImageLook]:
    """Drop special images, and links to other images."""
    return list(
        {os.path.realpath(image.path): image for image in images if not image.identity.special}.values()
    )


def _repeats(images: Sequence[ImageLook]) -> bool:
    usual = _usual(images)
    return len({image.view for image in usual}) < len(usual)


def _chosen(images: Sequence[ImageLook], sorting: _Sorting) -> _Group | None:
    """Choose one image per view, standard if possible; None if special images cover only some views."""
    views = sorting.views.views
    of_view = _split(images, lambda image: image.view)
    missing = [view for view in views if view not in of_view]
    if missing and all(image.identity.special for image in images):
        for image in images:
            sorting.leave_out(image.path, f"{image.identity.special}, without the other views")
        return None
    group = _Group({})
    for view in views:
        candidates = of_view.get(view, [])
        usual = _usual(candidates)
        least = usual or _one_kind(candidates)
        if not candidates:
            continue
        group.images[view] = least[0]
        if len(least) > 1:
            what = f" (as {least[0].identity.special})" if not usual else ""
            group.refused = group.refused or (
                f"view '{view}' comes {len(least)} times{what}, and nothing says which one to use"
            )
        elif not usual:
            group.assumed.append(only_special(view, least[0].identity.special))
        for image in candidates:
            if image not in least and image.identity.special:
                beside = "the usual image" if usual else least[0].identity.special
                sorting.leave_out(image.path, f"{image.identity.special}, next to {beside} of the view")
    if missing and not group.refused:
        there = ", ".join(view for view in views if view in of_view)
        if sorting.keep_missing:
            group.assumed.append(without_views(missing))
        else:
            together = (
                f"the model reads {', '.join(views)} of one exam together; if the names do not say what belongs "
                "together, a table does (exam_id and a column per view)"
            )
            group.refused = f"no view '{missing[0]}', only {there}; {together}"
    return group


def _one_kind(images: Sequence[ImageLook]) -> list[ImageLook]:
    """Keep the special images of the kind nearest to a standard image: those not acquired differently."""
    ordinary = [image for image in images if image.identity.special == FOR_PROCESSING]
    return ordinary or list(images)


def _add_unreadable(groups: list[_Group], unreadable: Sequence[ImageLook]) -> None:
    """Assign files with unreadable headers to exams by name, as the reason why those exams cannot be predicted."""
    for image in unreadable:
        refused = f"view {image.view}: {image.damage}"
        beside = [
            group
            for group in groups
            if image.view not in group.images
            and any(other.name.exam == image.name.exam for other in group.images.values())
        ]
        if len(beside) == 1 and image.name.view:
            beside[0].images[image.view] = image
            beside[0].refused = refused
        else:
            groups.append(_Group({image.view: image}, refused))


def _named(groups: Sequence[_Group], sorting: _Sorting) -> Grouping:
    """Turn the groups into named exams."""
    keys = name_exams([_nameable(group, sorting.views) for group in groups])
    exams: list[LooseExam] = []
    assumed: dict[str, list[str]] = {}
    for key, group in zip(keys, groups, strict=True):
        found = group.images
        headers = [image.header.patient for image in found.values() if image.header]
        patient = next(filter(None, [*(image.identity.patient for image in found.values()), *headers]), "")
        laterality = {view: image.side for view, image in found.items() if image.side}
        exams.append(
            LooseExam(
                key, {view: image.path for view, image in found.items()}, patient, group.refused, laterality
            )
        )
        for what in group.assumed:
            assumed.setdefault(what, []).append(key)
    return Grouping(exams, sorting.left_out, assumed, sorting.names)


def _nameable(group: _Group, views: ViewNames) -> Nameable:
    images = list(group.images.values())
    sides = {"" if views.sided else image.side for image in images}
    pseudonyms = {image.identity.pseudonym for image in images}
    return Nameable(
        files=[image.name for image in images],
        naming=[value for image in images if image.header for value in image.header.naming],
        pseudonym=next(iter(pseudonyms)) if len(pseudonyms) == 1 else "",
        side=next(iter(sides)) if len(sides) == 1 else "",
        has_headers=any(image.header or image.damage for image in images),
    )
