"""Divide the variance of a study's runs into data set, split within data set, seed and residual.

The AUC of data set d, split s of it and seed k is ``y_dsk = μ + a_d + b_s(d) + c_k + e_dsk`` with random effects:
splits are nested in data sets, seeds are crossed with both. For D data sets, S splits each and K seeds the expected
mean squares are

    E[MS_data]     = σ²_e + K σ²_b + S K σ²_a        D - 1 degrees of freedom
    E[MS_split]    = σ²_e + K σ²_b                   D (S - 1)
    E[MS_seed]     = σ²_e + D S σ²_c                 K - 1
    E[MS_residual] = σ²_e                            (D S - 1) (K - 1)

and the components are solved from the mean squares found (method of moments). With one split per data set ``data set``
includes the split; with one data set there is no component of it. An estimate may be negative, which says that the
component is too small to be seen.

Source: Searle, Casella & McCulloch 1992, Variance Components, chapter 4, doi:10.1002/9780470316856.
"""

import numpy as np

from gazekit.errors import DataError
from gazekit.records.arrays import Floats

DATA_SET, SPLIT, SEED, RESIDUAL = COMPONENTS = ("data set", "split", "seed", "residual")


def variance_components(values: Floats) -> dict[str, float]:
    """Estimate the variance components of a balanced study; negative estimates stay negative.

    Args:
        values: ``[D, S, K]``, one run per cell.

    Raises:
        DataError: a cell is no number, or there are fewer than two seeds, or there is one split of one data set.
    """
    y = np.asarray(values, dtype=np.float64)
    if y.ndim != 3 or not np.isfinite(y).all():
        raise DataError(
            f"variance components need one run for every data set, split and seed; got {y.shape} with "
            f"{int((~np.isfinite(y)).sum())} missing"
        )
    sets, splits, seeds = y.shape
    if seeds < 2:
        raise DataError(
            "one seed: its chance cannot be told from that of the split; expected at least two seeds"
        )
    if sets * splits < 2:
        raise DataError(
            "one split of one data set: nothing to divide but seeds; expected at least two splits"
        )
    mean = y.mean()
    of_set, of_split, of_seed = y.mean(axis=(1, 2)), y.mean(axis=2), y.mean(axis=(0, 1))  # [D], [D, S], [K]
    fitted = of_split[:, :, None] + of_seed - mean  # [D, S, K]
    residual = _mean_square(y - fitted, (sets * splits - 1) * (seeds - 1))
    seed = sets * splits * _mean_square(of_seed - mean, seeds - 1)
    components: dict[str, float] = {}
    below = residual  # the mean square that a component's own is compared with
    if splits > 1:
        below = seeds * _mean_square(of_split - of_set[:, None], sets * (splits - 1))
        components[SPLIT] = (below - residual) / seeds
    if sets > 1:
        data_set = splits * seeds * _mean_square(of_set - mean, sets - 1)
        components[DATA_SET] = (data_set - below) / (splits * seeds)
    components |= {SEED: (seed - residual) / (sets * splits), RESIDUAL: residual}
    return {name: components[name] for name in COMPONENTS if name in components}


def _mean_square(deviations: Floats, freedom: int) -> float:
    return float((deviations**2).sum() / freedom)
