"""Draw a population of readers: how well each one rates an exam, and how long he dwells on its lesion.

The rating of reader j of case i is binormal (Roe and Metz 1997):

    X_ij = d_j t_i + b_j + sqrt(1 - s) c_i + sqrt(s) e_ij,    c, e ~ N(0, 1)

with truth t = +1/2 (malignant) or -1/2, skill d_j ~ N(d, spread^2), criterion b_j ~ N(0, spread^2), and disagreement s.
The area under reader j's ROC curve is Phi(d_j / sqrt(2)); given the truth, two readers correlate by 1 - s.

Source: Roe and Metz 1997, Academic Radiology 4, doi:10.1016/S1076-6332(97)80161-X.
"""

from dataclasses import dataclass
from math import sqrt

from scipy.special import ndtr, ndtri

from gazekit_datasets.mammography.phantom.scene import Settings, generator


@dataclass(frozen=True, slots=True)
class Reader:
    """One reader of a population.

    Args:
        name: ``R1``, ``R2``, …
        skill: d_j.
        criterion: b_j; a reader with a higher one rates every exam higher.
        dwell: share of the dwell time on the lesion.
    """

    name: str
    skill: float
    criterion: float
    dwell: float


def population(settings: Settings, seed: int) -> list[Reader]:
    """Draw the readers; reader j depends on the settings, the seed and j. A single reader is the mean one."""
    if settings.readers == 1:
        return [Reader("R1", settings.reader_skill, 0.0, settings.gaze_quality)]
    readers = []
    for number in range(settings.readers):
        skill, criterion = settings.reader_spread * generator(seed, number, "reader").standard_normal(2)
        dwell = float(
            ndtr(ndtri(settings.gaze_quality) + skill)
        )  # who knows more, looks longer at the lesion
        readers.append(
            Reader(f"R{number + 1}", settings.reader_skill + float(skill), float(criterion), dwell)
        )
    return readers


def rating(reader: Reader, settings: Settings, seed: int, index: int, *, malignant: bool) -> float:
    """Rate exam ``index``: X_ij of this module, the higher the more suspicious."""
    common = generator(seed, index, "rating").standard_normal()
    own = generator(seed, index, f"rating {reader.name}").standard_normal()
    noise = sqrt(1 - settings.disagreement) * common + sqrt(settings.disagreement) * own
    return float(reader.skill * (0.5 if malignant else -0.5) + reader.criterion + noise)
