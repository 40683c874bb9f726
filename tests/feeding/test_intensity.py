"""Grey values against slow loops in float64: blur, gain, gamma; noise as a function of its key and place."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny import tiny

from gazekit.feeding.feed import prepared_exams
from gazekit.feeding.intensity import change_intensity, random_intensity
from gazekit.prepared.dataset import PreparedDataset
from gazekit.presets.tables import AugmentationSettings
from gazekit.registry.registry import Registry

ALL = AugmentationSettings(gain=0.3, gamma=0.5, noise=0.05, blur=1.2)
CPU = torch.device("cpu")


def images(number: int = 3, height: int = 9, width: int = 7) -> torch.Tensor:
    made = torch.rand(number, height, width, generator=torch.Generator().manual_seed(0))
    made[:, :, :2] = 0  # background
    return made


def drawn(blur: float = 0, gain: float = 1, gamma: float = 1, noise: float = 0, key: int = 0) -> torch.Tensor:
    return torch.tensor([[blur, gain, gamma, noise, key]] * 3)


def slow_blur(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """A sum over all pixels within reach, edges continued."""
    reach = math.ceil(3 * ALL.blur)
    taps = range(-reach, reach + 1)
    kernel = [math.exp(-(t**2) / (2 * sigma**2)) for t in taps]
    height, width = image.shape
    found = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            for dy in taps:
                for dx in taps:
                    weight = kernel[dy + reach] * kernel[dx + reach] / sum(kernel) ** 2
                    value = image[min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)]
                    found[y, x] += weight * value
    return found


@pytest.mark.parametrize(("sigma", "gain", "gamma"), [(0.7, 1, 1), (1.2, 1.3, 0.7), (0.4, 0.8, 1.5)])
def test_blur_gain_and_gamma_are_those_of_a_slow_loop(sigma: float, gain: float, gamma: float) -> None:
    settings = ALL.model_copy(update={"noise": 0.0})
    came = change_intensity(images(), drawn(sigma, gain, gamma), settings)
    for image, changed in zip(images().double().numpy(), came.numpy(), strict=True):
        expected = np.clip(slow_blur(image, sigma) * gain, 0, 1) ** gamma
        np.testing.assert_allclose(changed, expected, rtol=1e-4, atol=1e-6)


def test_a_width_of_zero_blurs_nothing_and_each_image_has_its_own() -> None:
    settings = AugmentationSettings(blur=1.0)
    draws = drawn()
    draws[1, 0] = 1.0
    came = change_intensity(images(), draws, settings)
    assert torch.equal(came[0], images()[0]) and torch.equal(came[2], images()[2])
    assert not torch.allclose(came[1], images()[1])


def test_black_stays_black_without_blur() -> None:
    settings = ALL.model_copy(update={"blur": 0.0})
    came = change_intensity(images(), drawn(0, 1.3, 0.6, 0.05, key=5), settings)
    assert torch.equal(came[:, :, :2], torch.zeros(3, 9, 2))
    assert float(came.min()) >= 0 and float(came.max()) <= 1


def test_noise_is_normal_independent_and_a_function_of_its_key() -> None:
    settings = AugmentationSettings(noise=0.1)
    grey = torch.full((3, 200, 200), 0.5)
    first, again = (change_intensity(grey, drawn(noise=0.1, key=7), settings) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(first[0], first[1]), "the same key"
    other = change_intensity(grey, drawn(noise=0.1, key=8), settings)
    values = ((first[0] - 0.5) / 0.1).double().numpy()
    theirs = ((other[0] - 0.5) / 0.1).double().numpy()
    n = values.size
    assert abs(values.mean()) < 4 / math.sqrt(n)
    assert abs(values.std() - 1) < 4 / math.sqrt(2 * n)
    assert abs((values**4).mean() - 3) < 4 * math.sqrt(96 / n)
    pairs = [(values[:, 1:], values[:, :-1]), (values[1:], values[:-1]), (values, theirs)]
    for a, b in pairs:
        assert abs((a * b).mean()) < 4 / math.sqrt(n)


def test_draws_lie_within_the_settings_and_are_a_function_of_seed_epoch_and_exam() -> None:
    exams = np.arange(200)
    found = random_intensity(ALL, exams, 2, seed=3, epoch=4)
    blur, gain, gamma, noise, key = found.reshape(-1, 5).T
    for values, low, high in ((blur, 0, 1.2), (gain, 0.7, 1.3), (gamma, 1 / 1.5, 1.5), (noise, 0, 0.05)):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high + 1e-6
    assert np.array_equal(key, np.floor(key)) and key.max() < 2**24 and len(np.unique(key)) > 390
    assert np.array_equal(random_intensity(ALL, exams[50:60], 2, seed=3, epoch=4), found[50:60])
    for other in ({"seed": 2, "epoch": 4}, {"seed": 3, "epoch": 5}):
        assert not np.array_equal(random_intensity(ALL, exams, 2, **other), found)


def test_images_alone_are_changed_before_normalisation(registry: Registry, dataset: PreparedDataset) -> None:
    """Heat maps, masks and fixations stay; a gain of one exam is found in its normalised pixels."""
    preset = tiny(registry)
    exams = prepared_exams(dataset, np.arange(len(dataset)), preset, CPU, with_gaze=True, with_masks=True)
    still = {"rotation": 0, "translation": 0, "flip_horizontal": 0, "flip_vertical": 0}
    plain, gained = (AugmentationSettings(**still, gain=gain) for gain in (0.0, 0.4))
    rows = [np.array([3, 5])]
    (before,), (after,) = (list(exams.augmented(rows, each, seed=1, epoch=2)) for each in (plain, gained))
    gains = random_intensity(gained, exams.indices[rows[0]], 2, seed=1, epoch=2)[..., 1]
    for column, view in enumerate(("cc", "mlo")):
        pixels = before.images[view] * preset.data.std + preset.data.mean
        factor = torch.as_tensor(gains[:, column]).view(2, 1, 1, 1)
        expected = ((pixels * factor).clamp(0, 1) - preset.data.mean) / preset.data.std
        torch.testing.assert_close(after.images[view], expected, rtol=1e-4, atol=1e-4)
        assert before.masks and after.masks and before.gaze and after.gaze
        assert torch.equal(before.masks[view], after.masks[view])
        torch.testing.assert_close(before.gaze[view], after.gaze[view], rtol=0, atol=0)


def test_noise_is_finite_for_the_largest_word(monkeypatch: pytest.MonkeyPatch) -> None:
    from gazekit.feeding import intensity

    for word in (0, 2**32 - 1):
        monkeypatch.setattr(intensity, "_scrambled", _last_word(word))
        assert intensity._normal(torch.zeros(1, 1, 1, dtype=torch.int64), 2, 2).isfinite().all()


def _last_word(word: int) -> Any:
    """Stand in for the scrambling: its last result is the word."""
    calls = iter((0, 0, word))
    return lambda place: torch.full_like(place, next(calls))
