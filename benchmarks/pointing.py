"""Say how often the peak of the attention lies in the lesion, for each class of exams of a study's test parts.

    python benchmarks/pointing.py STUDY mammonet cross_view_bfl

Evaluation averages over all exams, and its maps explain the positive class in every one of them. Each number here is a
share of the views with a lesion: its mean and standard deviation over the runs.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from evidence import arguments, publish

from gazekit.measures.attention.localisation import pointing_game
from gazekit.registry.discovery import load_registry
from gazekit.runs.trained import Trained, open_data, open_trained


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("systems", nargs="+")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    registry, device = load_registry(), torch.device(asked.device)
    table = []
    for system in asked.systems:
        runs = sorted((asked.study / "runs" / system).iterdir())
        shares = [hits(open_trained(run, registry, device, report=print)) for run in runs]
        row: dict[str, str | int | float] = {"system": system, "runs": len(runs)}
        for name in shares[0]:
            values = [each[name] for each in shares]
            row |= {name: float(np.mean(values)), f"{name} sd": float(np.std(values, ddof=1))}
        table.append(row)
    publish("table1_pointing", asked.device, table, asked.out)


def hits(trained: Trained) -> Mapping[str, float]:
    """Share of the views with a lesion whose peak lies in it: class → share, of a run's test part."""
    dataset = open_data(trained, None)
    predicted = trained.predict(dataset, "test")
    masks, labels = dataset.masks[predicted.indices], np.array(dataset.labels)[predicted.indices]
    found: dict[str, list[float]] = {name: [] for name in dataset.classes}
    for column, view in enumerate(dataset.views):
        for row in np.flatnonzero(masks[:, column].any((1, 2))):
            hit = pointing_game(predicted.attention[view][row], masks[row, column].astype(bool))
            found[dataset.classes[labels[row]]].append(hit)
    return {name: float(np.mean(each)) for name, each in found.items()}


if __name__ == "__main__":
    main()
