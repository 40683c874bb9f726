"""Turn image files, folders and tables into exams, to be prepared like the training data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gazekit.disk.regular_file import is_regular_file
from gazekit.errors import DataError
from gazekit.prediction.exam_table import is_table, read_exam_table
from gazekit.prediction.file_grouping import Grouping, group_images, without_covariates
from gazekit.prepared.settings import KEEP, PreparationSettings
from gazekit.reading.content import is_dicom
from gazekit.reading.identifying.identity_rules import identity_rules
from gazekit.reading.identifying.image_look import Looked
from gazekit.reading.identifying.view_names import ViewNames
from gazekit.registry.registry import Registry

SIDE_UNKNOWN = (
    "neither header nor name gives the side, by which the training images were mirrored: predicted unmirrored"
)


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """Facts about the images that a model was trained on.

    Args:
        views: the preset's views.
        preparation: preparation settings as JSON values.
        modalities: of the DICOM files; empty if there were none.
        sides: the known sides; empty if none was known, None if the run did not record them (before version 0.2).
        covariates: those that the preset reads.
    """

    views: Sequence[str]
    preparation: Mapping[str, Any]
    modalities: Sequence[str] = ()
    sides: Sequence[str] | None = None
    covariates: Sequence[str] = ()

    def settings(self, bit_depth: int | None = None) -> PreparationSettings:
        """Return the preparation settings for new images; they are mirrored by side only if the training images were.

        Args:
            bit_depth: of 16-bit images other than DICOM; None takes that of the training data.
        """
        settings = PreparationSettings.from_json(self.preparation)
        if bit_depth is not None:
            settings = replace(settings, bit_depth=bit_depth)
        unturned = self.sides is not None and not self.sides
        return replace(settings, laterality="off") if unturned else settings


def find_exams(
    inputs: Sequence[Path],
    trained_on: TrainedOn,
    registry: Registry,
    *,
    report: Looked = lambda _done, _total: None,
) -> Grouping:
    """Find the exams in the given images, folders and tables; see ``group_images`` and ``read_exam_table``.

    Raises:
        DataError: there is nothing to predict, or a table cannot be read.
    """
    rules = identity_rules(registry)
    prepared = PreparationSettings.from_json(trained_on.preparation)
    keep_missing = prepared.missing_views == KEEP
    tables = [path for path in inputs if is_table(path)]
    images = [path.absolute() for path in inputs if path not in tables]
    grouping = (
        group_images(
            images,
            trained_on.views,
            trained_on.modalities,
            rules,
            keep_missing=keep_missing,
            colour=prepared.colour,
            report=report,
        )
        if images
        else Grouping([])
    )
    for table in tables:
        views = ViewNames(tuple(trained_on.views))
        found = read_exam_table(table, views, rules, keep_missing=keep_missing, report=report)
        grouping.exams.extend(found.exams)
        for what, exams in found.assumed.items():
            grouping.assumed.setdefault(what, []).extend(exams)
    keys = Counter(exam.key for exam in grouping.exams)
    twice = next((key for key, count in keys.items() if count > 1), None)
    if twice is not None:
        raise DataError(f"exam {twice} comes from two of the inputs; predict these inputs one at a time")
    if trained_on.sides is None:  # such versions took sides from headers only
        for exam in grouping.exams:
            exam.laterality = {
                view: side for view, side in exam.laterality.items() if _has_header(exam.images[view])
            }
    elif trained_on.sides and trained_on.preparation["laterality"] == "auto":
        unknown = [
            exam.key for exam in grouping.exams if not exam.refused and exam.images.keys() - exam.laterality
        ]
        if unknown:
            grouping.assumed[SIDE_UNKNOWN] = unknown
    for exam in grouping.exams:
        lost = [name for name in trained_on.covariates if name not in exam.covariates]
        if lost and not exam.refused:
            grouping.assumed.setdefault(without_covariates(lost), []).append(exam.key)
    by_key = {exam.key: exam for exam in grouping.exams}
    for what, assumed_of in grouping.assumed.items():
        for key in assumed_of:
            by_key[key].assumed.append(what)
    return grouping


def _has_header(path: Path) -> bool:
    return is_regular_file(path) and is_dicom(path)
