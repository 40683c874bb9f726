"""Terms of the loss in a whole training: readers by name, learnt attention maps, balance, resume."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_data import write_exams
from made_preparation import prepare
from tiny import SMALL, random_batch, tiny

import gazekit
from gazekit.contracts.gaze import Gaze
from gazekit.contracts.heat_map import X
from gazekit.contracts.interfaces import Term
from gazekit.contracts.types import Batch, Output
from gazekit.errors import ConfigurationError, DataError
from gazekit.modelling.alignment import Alignment
from gazekit.modelling.build import build_model, build_objective
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.index import write_table
from gazekit.prepared.splits import indices_of, make_split
from gazekit.prepared.verification import seal
from gazekit.registry.registry import Registry
from gazekit.runs.trained import open_trained
from gazekit.testing.promises import random_gaze, random_tensor
from gazekit.training.checking.checks import doubts

SHORT = ("training.epochs=2", "training.batch_size=8", "training.learning_rate=0.01")
SCALED = '''
"""An attention map with a parameter: CAM-like, times a scale that learns."""
from collections.abc import Mapping
import torch
from torch import nn
from gazekit.contracts.hookspecs import hookimpl


class Scaled(nn.Module):
    """``H = a + s * sum_c f_c`` with learnt a and s.

    Args:
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(()))
        self.shift = nn.Parameter(torch.randn(()))

    def forward(self, output, target):
        sign = torch.where(target > 0, 1.0, -1.0)[:, None, None]
        return {v: sign * (self.shift + self.scale * f.sum(1)) for v, f in output.features.items()}


@hookimpl
def gazekit_attention_maps() -> Mapping[str, type]:
    return {"scaled": Scaled}
'''


@pytest.fixture
def read(dataset: PreparedDataset, tmp_path: Path) -> PreparedDataset:
    """The shared data with several fixations of two readers, one of whom did not read every third exam."""
    from gazekit.prepared.exam_record import FIXATION_COLUMNS, SIGMA_COLUMNS

    root = tmp_path / "read"
    shutil.copytree(dataset.root, root)
    random = np.random.default_rng(0)
    rows = []
    for number, exam in enumerate(dataset.exam_ids):
        for view in dataset.views:
            for reader in ("Ann",) if number % 3 == 0 else ("Ann", "Bob"):
                for step in range(4):
                    x, y = (random.random(2) * 16).tolist()
                    rows.append([exam, view, reader, x, y, 300.0 * step, 200.0, 1.5, 1.5])
    write_table(root / "fixations.csv", (*FIXATION_COLUMNS, *SIGMA_COLUMNS), rows)
    index = (root / "index.csv").read_text().splitlines()
    column = index[0].split(",").index("has_gaze")
    lines = [line.split(",") for line in index[1:]]
    text = [index[0], *(",".join([*line[:column], "1", *line[column + 1 :]]) for line in lines)]
    (root / "index.csv").write_text("\n".join(text) + "\n")
    seal(root)
    return PreparedDataset.open(root)


def train(preset: Any, data: PreparedDataset, out: Path, registry: Registry, **options: Any) -> Any:
    return gazekit.train(preset, data, out, registry=registry, device="cpu", note=lambda _: None, **options)


def losses(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


MANY = (
    "terms.divergence.alignment_loss=kl",
    "terms.divergence.weight=0.3",
    "terms.spots.alignment_loss=nss",
    "terms.spots.weight=0.1",
    "terms.decoder.use=gaze_decoder",
    "terms.decoder.hidden=4",
    "terms.order.use=next_fixation",
    "terms.order.features=4",
    "terms.lesions.use=mask_alignment",
)


def test_several_terms_train_together_and_resume_to_the_bit(
    registry: Registry, read: PreparedDataset, tmp_path: Path
) -> None:
    preset = tiny(registry, *MANY, *SHORT, "gaze.readers=sampled")
    whole = train(preset, read, tmp_path / "whole", registry)
    assert set(losses(whole.run.path)[0]) >= {
        "gaze",
        "divergence",
        "spots",
        "decoder",
        "order",
        "lesions",
        "bfl",
    }
    assert all(np.isfinite(line["order"]) for line in losses(whole.run.path))
    shorter = tiny(registry, *MANY, *SHORT, "gaze.readers=sampled", "training.epochs=1")
    train(shorter, read, tmp_path / "parts", registry)
    again = train(preset, read, tmp_path / "parts", registry, resume=True)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_readers_are_chosen_by_name_and_one_may_lack_exams(
    registry: Registry, read: PreparedDataset, tmp_path: Path
) -> None:
    ann, bob, both = (
        losses(
            train(tiny(registry, f"gaze.readers={names}", *SHORT), read, tmp_path / name, registry).run.path
        )
        for name, names in (("ann", '["Ann"]'), ("bob", '["Bob"]'), ("both", '["Ann","Bob"]'))
    )
    values = {round(each[0]["gaze"], 6) for each in (ann, bob, both)}
    assert len(values) == 3
    with pytest.raises(ConfigurationError, match="no reader 'Zoe'"):
        train(tiny(registry, 'gaze.readers=["Zoe"]', *SHORT), read, tmp_path / "zoe", registry)
    assert not (tmp_path / "zoe").exists()


def test_a_learnt_attention_map_is_the_same_after_load(
    read: PreparedDataset, tmp_path: Path, distribution: Any
) -> None:
    distribution("scaled", "1.0", SCALED)
    registry = gazekit.load_registry()
    preset = tiny(registry, "attention_map=scaled", *SHORT)
    trained = train(preset, read, tmp_path / "run", registry)
    for which in ("selected", "last"):
        loaded = gazekit.load(tmp_path / "run", registry=registry, device="cpu", weights=which)
        again = gazekit.load(tmp_path / "run", registry=registry, device="cpu", weights=which)
        assert isinstance(loaded.attention_map, torch.nn.Module) and isinstance(
            again.attention_map, torch.nn.Module
        )
        learnt, twice = (each.attention_map.state_dict() for each in (loaded, again))
        assert all(torch.equal(learnt[name], twice[name]) for name in learnt)
        maps = [each.predict(read, "test").attention["cc"] for each in (loaded, again)]
        np.testing.assert_array_equal(*maps)
    from gazekit.runs.checkpoints import checkpoint

    stored = checkpoint.load_latest(trained.run.checkpoints, report=print)
    assert stored is not None
    last = gazekit.load(tmp_path / "run", registry=registry, device="cpu", weights="last").attention_map
    assert isinstance(last, torch.nn.Module)
    assert torch.equal(stored.weights["objective.attention_map.scale"], last.state_dict()["scale"])


def test_a_run_says_that_its_plugin_has_another_version(
    read: PreparedDataset, tmp_path: Path, distribution: Any
) -> None:
    distribution("scaled", "1.0", SCALED)
    registry = gazekit.load_registry()
    train(tiny(registry, "attention_map=scaled", *SHORT), read, tmp_path / "run", registry)
    said: list[str] = []
    open_trained(tmp_path / "run", registry, torch.device("cpu"), report=said.append)
    assert said == []
    shutil.move(tmp_path / "scaled-1.0.dist-info", tmp_path / "away")
    distribution("scaled", "1.1", SCALED)
    open_trained(tmp_path / "run", gazekit.load_registry(), torch.device("cpu"), report=said.append)
    (text,) = said
    assert "was made with scaled 1.0; here it is scaled 1.1, whose attention map 'scaled' may compute" in text
    with pytest.raises(ConfigurationError, match=r"run was made with scaled 1\.0, not installed here$"):
        open_trained(tmp_path / "run", gazekit.load_registry(disable=["scaled"]), torch.device("cpu"))


def test_balanced_terms_pull_as_hard_as_classification(registry: Registry) -> None:
    torch.manual_seed(0)
    preset = tiny(registry, *MANY, "loss.balance=gradient")
    model = build_model(preset, registry, classes=2).train()
    objective = build_objective(preset, registry, model)
    batch = random_batch(preset.views, exams=6)
    masks = {view: (image[:, 0] > 1).float() for view, image in batch.images.items()}
    from dataclasses import replace

    batch = replace(batch, gaze=random_gaze(preset.views, 32, exams=6), masks=masks)
    output = model(batch.images)
    objective.balance(output, batch)
    maps = list(output.features.values())

    def norm(loss: torch.Tensor) -> float:
        gradients = torch.autograd.grad(loss, maps, retain_graph=True, allow_unused=True)
        return float(torch.cat([each.flatten() for each in gradients if each is not None]).norm())

    reference = norm(objective.classification(output.logits, batch.labels))
    assert objective.factors is not None
    for number, values in enumerate(objective.values(output, batch).values()):
        assert norm(objective.factors[number] * values.nanmean()) == pytest.approx(reference, rel=1e-4)
    total = objective(output, batch)
    expected = total.terms["classification"] + 0.2 * total.terms["bfl"]
    for number, name in enumerate(objective.terms):
        expected = expected + objective.weights[name] * objective.factors[number] * total.terms[name]
    torch.testing.assert_close(total.total, expected)


def test_a_term_whose_gradient_is_not_finite_leaves_no_factor(registry: Registry) -> None:
    class Infinite(Term):
        """The gradient of a root at 0 is infinite."""

        def forward(self, output: Output, batch: Batch) -> torch.Tensor:
            return (output.logits[:, 0] - output.logits[:, 0].detach()).sqrt()

    preset = tiny(registry, "loss.balance=gradient")
    model = build_model(preset, registry, classes=2).train()
    objective = build_objective(preset, registry, model)
    objective.terms["root"] = Infinite()
    objective.register_buffer("factors", torch.ones(2))
    batch = replace(random_batch(preset.views, exams=4), gaze=random_gaze(preset.views, 32))
    assert objective.balance(model(batch.images), batch) == ["root"]
    assert objective.factors is not None and bool(objective.factors.isfinite().all())


def test_the_factors_are_kept_with_the_run(registry: Registry, read: PreparedDataset, tmp_path: Path) -> None:
    from gazekit.runs.checkpoints import checkpoint

    run = train(tiny(registry, "loss.balance=gradient", *SHORT), read, tmp_path / "run", registry).run
    first, last = (checkpoint.load(path) for path in checkpoint.steps_of(run.checkpoints))
    factors = first.weights["objective.factors"]
    assert torch.equal(factors, last.weights["objective.factors"]) and factors.item() not in (0.0, 1.0)


def test_a_term_is_balanced_on_exams_that_have_what_it_needs(
    registry: Registry, read: PreparedDataset, tmp_path: Path
) -> None:
    """Zoe alone looked at one training exam, which the first batches of the training do not hold."""
    from gazekit.feeding.batches import epoch_batches
    from gazekit.prepared.splits import indices_of, make_split
    from gazekit.runs.checkpoints import checkpoint

    split = make_split(read)
    training = indices_of(read, split, "train")
    exam = read.exam_ids[training[epoch_batches(len(training), 2, seed=0, epoch=0)[-1][0]]]
    header, *rows = (read.root / "fixations.csv").read_text().splitlines()
    rows = [row.replace(",Ann,", ",Zoe,") if row.startswith(f"{exam},") else row for row in rows]
    (read.root / "fixations.csv").write_text("\n".join([header, *rows]) + "\n")
    seal(read.root)
    preset = tiny(registry, "loss.balance=gradient", *SHORT, "training.batch_size=2", 'gaze.readers=["Zoe"]')
    run = train(preset, PreparedDataset.open(read.root), tmp_path / "run", registry, split=split).run
    first = checkpoint.load(checkpoint.steps_of(run.checkpoints)[0])
    assert first.weights["objective.factors"].item() not in (0.0, 1.0)


def test_a_term_that_cannot_be_balanced_is_refused(
    registry: Registry, read: PreparedDataset, dataset: PreparedDataset, tmp_path: Path
) -> None:
    inner = ("attention_map.use=layer_cam", "attention_map.stage=3")
    with pytest.raises(
        ConfigurationError, match=r"the term 'gaze' does not depend .* set loss.balance=none, or"
    ):
        train(tiny(registry, "loss.balance=gradient", *inner, *SHORT), read, tmp_path / "run", registry)
    alone = "terms.order.use=next_fixation"  # of a single fixation there is no next one
    with pytest.raises(
        ConfigurationError,
        match=r"cannot balance the term 'order', .* no gradient, or none that is finite, on tr",
    ):
        train(tiny(registry, "loss.balance=gradient", alone, *SHORT), dataset, tmp_path / "run", registry)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("readers", ["mean", "each"])
def test_a_batch_in_parts_has_the_terms_of_the_whole(registry: Registry, readers: str) -> None:
    from dataclasses import replace

    from tiny import without_batch_norm
    from torch import nn

    from gazekit.training.computing.step import TrainingStep
    from gazekit.training.optimising.optimiser import make_optimizer
    from gazekit.training.optimising.recipe import Recipe

    batch = random_batch(("cc", "mlo"), exams=7)
    masks = {view: (image[:, 0] > 1).float() for view, image in batch.images.items()}
    gaze = random_gaze(("cc", "mlo"), 32, exams=7, readers=2, lacking=(0, 1, 2))
    batch = replace(batch, gaze=gaze, masks=masks).map(
        lambda each: each.double() if each.is_floating_point() else each
    )
    found = []
    for parts in (1, 3):
        preset = tiny(registry, *MANY, f"gaze.readers={readers}", f"training.accumulate={parts}")
        torch.manual_seed(0)
        model = build_model(preset, registry, classes=2).train()
        without_batch_norm(model)
        objective = build_objective(preset, registry, model).double()
        optimizer = make_optimizer(
            nn.ModuleDict({"model": model, "objective": objective}), Recipe.of(preset.training, registry)
        )
        step = TrainingStep(model, objective, optimizer, preset.training)
        found.append((step(batch)[1], {name: p.detach().clone() for name, p in model.named_parameters()}))
    (whole, weights), (terms, came) = found
    torch.testing.assert_close(terms, whole, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(came, weights, rtol=1e-7, atol=1e-9)


def test_without_gaze_no_term_reads_it(registry: Registry) -> None:
    preset = tiny(registry, *MANY, "gaze=none")
    model = build_model(preset, registry, classes=2)
    objective = build_objective(preset, registry, model)
    assert list(objective.terms) == ["lesions"] and objective.needs == {"masks"}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("terms.extra.weight=1",), "either use = NAME"),
        (("terms.extra.use=next_fixation", "terms.extra.alignment_loss=kl"), "either use = NAME"),
        (("terms.extra.use=mask_alignment", "terms.extra.target=positive"), "'target' is of an alignment"),
        (
            ("terms.extra.use=mask_alignment", "terms.extra.attention_map=cam"),
            "'attention_map' is of an alig",
        ),
        (("terms.extra.use=next_fixatoin",), "Did you mean 'next_fixation'"),
        (("terms.extra.use=next_fixation", "terms.extra.featurse=3"), "featurse"),
        (("terms.extra.alignment_loss=kl", "terms.extra.temprature=3"), "temprature"),
        (("terms.gaze.use=next_fixation",), "cannot name a term"),
        (("gaze.readers=everybody",), 'expected "mean", "each"'),
        (("gaze.window_ms=[2000, 1000]",), r"expected \[from, to\]"),
    ],
)
def test_faulty_terms_are_said_with_their_key(
    registry: Registry, overrides: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        tiny(registry, *overrides)


def test_masks_that_no_training_exam_has_are_missed_before_the_run(
    registry: Registry, dataset: PreparedDataset, tmp_path: Path
) -> None:
    blind = PreparedDataset.open(dataset.root)
    blind.__dict__["has_mask"] = np.zeros_like(blind.has_mask)
    with pytest.raises(DataError, match="lesion mask"):
        train(tiny(registry, "terms.lesions.use=mask_alignment"), blind, tmp_path / "run", registry)
    assert not (tmp_path / "run").exists()


DECODER = ("use=gaze_decoder", "hidden=4")


@pytest.mark.parametrize("setting", ["gaze.minimum_duration_ms=100000", "gaze.window_ms=[90000,100000]"])
def test_settings_that_leave_no_fixation(
    registry: Registry, read: PreparedDataset, tmp_path: Path, setting: str
) -> None:
    with pytest.raises(DataError, match=r"no fixation of the \d+ training exams is left"):
        train(tiny(registry, setting, *SHORT), read, tmp_path / "run", registry)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["epoch", "step", "val_auc", "val_loss", "best_epoch", "skipped_steps"])
def test_a_term_named_like_a_number_of_the_metrics(registry: Registry, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a term"):
        tiny(registry, *(f"terms.{name}.{each}" for each in DECODER))


@pytest.mark.parametrize(("name", "said"), [("training", "cannot name a term"), ("bfl", "another name")])
def test_a_term_named_like_a_part_of_the_objective(
    registry: Registry, read: PreparedDataset, tmp_path: Path, name: str, said: str
) -> None:
    preset = tiny(registry, *(f"terms.{name}.{each}" for each in DECODER), *SHORT)
    with pytest.raises(ConfigurationError, match=said):
        train(preset, read, tmp_path / "run", registry)
    assert not (tmp_path / "run").exists()


def test_an_attention_map_of_pictures_alone_that_does_not_fit(
    registry: Registry, read: PreparedDataset, tmp_path: Path
) -> None:
    preset = tiny(registry, "gaze=none", "attention_map.use=layer_cam", "attention_map.stage=9", *SHORT)
    with pytest.raises(ConfigurationError, match="expected a stage of 1 … 4"):
        train(preset, read, tmp_path / "run", registry)
    assert not (tmp_path / "run").exists()


def test_a_training_without_gaze_says_which_terms_it_leaves_out(
    registry: Registry, read: PreparedDataset, tmp_path: Path
) -> None:
    preset = tiny(registry, "gaze=none", "terms.divergence.alignment_loss=kl", *SHORT)
    train(preset, read, tmp_path / "run", registry)
    assert "trains without gaze, so the loss has no divergence" in (tmp_path / "run" / "log.txt").read_text()


def test_a_predicted_scanpath_is_compared_with_the_readers(
    registry: Registry, read: PreparedDataset, tmp_path: Path
) -> None:
    from gazekit.measures.gaze.scanpath import predicted_scanpath, scanpath_similarity, untimed

    preset = tiny(registry, "terms.order.use=next_fixation", "terms.order.features=4", *SHORT)
    train(preset, read, tmp_path / "run", registry)
    trained = gazekit.load(tmp_path / "run", registry=registry, device="cpu")
    found = gazekit.evaluate(trained, read, "test")["metrics"]["scanpaths"]
    assert {"scanmatch", "dtw_distance", "multimatch_shape"} <= set(
        found
    ) and "multimatch_duration" not in found
    predictions = trained.predict(read, "test")
    per_exam = []
    for row, exam in enumerate(predictions.indices.tolist()):
        of_views = []
        for view, paths in predictions.scanpaths.items():
            path = predicted_scanpath(paths[row], read.size)
            each = [scanpath_similarity(path, untimed(own), read.size) for own in read.fixations(exam, view)]
            of_views.append(np.mean([values["dtw_distance"] for values in each]))
        per_exam.append(np.mean(of_views))
    assert found["dtw_distance"]["value"] == pytest.approx(np.mean(per_exam))
    again = gazekit.load(tmp_path / "run", registry=registry, device="cpu").predict(read, "test")
    np.testing.assert_array_equal(again.scanpaths["cc"], predictions.scanpaths["cc"])


def test_a_term_that_says_nothing_is_no_zero(
    registry: Registry, dataset: PreparedDataset, tmp_path: Path
) -> None:
    """The shared data have one fixation an image, after which nobody looks anywhere."""
    run = train(
        tiny(registry, "terms.order.use=next_fixation", *SHORT), dataset, tmp_path / "run", registry
    ).run
    assert [line["order"] for line in losses(run.path)] == [None, None]
    assert all(line["gaze"] > 0 for line in losses(run.path))


@pytest.fixture(scope="module")
def finished(
    raw_folder: Path, tmp_path_factory: pytest.TempPathFactory, registry: Registry
) -> PreparedDataset:
    """The made-up data set with finished heat maps in the place of recordings: its masks."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(raw_folder, folder / "raw")
    table = (folder / "raw" / "exams.csv").read_text().splitlines()
    rows = [dict(zip(table[0].split(","), line.split(","), strict=True)) for line in table[1:]]
    for row in rows:
        for view in ("cc", "mlo"):
            row[f"{view}_heat_map"] = row[f"{view}_mask"]
            del row[f"{view}_gaze"]
    write_exams(folder / "raw", rows)
    source = registry.create("dataset", "folder")
    prepare(source, folder / "raw", folder / "prepared", size=(16, 16), crop="none", jobs=0)
    return PreparedDataset.open(folder / "prepared")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        (("terms.places.alignment_loss=nss",), "places"),
        (("terms.order.use=next_fixation",), "order"),
        (("terms.told.use=gaze_statistics",), "told"),
    ],
)
def test_what_reads_fixations_is_not_trained_on_finished_heat_maps(
    registry: Registry, finished: PreparedDataset, tmp_path: Path, changes: tuple[str, ...], name: str
) -> None:
    with pytest.raises(DataError, match=f"holds finished heat maps, and the loss '{name}'"):
        train(tiny(registry, *changes, *SHORT), finished, tmp_path / "run", registry)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("gaze.readers=each", "gaze.readers = 'each' compares attention with no such map"),
        ("gaze.window_ms=[0, 1e6]", "gaze.window_ms cannot choose from such a map, which is used as it is"),
        ("gaze.target=label", ""),
    ],
)
def test_finished_maps_beside_fixations_are_said_where_the_training_chooses(
    registry: Registry, dataset: PreparedDataset, change: str, told: str
) -> None:
    split = make_split(dataset)
    fixations, training = dataset.fixation_table, indices_of(dataset, split, "train")
    finished = [int(exam) for exam in training if dataset.has_gaze[exam].any()][:3]
    mixed = replace(dataset, layers=np.full_like(dataset.images, 255))
    vars(mixed)["fixation_table"] = fixations.take(~np.isin(fixations.exam, finished))
    said = [text for text in doubts(tiny(registry, change), mixed, split, (4, 4)) if "finished" in text]
    start = "the gaze of 3 training exams is a finished heat map, of no known reader and time: "
    assert said == ([start + told] if told else [])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("gaze.window_ms=[0, 900]", "gaze.window_ms leaves them out, because it needs an onset"),
        (
            "gaze.minimum_duration_ms=100",
            "gaze.minimum_duration_ms leaves them out, because it needs a duration",
        ),
        ("gaze.minimum_duration_ms=0", ""),
        ("gaze=none", ""),
    ],
)
def test_recordings_without_times_are_said_where_the_training_chooses_by_time(
    registry: Registry, read: PreparedDataset, change: str, told: str
) -> None:
    split = make_split(read)
    table, training = read.fixation_table, indices_of(read, split, "train")
    untimed = np.isin(table.exam, training[:2])
    vars(read)["fixation_table"] = replace(
        table,
        onset_ms=np.where(untimed, np.nan, table.onset_ms),
        duration_ms=np.where(untimed, 1.0, table.duration_ms),
    )
    said = [text for text in doubts(tiny(registry, change), read, split, (4, 4)) if "no times" in text]
    assert said == ([f"recordings of 2 training exams have no times: {told}"] if told else [])


def test_what_reads_heat_maps_is(registry: Registry, finished: PreparedDataset, tmp_path: Path) -> None:
    preset = tiny(registry, *(f"terms.decoder.{each}" for each in DECODER), *SHORT)
    train(preset, finished, tmp_path / "run", registry)
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["gaze"] > 0 and last["decoder"] > 0


def test_a_term_is_refused_where_no_view_is_left_to_compare_on(
    registry: Registry, read: PreparedDataset, tmp_path: Path
) -> None:
    preset = registry.preset("two_channel", overrides=[*SMALL, "terms.lesions.use=mask_alignment", *SHORT])
    said = "terms.lesions: fusion.images leaves none of the views cc, mlo, on which mask_alignment compares"
    with pytest.raises(ConfigurationError, match=said):
        train(preset, read, tmp_path / "run", registry)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            "terms.x.alignment_loss=kl terms.x.attention_map.use=layer_cam terms.x.attention_map.stage=9",
            r"terms\.x: attention_map\.stage: expected",
        ),
        (
            "gaze.alignment_loss.use=pyramid attention_map.use=rollout",
            "gaze: attention_map rollout: expected",
        ),
    ],
)
def test_an_attention_map_that_does_not_fit_is_said_with_its_term(
    registry: Registry, read: PreparedDataset, tmp_path: Path, changes: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{said}"):
        train(tiny(registry, *changes.split(), *SHORT), read, tmp_path / "run", registry)


def test_terms_pass_over_views_that_a_fusion_of_images_adds(
    registry: Registry, read: PreparedDataset, tmp_path: Path
) -> None:
    """``double_model`` lays gaze over a copy of each view; readers looked at the views themselves."""
    changes = ("gaze.alignment_loss.use=pyramid", *MANY[:-1], "training.epochs=1", "training.batch_size=8")
    train(tiny(registry, *changes, preset="double_model"), read, tmp_path / "run", registry)
    (line,) = losses(tmp_path / "run")
    assert all(line[name] is not None for name in ("gaze", "divergence", "spots", "decoder", "order"))


def test_a_view_whose_fixations_lie_beside_it_says_nothing_to_a_loss_of_fixations(registry: Registry) -> None:
    """And not 0, which would be better than the chance of a guess."""
    alignment = Alignment(registry.create("alignment_loss", "nss"))
    rows = random_gaze(("cc",), 32, exams=3).fixations["cc"]
    rows[1, :, X] = 32.5  # its heat map reaches into the image
    rows[2] = torch.nan
    batch = Batch({}, torch.tensor([0, 1, 0]), Gaze({"cc": rows}, (32, 32)))
    assert batch.gaze is not None and batch.gaze.present("cc").tolist() == [True, True, False]
    said = alignment({"cc": random_tensor(3, 4, 4)}, batch)
    assert said.isnan().tolist() == [[False], [True], [True]]
    each = Alignment(registry.create("alignment_loss", "nss"), each_reader=True)
    assert each({"cc": random_tensor(3, 4, 4)}, batch).isnan().tolist() == [[False], [True], [True]]
