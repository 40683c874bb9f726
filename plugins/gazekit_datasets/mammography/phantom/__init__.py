"""Make an in-silico two-view data set with gaze, in the file formats of a hospital and an eye tracker."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gazekit.errors import ConfigurationError, DataError
from gazekit.records.exam import Exam
from gazekit.records.identity import ImageIdentity
from gazekit.records.image_header import ImageHeader
from gazekit.registry.signature import validate
from gazekit_datasets.folder import Folder
from gazekit_datasets.mammography.phantom.dicom import SERIES
from gazekit_datasets.mammography.phantom.scene import CLASSES, VIEWS, Settings
from gazekit_datasets.mammography.phantom.writing import DESCRIPTION, TABLE, generate

Share = Annotated[float, Field(ge=0.0, le=1.0)]
LesionSize = Annotated[float, Field(ge=0.03, le=0.2)]


class Phantom:
    """Mammograms of breasts that do not exist: one three-dimensional scene each, projected to CC and MLO.

    A scene has one lesion, seen in both views at the same distance from the nipple, and its label is the
    lesion's; a look-alike of the other kind is seen in one view only. The tissue's power spectrum falls with
    f^-3. Files: ``images/*.dcm`` (MG, for presentation), ``gaze/*.csv`` (samples at 60 Hz),
    ``masks/*.png``, ``exams.csv``, ``phantom.json``; the data set ``folder`` reads them too.

    Args:
        image_height: rows of an image, in pixels; it is 0.8 times as wide and shows 233 mm.
        difficulty: 0 to 1; raises the tissue's texture, the look-alikes' contrast and the number of harmless
            densities, lowers the lesion's contrast.
        lesion_size: smallest and largest diameter of a mass's core (spicules reach beyond), as fractions of the
            image height; clusters are 0.6 times as wide. The default, 23 to 33 mm, keeps margins visible when
            images are prepared at 64 pixels.
        contrast: factor on the brightness of all findings, 0 to 3.
        calcifications: share of exams whose findings are clusters of calcifications, 0 to 1. They are lost where
            images are prepared much smaller than they were drawn, hence the default 0.
        gaze_quality: share of the dwell time on the lesion, 0 to 1.
        without_gaze: share of exams without a recording, 0 to 1.
        look_alikes: share of exams with a look-alike, 0 to 1; leaving it out changes nothing else in an exam's images.

    Raises:
        ConfigurationError: an option is out of range.

    Source: issue 2, section 4; Burgess et al. 2001, doi:10.1118/1.1355308, for the texture.
    """

    region = "breast"
    classes = CLASSES

    @staticmethod
    def identify(header: ImageHeader | None, _path: Path) -> ImageIdentity | None:
        """Identify an image by its series description; the patients do not exist, so their names may be shown."""
        if header is None or header.series_description != SERIES:
            return None
        return ImageIdentity(pseudonym=header.patient)

    def __init__(
        self,
        *,
        image_height: Annotated[int, Field(ge=64, le=4096)] = 256,
        difficulty: Share = 0.5,
        lesion_size: tuple[LesionSize, LesionSize] = (0.10, 0.14),
        contrast: Annotated[float, Field(ge=0.0, le=3.0)] = 1.0,
        calcifications: Share = 0.0,
        gaze_quality: Share = 0.75,
        without_gaze: Share = 0.0,
        look_alikes: Share = 1.0,
    ) -> None:
        options = {
            "image_height": image_height,
            "difficulty": difficulty,
            "lesion_size": lesion_size,
            "contrast": contrast,
            "calcifications": calcifications,
            "gaze_quality": gaze_quality,
            "without_gaze": without_gaze,
            "look_alikes": look_alikes,
        }
        checked, problems = validate(Phantom, options)
        if not problems and lesion_size[0] > lesion_size[1]:
            problems = [("lesion_size", f"expected (smallest, largest), got {lesion_size}")]
        if problems:
            raise ConfigurationError("phantom: " + "; ".join(f"{name}: {why}" for name, why in problems))
        self.settings = Settings(**checked)

    def generate(self, root: Path, *, exams: int, seed: int, progress: Callable[[int, int], None]) -> None:
        """Write ``exams`` exams below ``root``; exam i depends only on the options, the seed and i.

        A folder that already holds a phantom with the same options and seed keeps its finished files.
        ``progress`` is called with (done, total).

        Raises:
            DataError: the folder holds something else.
            StorageError: the disk is full or not writable.
        """
        generate(root, self.settings, exams=exams, seed=seed, progress=progress)

    def exams(self, root: Path) -> Iterator[Exam]:
        """Yield the exams below ``root``. Raises: DataError with file, row and expected content."""
        for name in (DESCRIPTION, TABLE):
            if not (root / name).is_file():
                raise DataError(
                    f"{root / name}: there is no such file; expected a complete phantom; "
                    "generate it into this folder (again: finished exams are kept)"
                )
        found = Folder(gaze_reader="plain", classes=CLASSES, views=VIEWS).exams(root)
        yield from (each for each in found if isinstance(each, Exam))  # we wrote the table ourselves
