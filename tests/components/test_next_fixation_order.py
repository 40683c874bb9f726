"""The order of fixations teaches ``next_fixation`` something, and shuffling takes it away again."""

import numpy as np
import torch
from gazekit_components.terms.next_fixation import NextFixation

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.heat_map import COLUMNS, DURATION, ONSET, READER, SIGMA_X, SIGMA_Y, SLOT, X, Y
from gazekit.contracts.types import Batch, Output

GRID, KINDS, EXAMS = 6, 4, 96


def made_exams(seed: int, *, shuffled: bool) -> tuple[Output, Batch]:
    """Maps with one landmark of each kind, which every reader looks at in the order of the kinds, or in any."""
    random = np.random.default_rng(seed)
    maps = torch.zeros(EXAMS, KINDS, GRID, GRID)
    rows = torch.full((EXAMS, KINDS, COLUMNS), torch.nan)
    for exam in range(EXAMS):
        cells = random.permutation(GRID * GRID)[:KINDS]
        order = random.permutation(KINDS) if shuffled else np.arange(KINDS)
        for kind, cell in enumerate(cells):
            maps[exam, kind, cell // GRID, cell % GRID] = 1
        for step, kind in enumerate(order):
            values = {X: cells[kind] % GRID + 0.5, Y: cells[kind] // GRID + 0.5, ONSET: 300.0 * step}
            values |= {DURATION: 250.0, READER: 0.0, SLOT: 0.0, SIGMA_X: 1.0, SIGMA_Y: 1.0}
            for column, value in values.items():
                rows[exam, step, column] = float(value)
    pooled = {"cc": maps.mean(dim=(2, 3))}
    output = Output(torch.zeros(EXAMS, 1), {"cc": maps}, pooled, pooled, pooled["cc"])
    images = {"cc": torch.zeros(EXAMS, 1, GRID, GRID)}
    return output, Batch(images, torch.zeros(EXAMS, dtype=torch.long), Gaze({"cc": rows}, (GRID, GRID)))


def held_out_surprise(*, shuffled: bool, seed: int) -> float:
    """Nats per step on new exams in order, after training on exams in order or shuffled."""
    torch.manual_seed(seed)
    term = NextFixation(("cc",), KINDS, features=16)
    optimizer = torch.optim.Adam(term.parameters(), lr=0.05)
    training = made_exams(seed, shuffled=shuffled)
    for _ in range(150):
        optimizer.zero_grad()
        term(*training).mean().backward()
        optimizer.step()
    with torch.no_grad():
        return float(term(*made_exams(seed + 100, shuffled=False)).mean())


def test_shuffled_order_removes_what_order_adds() -> None:
    """In order the next landmark is certain; shuffled it is one of those not seen, 1.1 nats or more on the first."""
    for seed in (0, 1):
        ordered, shuffled = (held_out_surprise(shuffled=each, seed=seed) for each in (False, True))
        chance = (
            np.log(3) + np.log(2) + np.log(1)
        ) / 3  # one of those left, if a landmark is never seen twice
        assert ordered < 0.1
        assert shuffled > chance - 0.1
