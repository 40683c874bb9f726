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
Number = Annotated[int, Field(ge=1, le=4)]


class Phantom:
    """Mammograms of breasts that do not exist: one three-dimensional scene each, projected to CC and MLO.

    A scene has one lesion or more of one kind, benign or malignant, which is its label. Both views see a lesion at
    the same distance behind the nipple. A look-alike of the other kind is seen in one view only; where each view
    has one, they lie at different distances, which only a comparison of the views can tell. The tissue's power
    spectrum falls with f^-3. Files: ``images/*.dcm`` (MG, for presentation), ``gaze/*.csv`` (samples at 60 Hz),
    ``masks/*.png`` (lesions), ``exams.csv``, ``phantom.json``, of several readers ``ratings.csv``; the data set
    ``folder`` reads them too.

    Args:
        image_height: rows of an image, in pixels; it is 0.8 times as wide and shows 233 mm.
        difficulty: 0 to 1; raises the tissue's texture and the number of harmless densities, lowers the contrast of
            all findings.
        lesion_size: smallest and largest diameter of a mass's core (spicules reach beyond), as fractions of the
            image height; clusters are 0.9 times as wide. The default, 28 to 37 mm, keeps margins visible when
            images are prepared at 64 pixels.
        contrast: factor on the brightness of all findings, 0 to 3.
        calcifications: share of exams whose findings are clusters of calcifications, 0 to 1. An image of 128 pixels
            shows them, one of 64 hardly.
        gaze_quality: share of the dwell time on the lesions, 0 to 1.
        without_gaze: share of exams without a recording, 0 to 1.
        look_alikes: share of exams with a look-alike, 0 to 1; leaving it out changes nothing else in an exam's images.
        unmatched: share of these exams that have one in each view, at places that do not match, 0 to 1.
        look_alike_contrast: brightness of a look-alike over that of a lesion, 0 to 2.
        findings: smallest and largest number of lesions, 1 to 4; those of an exam are alike in kind.
        readers: number of readers of each exam, at most 50. Several are a population: the file of a view has one
            recording of each, and ``ratings.csv`` their ratings by the binormal model of Roe and Metz.
        reader_skill: d' of the mean reader, 0 to 4; the area under her ROC curve is Phi(d' / sqrt(2)).
        reader_spread: standard deviation between readers of d', of their criterion (bias), and of the dwell time on the
            lesion as a probit, 0 to 2.
        disagreement: share of the variance of a rating that an exam's readers do not have in common, 0 to 1.

    Raises:
        ConfigurationError: an option is out of range.

    Source: Burgess et al. 2001, doi:10.1118/1.1355308, for the texture; Roe and Metz 1997,
    doi:10.1016/S1076-6332(97)80161-X, for readers.
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
        lesion_size: tuple[LesionSize, LesionSize] = (0.12, 0.16),
        contrast: Annotated[float, Field(ge=0.0, le=3.0)] = 1.25,
        calcifications: Share = 0.0,
        gaze_quality: Share = 0.75,
        without_gaze: Share = 0.0,
        look_alikes: Share = 1.0,
        unmatched: Share = 0.4,
        look_alike_contrast: Annotated[float, Field(ge=0.0, le=2.0)] = 1.0,
        findings: tuple[Number, Number] = (1, 1),
        readers: Annotated[int, Field(ge=1, le=50)] = 1,
        reader_skill: Annotated[float, Field(ge=0.0, le=4.0)] = 1.5,
        reader_spread: Annotated[float, Field(ge=0.0, le=2.0)] = 0.3,
        disagreement: Share = 0.5,
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
            "unmatched": unmatched,
            "look_alike_contrast": look_alike_contrast,
            "findings": findings,
            "readers": readers,
            "reader_skill": reader_skill,
            "reader_spread": reader_spread,
            "disagreement": disagreement,
        }
        checked, problems = validate(Phantom, options)
        if not problems:
            ranges = {"lesion_size": lesion_size, "findings": findings}
            problems = [
                (name, f"expected (smallest, largest), got {found}")
                for name, found in ranges.items()
                if found[0] > found[1]
            ]
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
