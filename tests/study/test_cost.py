"""Step times: medians after the warm-up, over that of the reference, with its batch size."""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gazekit.errors import GazekitError
from gazekit.study.results import cost


@pytest.mark.parametrize("reference", ["ours", "broken"])
def test_a_ratio_is_that_of_median_times_after_the_warm_up(
    monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    """A step takes 1 s and 3 s in turn, or 3 s; in the warm-up 100 s more, and once a minute more."""
    clock, taken, batches = [0.0], Counter[str](), {}
    presets = {
        name: SimpleNamespace(name=name, seconds=seconds, training=SimpleNamespace(batch_size=size))
        for name, seconds, size in (("ours", (1, 3), 8), ("broken", (1,), 6), ("theirs", (3,), 4))
    }

    def stepper(preset: Any, *arguments: Any) -> Callable[[int], None]:
        batches[preset.name] = arguments[3]
        if preset.name == "broken":
            raise GazekitError("it needs gaze, and there is none")

        def step(_turn: int) -> None:
            taken[preset.name] += 1
            turn, seconds = taken[preset.name], preset.seconds
            slow = 100 if turn <= 1 + cost._WARM_UP else 60 * (turn == 11)
            clock[0] += seconds[turn % len(seconds)] + slow

        return step

    monkeypatch.setattr(cost, "_stepper", stepper)
    monkeypatch.setattr(cost, "_now", lambda _device: clock[0])
    monkeypatch.setattr(cost, "chosen_algorithms", lambda _training: nullcontext())
    told: list[tuple[int, int]] = []
    found = cost.step_ratios(
        *(presets, dict.fromkeys(presets), {}, None),  # type: ignore[arg-type]
        reference=reference,
        device=torch.device("cpu"),
        report=lambda *at: told.append(at),
    )
    assert found == ({"ours": 1.0, "theirs": 1.5} if reference == "ours" else {})
    assert set(batches.values()) == {presets[reference].training.batch_size}
    assert told == ([(n, 15) for n in range(1, 16)] if reference == "ours" else [])
