"""Several processes compute the result of one on the whole batch, for any number of them and any share of exams."""

import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tiny import tiny, without_batch_norm
from torch import Tensor, nn
from torch.nn import functional

import gazekit
from gazekit.contracts.types import Batch
from gazekit.distributed.processes import count, gathered, rank, share, total
from gazekit.distributed.rendezvous import agree
from gazekit.distributed.sharing import (
    any_of_all,
    check_alike,
    from_writer,
    own_rows,
    sum_gradients,
    synchronise_batch_norm,
)
from gazekit.errors import ConfigurationError, DataError
from gazekit.feeding.batches import epoch_batches
from gazekit.feeding.feed import prepared_exams
from gazekit.modelling.build import build_model, build_objective
from gazekit.modelling.objective import balanced_weights
from gazekit.prediction.predictions import predict
from gazekit.prepared.dataset import PreparedDataset
from gazekit.training.checking.checks import check_processes
from gazekit.training.computing.execution import prepare_execution
from gazekit.training.computing.step import TrainingStep
from gazekit.training.optimising.optimiser import make_optimizer
from gazekit.training.optimising.recipe import Recipe

Work = Callable[..., Any]


def together(processes: int, work: Work, folder: Path, *arguments: object) -> list[Any]:
    """What ``work`` returns in each of some processes; ``[work(...)]`` here for one."""
    if processes == 1:
        return [work(*arguments)]
    method = "spawn" if torch.cuda.is_available() else "fork"  # a fork need not import everything again
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        arguments = (processes, work, str(folder), arguments)
        mp.start_processes(_one, arguments, nprocs=processes, start_method=method)
    return [torch.load(folder / f"{number}.pt", weights_only=False) for number in range(processes)]


def _one(number: int, processes: int, work: Work, folder: str, arguments: tuple[object, ...]) -> None:
    torch.set_num_threads(1)
    store = Path(folder, f"store{processes}").as_uri()
    dist.init_process_group("gloo", init_method=store, rank=number, world_size=processes)
    torch.save(work(*arguments), Path(folder, f"{number}.pt"))
    dist.destroy_process_group()


def _double(batch: Batch) -> Batch:
    return batch.map(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


def _ten_steps(root: str, preset_name: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    """Weights, statistics and losses of ten steps, batches of 5 or 6 exams; in float64 if not in half precision."""
    registry = gazekit.load_registry()
    dataset = PreparedDataset.open(Path(root))
    preset = tiny(registry, "training.batch_size=6", *overrides, preset=preset_name)
    torch.manual_seed(3)
    half = preset.training.amp != "off"
    kind = torch.float32 if half else torch.float64
    model = build_model(preset, registry, classes=2).to(kind)
    if (
        preset.training.accumulate > 1
    ):  # its parts are other ones with more processes, and batch norm sees parts
        without_batch_norm(model)
    objective = build_objective(preset, registry, model, class_weights=torch.tensor([0.7, 1.9])).to(kind)
    optimizer = make_optimizer(
        nn.ModuleDict({"model": model, "objective": objective}), Recipe.of(preset.training, registry)
    )
    step = TrainingStep(model, objective, optimizer, preset.training)
    prepare_execution(model.train(), preset.training)
    synchronise_batch_norm(model)
    exams = prepared_exams(
        dataset,
        np.arange(len(dataset)),
        preset,
        torch.device("cpu"),
        with_gaze=preset.gaze is not None,
        with_masks="masks" in objective.needs,
    )
    losses = []
    for epoch in range(3):
        balanced = dataset.labels[:23] if preset.training.sampling == "balanced" else None
        for rows in epoch_batches(23, 6, seed=1, epoch=epoch, labels=balanced)[: 10 - len(losses)]:
            partners = [own_rows(np.roll(rows, 1))]
            (batch,) = exams.augmented(
                [own_rows(rows)], preset.training.augmentation, seed=1, epoch=epoch, partners=partners
            )
            _, terms = step(batch if half else _double(batch))
            losses.append({name: float(term) for name, term in terms.items()})
    return {"weights": dict(model.state_dict()), "losses": losses}


PRESETS = [
    ("mammonet_small", ()),
    ("mammonet_small", ("backbone.use=timm", "backbone.model=resnet10t", "backbone.pretrained=false")),
    ("late_concat", ()),
    ("ga_net", ()),
    ("mammonet_small", ("training.accumulate=2",)),
    (
        "mammonet_small",
        (
            "terms.spots.alignment_loss=nss",
            "terms.decoder.use=gaze_decoder",
            "terms.order.use=next_fixation",
            "terms.lesions.use=mask_alignment",
        ),
    ),
]


def _compare(
    dataset: PreparedDataset, folder: Path, processes: int, name: str, overrides: tuple[str, ...]
) -> None:
    arguments = (str(dataset.root), name, overrides)
    alone = _ten_steps(*arguments)
    for came in together(processes, _ten_steps, folder, *arguments):
        torch.testing.assert_close(came["weights"], alone["weights"], rtol=1e-7, atol=1e-8)
        for here, there in zip(came["losses"], alone["losses"], strict=True):
            assert here == pytest.approx(
                there, rel=1e-8, nan_ok=True
            )  # a term without a step between fixations


def test_two_processes_make_the_steps_of_one(dataset: PreparedDataset, tmp_path: Path) -> None:
    _compare(dataset, tmp_path, 2, *PRESETS[0])


RECIPE = (
    "training.sampling=balanced",
    "training.augmentation={mixup=0.4, gain=0.2, noise=0.02}",
    "training.ema=0.9",
    "training.optimizer=sgd",
    "training.groups.backbones.learning_rate=1e-4",
    "loss.label_smoothing=0.1",
    "loss.focal_gamma=1.5",
)


@pytest.mark.parametrize("parts", [1, 2])
def test_two_processes_make_the_steps_of_one_by_any_recipe(
    dataset: PreparedDataset, tmp_path: Path, parts: int
) -> None:
    _compare(dataset, tmp_path, 2, "mammonet_small", (*RECIPE, f"training.accumulate={parts}"))


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize(("name", "overrides"), PRESETS)
def test_more_processes_and_presets_make_the_steps_of_one(
    dataset: PreparedDataset, tmp_path: Path, processes: int, name: str, overrides: tuple[str, ...]
) -> None:
    _compare(dataset, tmp_path, processes, name, overrides)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bf16", "fp16"])
def test_processes_in_half_precision_stay_together(
    dataset: PreparedDataset, tmp_path: Path, kind: str
) -> None:
    arguments = (str(dataset.root), "mammonet_small", (f"training.amp={kind}",))
    alone = _ten_steps(*arguments)
    one, other = together(2, _ten_steps, tmp_path, *arguments)
    torch.testing.assert_close(one["weights"], other["weights"], rtol=0, atol=0)
    for step, (here, there) in enumerate(zip(one["losses"], alone["losses"], strict=True)):
        drift = 0.005 if step < 5 else 0.05  # rounding grows from step to step
        assert here == pytest.approx(there, rel=drift, abs=drift)


def _pieces(root: str) -> dict[str, Any]:
    """All that processes do together, with exams that they share unevenly: 5 rows for 4, none for some."""
    rows = own_rows(np.arange(5))
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    own = values[rows].requires_grad_()
    everyone, first = gathered(own)
    weights = torch.arange(15.0, dtype=torch.float64).view(5, 3)
    (weights[rows] * everyone[first : first + len(rows)]).sum().backward()
    few = values[:2][rows[rows < 2]]
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.full((3,), 1.0) if rank() == 0 else None
    unused = nn.Parameter(torch.zeros(2))
    sum_gradients([parameter, unused])
    registry = gazekit.load_registry()
    dataset = PreparedDataset.open(Path(root))
    preset = tiny(registry)
    torch.manual_seed(0)
    exams = prepared_exams(dataset, np.arange(7), preset, torch.device("cpu"), with_gaze=False)
    model = build_model(preset, registry, classes=2)
    return {
        "gathered": everyone.detach(),
        "gradient": gathered(own.grad if own.grad is not None else torch.zeros_like(own))[0],
        "few": gathered(few)[0],
        "shares": total(share(torch.tensor(float(len(rows))))),
        "asked": any_of_all(rank() == count() - 1),
        "text": from_writer(f"from {rank()}"),
        "gradients": (parameter.grad, unused.grad),
        "logits": predict(model, exams, batch_size=3).logits,  # 3 batches: one of 4 processes has none
        "norm": _normalised(values, rows),
    }


def _further(root: str) -> dict[str, np.ndarray[Any, Any]]:
    """Predictions of two further targets for exams of a single batch."""
    registry, dataset = gazekit.load_registry(), PreparedDataset.open(Path(root))
    classes = {"mass": ("no", "yes"), "density": ("A", "B", "C")}
    unknown = {name: np.full(len(dataset), -1) for name in classes}
    dataset = replace(dataset, targets=unknown, target_classes=classes)
    preset = tiny(registry, *(f"targets.{name}=1.0" for name in classes))
    torch.manual_seed(0)
    model = build_model(preset, registry, classes=2, targets=classes)
    exams = prepared_exams(dataset, np.arange(5), preset, torch.device("cpu"), with_gaze=False)
    predictions = predict(model, exams, batch_size=5)
    return {"label": predictions.probabilities, **predictions.further}


def test_a_process_without_a_batch_gets_the_further_targets_too(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    alone = _further(str(dataset.root))
    assert {name: each.shape for name, each in alone.items()} == {
        "label": (5, 2),
        "mass": (5, 2),
        "density": (5, 3),
    }
    for came in together(2, _further, tmp_path, str(dataset.root)):
        assert came.keys() == alone.keys()
        for name, each in alone.items():
            assert np.array_equal(came[name], each), name


def _normalised(values: Tensor, rows: np.ndarray[Any, Any]) -> list[Tensor]:
    """Batch norm, its gradients, and the gradient of its gradient."""
    norm = nn.BatchNorm1d(3, momentum=0.3).double()
    nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
    synchronise_batch_norm(norm)
    own = values[rows].requires_grad_()
    out = norm(own)
    (slope,) = torch.autograd.grad(out.square().mul(0.5).sum() + out.sin().sum(), own, create_graph=True)
    slope.cos().sum().backward()
    sum_gradients(norm.parameters())
    assert own.grad is not None
    results = [gathered(out.detach())[0], gathered(own.grad)[0], norm.weight.grad, norm.running_mean]
    return [result for result in (*results, norm.running_var) if result is not None]


def test_uneven_shares_and_batch_norm_are_exact(dataset: PreparedDataset, tmp_path: Path) -> None:
    alone = _pieces(str(dataset.root))
    assert torch.equal(alone["gradient"], torch.arange(15.0, dtype=torch.float64).view(5, 3))
    for came in together(4, _pieces, tmp_path, str(dataset.root)):
        for key in ("gathered", "gradient", "few", "shares"):
            assert torch.equal(came[key], alone[key]), key
        assert came["asked"] and came["text"] == "from 0"
        assert torch.equal(came["gradients"][0], torch.ones(3)) and came["gradients"][1] is None
        assert np.array_equal(came["logits"], alone["logits"])  # to the bit: whole batches are shared out
        torch.testing.assert_close(came["norm"], alone["norm"], rtol=1e-9, atol=1e-12)


def _differ() -> str:
    with pytest.raises(
        DataError, match="see different checkpoints: 0, 1; run directory and data must be on"
    ) as error:
        check_alike(rank(), "checkpoints")
    preset = tiny(gazekit.load_registry(), "training.batch_size=1")
    with pytest.raises(
        ConfigurationError, match="2 processes cannot share batches of 1 of the 9 training exams"
    ):
        check_processes(preset, 9)
    return str(error.value)


def test_what_cannot_be_shared_is_refused_by_all(tmp_path: Path) -> None:
    assert len(set(together(2, _differ, tmp_path))) == 1


def test_one_process_normalises_as_torch_does() -> None:
    from gazekit.distributed.sharing import global_batch_norm

    values = torch.randn(6, 4, 5, 3).to(memory_format=torch.channels_last).requires_grad_()
    weight, bias = torch.rand(4, requires_grad=True), torch.rand(4, requires_grad=True)
    results = []
    for norm in (global_batch_norm, functional.batch_norm):
        mean, variance = torch.zeros(4), torch.ones(4)
        out = norm(values, mean, variance, weight, bias, True, 0.1, 1e-5)
        gradients = torch.autograd.grad(out.sin().sum(), [values, weight, bias])
        results.append([out.detach(), mean, variance, *gradients])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)
    assert results[0][0].is_contiguous(memory_format=torch.channels_last)


def test_balanced_weights_of_several_classes_are_normalised_over_all(tmp_path: Path) -> None:
    alone = _three_classes()
    for came in together(2, _three_classes, tmp_path):
        torch.testing.assert_close(came, alone, rtol=1e-10, atol=0)


def _three_classes() -> Tensor:
    """Cross-entropy of 5 exams of 3 classes with weights, over all processes."""
    from gazekit.contracts.types import Output
    from gazekit.modelling.objective import Objective

    labels = torch.tensor([0, 1, 2, 2, 2])
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    objective = Objective(class_weights=balanced_weights(labels, 3).double())
    rows = own_rows(np.arange(5))
    output = Output(logits[rows], {}, {}, {}, logits[rows])
    batch = Batch(images={}, labels=labels[rows])
    return total(objective(output, batch).total)


def test_a_store_that_a_former_life_has_used_misleads_nobody(tmp_path: Path) -> None:
    store, patience = dist.HashStore(), timedelta(seconds=30)
    store.set("gazekit/hello/1", "a process that has died")
    words: list[str] = []
    lives = [
        threading.Thread(target=lambda rank=rank: words.append(agree(store, rank, 3, patience)))
        for rank in (0, 1, 2)
    ]
    for life in lives:
        life.start()
    for life in lives:
        life.join()
    assert len(words) == 3 and len(set(words)) == 1
