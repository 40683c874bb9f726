"""The terms that gaze and masks bring to the loss, against slow loops; the order of fixations counts."""

import math

import numpy as np
import pytest
import torch
from gazekit_components.terms.gaze_decoder import GazeDecoder
from gazekit_components.terms.mask_alignment import MaskAlignment
from gazekit_components.terms.next_fixation import NextFixation
from scipy import ndimage
from slow_maps import Array, bilinear
from torch import Tensor

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.heat_map import RECORDING, SLOT, X, Y
from gazekit.contracts.types import Batch, Output
from gazekit.testing import TermContract
from gazekit.testing.promises import random_gaze, random_tensor


class TestGazeDecoder(TermContract):
    component = GazeDecoder
    options = {"hidden": 4}


class TestNextFixation(TermContract):
    component = NextFixation
    options = {"features": 4}


class TestMaskAlignment(TermContract):
    component = MaskAlignment
    stops_gradients = True  # those of Grad-CAM's weights


def output_of(maps: dict[str, Tensor]) -> Output:
    pooled = {view: each.mean(dim=(2, 3)) for view, each in maps.items()}
    fused = torch.cat(list(pooled.values()), dim=1)
    return Output(fused.sum(dim=1, keepdim=True), maps, pooled, pooled, fused)


def batch_of(gaze: Gaze | None = None, masks: dict[str, Tensor] | None = None, exams: int = 3) -> Batch:
    return Batch({}, torch.arange(exams) % 2, gaze, masks)


def test_the_begin_of_a_second_recording_is_no_next_fixation() -> None:
    torch.manual_seed(0)
    maps = output_of({"cc": random_tensor(1, 4, 5, 5)})
    rows = random_gaze(("cc",), 40, exams=1, fixations=2).fixations["cc"]
    rows[..., X] = rows[..., Y] = 20.0
    rows[0, :, SLOT] = 0
    term = NextFixation(("cc",), 4, features=3)
    for recordings, steps in (([1.0, 1.0], 1), ([1.0, 2.0], 0), ([2.0, 2.0], 1), ([math.nan, math.nan], 1)):
        rows[0, :, RECORDING] = torch.tensor(recordings)
        said = term(maps, batch_of(Gaze({"cc": rows.clone()}, (40, 40)), exams=1))
        assert said.isfinite().item() is bool(steps), recordings


def _log_density(term: GazeDecoder, maps: Array) -> Array:
    """``log softmax(conv1x1(ReLU(conv3x3(upsample(A)))))`` of one exam ``[C, h, w]``, a channel at a time."""
    larger = [bilinear(channel, 10, 10) for channel in maps]
    scores = np.full((10, 10), term.place.bias.item())
    for number, weight in enumerate(term.place.weight.detach().numpy().ravel()):
        hidden = np.full((10, 10), term.hidden.bias[number].item())
        for channel, kernel in zip(larger, term.hidden.weight[number].detach().numpy(), strict=True):
            hidden += ndimage.correlate(channel, kernel, mode="constant")
        scores += weight * np.maximum(hidden, 0)
    return scores - np.log(np.exp(scores).sum())


def test_the_decoder_is_the_kl_divergence_of_cells() -> None:
    torch.manual_seed(0)
    maps = random_tensor(3, 4, 5, 5).double()
    gaze = random_gaze(("cc",), 40, exams=3, lacking=(1,))
    term = GazeDecoder(("cc",), 4, hidden=3).double()
    came = term(output_of({"cc": maps}), batch_of(gaze))
    predicted = [_log_density(term, each) for each in maps.numpy()]
    for exam in (0, 2):
        heat = gaze["cc"][exam].double().numpy().reshape(10, 4, 10, 4).mean(axis=(1, 3))
        density = heat / heat.sum()
        expected = sum(
            density[i, j] * (math.log(density[i, j]) - predicted[exam][i, j])
            for i in range(10)
            for j in range(10)
            if density[i, j] > 0
        )
        assert came[exam, 0].item() == pytest.approx(expected, rel=1e-5)
    assert came[1].isnan().all()


def test_mask_alignment_is_the_share_outside_the_lesion() -> None:
    maps = random_tensor(2, 3, 8, 8).requires_grad_()
    mask = torch.zeros(2, 8, 8)
    mask[0, 2:5, 3:6] = 1
    came = MaskAlignment(("cc",), 3)(output_of({"cc": maps}), batch_of(masks={"cc": mask}, exams=2))
    attention = (
        -maps[0].sum(dim=0).detach().numpy() / 64
    )  # label 0: the score is the negative sum of the pooled maps
    positive = np.maximum(attention, 0)
    assert came[0, 0].item() == pytest.approx(1 - positive[2:5, 3:6].sum() / positive.sum(), rel=1e-5)
    assert came[1].isnan().all()


def test_next_fixation_is_the_cross_entropy_of_the_next_cell() -> None:
    torch.manual_seed(0)
    maps = random_tensor(2, 3, 4, 5).double()
    gaze = random_gaze(("cc",), 40, exams=2, readers=2)
    gaze.fixations["cc"][0, 2, X] = -5  # off the image: neither step to nor from it counts
    term = NextFixation(("cc",), 3, features=4).double()
    term.returning.data.fill_(-0.7)
    came = term(output_of({"cc": maps}), batch_of(gaze, exams=2))
    for exam in range(2):
        rows = gaze.fixations["cc"][exam].double().numpy()
        places = maps[exam].flatten(1).T.numpy()  # [cells, C]
        keys = places @ term.key.weight.detach().numpy().T
        surprises = []
        for t in range(len(rows) - 1):
            now, then = rows[t], rows[t + 1]
            on_image = all(0 <= each[X] < 40 and 0 <= each[Y] < 40 for each in (now, then))
            if not on_image or now[SLOT] != then[SLOT]:
                continue
            own = [row for row in rows[: t + 1] if row[SLOT] == now[SLOT] and 0 <= row[X] < 40]
            path = [int(row[Y] * 4 / 40) * 5 + int(row[X] * 5 / 40) for row in own]
            state = np.concatenate([places[path[-1]], places[path].mean(axis=0)])
            query = term.query.weight.detach().numpy() @ state + term.query.bias.detach().numpy()
            scores = keys @ query / 2 - 0.7 * np.log1p(np.bincount(path, minlength=20))
            cell = int(then[Y] * 4 / 40) * 5 + int(then[X] * 5 / 40)
            surprises.append(np.log(np.exp(scores).sum()) - scores[cell])
        assert came[exam, 0].item() == pytest.approx(np.mean(surprises), rel=1e-6)


def _circling(seed: int, exams: int, *, ordered: bool) -> tuple[Tensor, Gaze]:
    """Readers who look at four bright spots of their own colours in a fixed order of the colours."""
    generator = torch.Generator().manual_seed(seed)
    maps = 0.1 * torch.randn(exams, 4, 6, 6, generator=generator)
    gaze = random_gaze(("cc",), 60, exams=exams, fixations=4)
    rows = gaze.fixations["cc"]
    for exam in range(exams):
        spots = torch.randperm(36, generator=generator)[:4]
        for colour, spot in enumerate(spots.tolist()):
            maps[exam, colour, spot // 6, spot % 6] = 3.0
        order = range(4) if ordered else torch.randperm(4, generator=generator).tolist()
        for place, colour in enumerate(order):
            rows[exam, place, X] = 10.0 * (int(spots[colour]) % 6) + 5
            rows[exam, place, Y] = 10.0 * (int(spots[colour]) // 6) + 5
    return maps, gaze


def _learnt(*, ordered: bool) -> float:
    """The cross-entropy per step on readers that were not learnt from."""
    torch.manual_seed(0)
    term = NextFixation(("cc",), 4, features=8)
    optimiser = torch.optim.Adam(term.parameters(), lr=0.03)
    maps, gaze = _circling(1, 60, ordered=ordered)
    for _ in range(150):
        optimiser.zero_grad()
        loss = term(output_of({"cc": maps}), batch_of(gaze, exams=60)).nanmean()
        loss.backward()
        optimiser.step()
    maps, gaze = _circling(2, 60, ordered=ordered)
    with torch.no_grad():
        return float(term(output_of({"cc": maps}), batch_of(gaze, exams=60)).nanmean())


def test_shuffled_order_removes_what_order_adds() -> None:
    """With the colours in order the next spot is known; without, one of those left: log(3!) / 3 at best."""
    in_order, shuffled = _learnt(ordered=True), _learnt(ordered=False)
    assert in_order < 0.2
    assert shuffled > 0.95 * math.log(6) / 3


def test_a_predicted_path_goes_where_readers_go() -> None:
    torch.manual_seed(0)
    term = NextFixation(("cc",), 4, features=8)
    optimiser = torch.optim.Adam(term.parameters(), lr=0.03)
    maps, gaze = _circling(1, 60, ordered=True)
    for _ in range(150):
        optimiser.zero_grad()
        term(output_of({"cc": maps}), batch_of(gaze, exams=60)).nanmean().backward()
        optimiser.step()
    maps, _ = _circling(3, 20, ordered=True)
    paths = term.predict(output_of({"cc": maps}), fixations=3)["cc"]
    assert paths.shape == (20, 3, 2) and (paths > 0).all() and (paths < 1).all()
    cells = (paths[..., 1] * 6).long() * 6 + (paths[..., 0] * 6).long()
    colours = maps.flatten(2).gather(2, cells[:, None].expand(-1, 4, -1)).argmax(dim=1)  # [20, 3]
    follows = (colours[:, 1:] == (colours[:, :-1] + 1)) | (colours[:, :-1] == 3)
    assert follows.float().mean() > 0.9


def test_a_predicted_path_takes_the_most_probable_cell_of_a_grid_that_is_not_square() -> None:
    torch.manual_seed(0)
    maps = random_tensor(2, 3, 4, 5).double()
    term = NextFixation(("cc",), 3, features=4).double()
    term.returning.data.fill_(-0.7)
    paths = term.predict(output_of({"cc": maps}), fixations=4)["cc"]
    key, query, bias = (
        each.detach().numpy() for each in (term.key.weight, term.query.weight, term.query.bias)
    )
    for exam in range(2):
        places = maps[exam].flatten(1).T.numpy()  # [cells, C]
        keys, mean = places @ key.T, places.mean(axis=0)
        path = [int((keys @ (query @ np.r_[mean, mean] + bias)).argmax())]
        while len(path) < 4:
            state = np.r_[places[path[-1]], places[path].mean(axis=0)]
            scores = keys @ (query @ state + bias) / 2 - 0.7 * np.log1p(np.bincount(path, minlength=20))
            path.append(int(scores.argmax()))
        expected = [((cell % 5 + 0.5) / 5, (cell // 5 + 0.5) / 4) for cell in path]
        np.testing.assert_allclose(paths[exam], expected, rtol=1e-6)


def test_the_state_of_a_reader_forgets_the_recording_before() -> None:
    """Two recordings of one reader say the mean of what each says alone, weighted by its steps."""
    torch.manual_seed(0)
    maps = output_of({"cc": random_tensor(1, 4, 5, 5)})
    rows = random_gaze(("cc",), 40, exams=1, fixations=7).fixations["cc"]
    rows[..., X], rows[..., Y] = torch.arange(7) * 5.0 + 2, torch.tensor([3.0, 30, 12, 21, 3, 38, 3])
    rows[0, :, SLOT] = 0
    rows[0, :, RECORDING] = torch.tensor([1.0, 1, 1, 1, 2, 2, 2])
    term = NextFixation(("cc",), 4, features=3)
    term.returning.data.fill_(-1.0)

    def said(part: Tensor) -> float:
        return term(maps, batch_of(Gaze({"cc": part}, (40, 40)), exams=1)).item()

    assert said(rows) == pytest.approx((3 * said(rows[:, :4]) + 2 * said(rows[:, 4:])) / 5, rel=1e-6)
