"""How well readers predict each other: the most that a map of where one looks can be expected to reach.

Source: Judd et al. 2012, MIT-CSAIL-TR-2012-001, where it is called inter-observer.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from gazekit.errors import DataError
from gazekit.measures.statistics.intervals import Interval, patient_bootstrap
from gazekit.records.arrays import Array, Floats

Looked = TypeVar("Looked")
"""The thing that a measure compares a map with: fixations ``[F, 2]``, or a heat map ``[H, W]``."""


def observer_ceiling(
    maps: Mapping[str, Array], gaze: Mapping[str, Looked], measure: Callable[[Floats, Looked], float]
) -> dict[str, float]:
    """Leave one reader out: how well the mean heat map of the *other* readers predicts the one left out.

    The mean of the values is the ceiling of the image. Few readers make a poor map, so more readers would set a
    higher ceiling, and a score may exceed this one.

    Args:
        maps: reader → heat map ``[H, W]``, of two readers at least.
        gaze: reader → gaze to be predicted, for readers in ``maps``.
        measure: of a map and the gaze of one reader, such as ``lambda map, points: nss(map, points, shape)``.

    Returns:
        Reader → value, in the order of ``gaze``.

    Raises:
        DataError: fewer than two readers.
    """
    if len(maps) < 2:
        raise DataError(
            f"observer ceiling: {len(maps)} reader; expected two at least, so that others can predict the one left out"
        )
    found = {}
    for reader, own in gaze.items():
        others = [each for name, each in maps.items() if name != reader]
        found[reader] = measure(np.mean(others, axis=0), own)
    return found


def share_interval(pairs: Floats, patients: Sequence[str], *, resamples: int = 2000) -> Interval:
    """Share of the mean ceiling that the mean score reaches, with its 95 % interval over patients.

    The score is 0 by chance. The means are divided, and not the exams' shares averaged: an exam on which the readers
    hardly agree has a share that can be anything. NaN where the readers do not predict each other better than chance.

    Args:
        pairs: score and ceiling of each exam, ``[N, 2]``.
        patients: patient of each exam, ``[N]``.
        resamples: of the bootstrap.

    Raises:
        DataError: fewer than two patients.
    """

    def share(weights: Floats) -> Floats:
        above = weights @ pairs  # [R, 2]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(above[:, 1] > 0, above[:, 0] / above[:, 1], np.nan)

    return patient_bootstrap(share, patients, resamples=resamples, bounded=False)
