"""Read the data set CBIS-DDSM, in every layout in which it is distributed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from gazekit.errors import ConfigurationError
from gazekit.records.exam import Exam, Finding
from gazekit_datasets.mammography.breasts import BreastGrouping, group
from gazekit_datasets.mammography.cbis_ddsm.files import Files, find_files
from gazekit_datasets.mammography.cbis_ddsm.identity import identify_cbis_ddsm
from gazekit_datasets.mammography.cbis_ddsm.mammograms import Reading, mammograms
from gazekit_datasets.mammography.cbis_ddsm.tables import ROWS, Abnormality, read_table


class CbisDdsm:
    """Breasts of CBIS-DDSM with the masks of their masses and calcifications.

    The four ``*_case_description_*_set.csv`` and the images are in the folder or anywhere below it: in NBIA's
    folders, old or new, or as JPEG files in a folder per series. All annotated lesions of a view form its mask; if
    the mask of one is missing or refused, the view has none, because a partial mask would be wrong.

    Args:
        subset: the tables to read; ``"all"`` merges those of a breast that has both masses and calcifications.
        task: ``"malignant"``: benign, or any finding malignant; ``"mass"``: no mass, or any (with ``"all"`` only).
        split: ``"official"`` is that of the tables, which puts patients on both sides once mass and calc are merged;
            ``"patient"`` repairs that: all exams of such a patient go to test; ``"none"`` gives none.
        mismatched_masks: ``"refuse"`` or ``"resize"`` masks of another size than their image.

    Source: Lee et al. 2017, https://doi.org/10.1038/sdata.2017.177
    """

    region = "breast"

    identify = staticmethod(identify_cbis_ddsm)

    def __init__(
        self,
        *,
        subset: Literal["all", "mass", "calc"] = "all",
        task: Literal["malignant", "mass"] = "malignant",
        split: Literal["official", "patient", "none"] = "official",
        mismatched_masks: Literal["refuse", "resize"] = "refuse",
    ) -> None:
        if task == "mass" and subset != "all":
            raise ConfigurationError(
                f"cbis_ddsm: task 'mass' has one class in the subset '{subset}'; expected the subset 'all'"
            )
        self.subset = subset
        self.reading = Reading(task=task, split=split, resize_masks=mismatched_masks == "resize")
        self.classes = ("no_mass", "mass") if task == "mass" else ("benign", "malignant")

    def exams(self, root: Path) -> Iterator[Exam | Finding]:
        """Yield the breasts, and findings on missing or conflicting data. Raises: DataError with file and row."""
        files = find_files(root)
        yield from files.findings
        abnormalities: list[Abnormality] = []
        for each in self._read(root, files):
            if isinstance(each, Finding):
                yield each
            else:
                abnormalities.append(each)
        found = mammograms(root, files, abnormalities, self.reading)
        yield from group(found, BreastGrouping(label=lambda grade: self.classes[grade]))

    def _read(self, root: Path, files: Files) -> Iterator[Abnormality | Finding]:
        for (kind, part), published in ROWS.items():
            if self.subset in ("all", kind):
                table = files.table(root, kind, part)
                rows = list(read_table(table, kind, part))
                yield from rows
                if len(rows) != published:
                    yield Finding(
                        "disagrees", table.name, "table with more or fewer rows than were published"
                    )
