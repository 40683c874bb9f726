"""Find the original images of a prepared data set, by stored names or through its data source."""

from pathlib import Path
from typing import TYPE_CHECKING

from gazekit.disk.regular_file import is_regular_file
from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.preparing.raw.source import list_exams
from gazekit.reporting.drawing.originals.views import Originals

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import DataSource


def find_originals(dataset: PreparedDataset, root: Path, source: "DataSource | None") -> Originals:
    """Find the originals below the folder from which the data set was prepared.

    Args:
        dataset: the prepared data set.
        root: the folder.
        source: reads the folder; needed if the data set keeps no image names.

    Raises:
        ConfigurationError: a source is needed.
        DataError: no such folder, or no exam of the data set is in it.
    """
    if not root.is_dir():
        raise DataError(
            f"{root}: there is no such folder; expected the one that {dataset.root} was prepared from"
        )
    if source is not None:
        exams = {exam.exam_id: exam.images for exam in list_exams(source, root)[0]}
        found = {
            (exam, view): path
            for exam in dataset.exam_ids
            for view, path in exams.get(exam, {}).items()
            if is_regular_file(path)
        }
    else:
        named = zip(dataset.exam_ids, dataset.image_names, strict=True)
        found = {(exam, view): root / name for exam, names in named for view, name in names.items() if name}
        if not found:
            raise ConfigurationError(
                f"{dataset.root}: keeps no names of images, so its data set must find them: add --dataset KIND "
                "(gazekit plugins list --kind dataset)"
            )
        found = {key: path for key, path in found.items() if is_regular_file(path)}
    if not found:
        raise DataError(
            f"{root}: holds no image of {dataset.root}; give the folder that it was prepared from"
        )
    return lambda exam, view: found.get((exam, view))
