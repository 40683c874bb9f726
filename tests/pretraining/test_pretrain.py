"""A pre-training learns, resumes to the bit, says how its weights were made, and never helps a test in secret."""

import hashlib
import json
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from command_line import TINY, gazekit
from gazekit_components.backbones.small_resnet import SmallResNet
from tiny import tiny

from gazekit.contracts.backbone_weights import load_backbone, read_origin
from gazekit.errors import ConfigurationError, DataError, GazekitError, Preempted
from gazekit.modelling.build import build_model
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.leaks import image_hashes
from gazekit.prepared.splits import indices_of, make_split, write_split
from gazekit.pretraining.patch_classifier import PatchClassifier
from gazekit.pretraining.pooled_backbone import PooledBackbone
from gazekit.pretraining.pretrain import Pretrained, pretrain
from gazekit.pretraining.settings import PretrainSettings
from gazekit.registry.registry import Registry
from gazekit.training.checking.seen_before import check_unseen, in_pretraining
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, start_run

SETTINGS = PretrainSettings(patch=8, steps=6, batch_size=6, held_out=0.3)
CPU = torch.device("cpu")


def _pretrained(
    path: Path,
    registry: Registry,
    dataset: PreparedDataset,
    settings: PretrainSettings = SETTINGS,
    **how: object,
) -> Pretrained:
    return pretrain(path, tiny(registry), registry, dataset, settings, device=CPU, **how)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, registry: Registry, dataset: PreparedDataset) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    _pretrained(path, registry, dataset)
    return path


def test_the_classifier_is_the_backbone_the_mean_and_a_linear_layer() -> None:
    torch.manual_seed(0)
    network = PatchClassifier(PooledBackbone(SmallResNet(1, widths=(4, 6, 8, 10)), (0.5, -1.0), 255.0), 3)
    network.double().eval()
    patches = torch.arange(2 * 64, dtype=torch.uint8).view(2, 1, 8, 8)
    maps = patches.double() * 0.5 - 1
    for stage in network.encoder.backbone.stages:
        maps = stage(maps)
    expected = maps.mean(dim=(2, 3)) @ network.classifier.weight.T + network.classifier.bias
    torch.testing.assert_close(network(patches), expected)


def test_a_stopped_pretraining_goes_on_to_the_same_weights(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, weights: Path
) -> None:
    path, asked = tmp_path / "stopped.safetensors", iter([False] * 4 + [True])
    with pytest.raises(Preempted, match="stopped at step 4"):
        _pretrained(path, registry, dataset, should_stop=lambda: next(asked))
    assert not path.exists()
    with pytest.raises(ConfigurationError, match="begun with steps 6, not 7"):
        _pretrained(path, registry, dataset, PretrainSettings(patch=8, steps=7, batch_size=6, held_out=0.3))
    done: list[int] = []
    _pretrained(path, registry, dataset, report=lambda step, _total: done.append(step))
    assert done == [5, 6]
    assert path.read_bytes() == weights.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stops", [False, True])
def test_weights_that_diverge_between_two_looks_at_the_loss_are_never_written(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    loss = PatchClassifier.loss

    def diverging(
        network: PatchClassifier, patches: Any, settings: PretrainSettings, step: int
    ) -> torch.Tensor:
        return loss(network, patches, settings, step) * (torch.nan if step == 3 else 1.0)

    monkeypatch.setattr(PatchClassifier, "loss", diverging)
    path, asked = tmp_path / "w.safetensors", iter([False] * 5 + [stops, False])
    with pytest.raises(
        GazekitError, match=f"step {5 if stops else 6}: the weights are not finite .* smaller --lr"
    ):
        _pretrained(path, registry, dataset, should_stop=lambda: next(asked))
    assert not path.exists() and not list(tmp_path.rglob("weights.safetensors"))


def test_lesions_of_one_class_are_told_from_tissue(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    marked = dataset.has_mask & (dataset.labels == 1)[:, None]
    settings = PretrainSettings(patch=8, steps=2, batch_size=8, held_out=0.3)
    found = _pretrained(tmp_path / "w.safetensors", registry, replace(dataset, has_mask=marked), settings)
    assert list(found.classes) == ["tissue", "malignant"]
    assert set(found.origin.held_out) == {"accuracy", "macro AUC", "patches", "exams"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"pretext": "rotation"},
        {"patch": 7},
        {"steps": 0},
        {"batch_size": 1},
        {"learning_rate": -1.0},
        {"patch": 10**20},
        {"batch_size": 10**20},
        {"learning_rate": float("nan")},
        {"held_out": 1.0},
        {"seed": -1},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(ConfigurationError, match=f"^{name} {value}: expected "):
        PretrainSettings(**wrong)


def test_it_learns_to_tell_made_lesions_from_tissue(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    settings = PretrainSettings(patch=8, steps=60, batch_size=24, held_out=0.3)
    found = _pretrained(tmp_path / "w.safetensors", registry, dataset, settings)
    assert (
        found.origin.held_out["macro AUC"] > 0.75
    )  # a bright square is a lesion; its class is where it lies
    assert found.origin.held_out["patches"] == 2 * sum(found.classes.values()) / 2
    path = tmp_path / "w.safetensors"
    with pytest.raises(ConfigurationError, match="exists; remove it"):
        _pretrained(path, registry, dataset)


def test_a_file_says_how_it_was_made(weights: Path, dataset: PreparedDataset) -> None:
    origin = read_origin(weights)
    assert origin is not None
    assert origin.data == dataset.fingerprint
    assert origin.seed == 0 and origin.start == "random"
    assert origin.backbone == {"use": "small_resnet", "widths": [4, 6, 8, 10]}
    assert set(origin.seen) == {each for exam in range(len(dataset)) for each in image_hashes(dataset, exam)}
    assert str(weights.parent) not in str(origin)


def test_a_backbone_starts_from_the_file_to_the_bit(weights: Path) -> None:
    backbone = SmallResNet(1, widths=(4, 6, 8, 10), weights=str(weights))
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    said = backbone.load_initial_weights()
    stored = safetensors.torch.load_file(weights)
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, stored[name])
    assert any(not torch.equal(tensor, stored[name]) for name, tensor in before.items())
    assert f"tiny.safetensors (SHA-256 {hashlib.sha256(weights.read_bytes()).hexdigest()[:16]})" in said
    assert "with seed 0 by gazekit" in said and "macro AUC" in said


def test_a_file_of_another_backbone_is_refused_with_shapes_and_remedy(weights: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_backbone(SmallResNet(1, widths=(5, 6, 8, 10)), weights)
    said = str(error.value)
    assert str(weights) in said
    assert "stages.0.0.weight (4, 1, 3, 3) instead of (5, 1, 3, 3)" in said
    assert "--set backbone.use=small_resnet --set 'backbone.widths=[4, 6, 8, 10]'; set the same" in said
    for missing in ("none.safetensors", "none.pth"):
        with pytest.raises(ConfigurationError, match=f"{missing}: no such file; expected weights"):
            load_backbone(SmallResNet(1), weights.with_name(missing))
    quantised = {name: tensor.to(torch.int8) for name, tensor in SmallResNet(1).state_dict().items()}
    safetensors.torch.save_file(quantised, weights.with_name("int8.safetensors"))
    with pytest.raises(ConfigurationError, match=r"values of type int8 in .* before they were quantised"):
        load_backbone(SmallResNet(1), weights.with_name("int8.safetensors"))


def test_a_timm_backbone_is_pretrained_and_starts_from_its_file(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    path = tmp_path / "timm.safetensors"
    choice = ("backbone.use=timm", "backbone.model=test_resnet", "backbone.pretrained=false")
    settings = PretrainSettings(patch=8, steps=2, batch_size=6, held_out=0.3)
    pretrain(path, tiny(registry, *choice), registry, dataset, settings, device=CPU)
    options = {"model": "test_resnet", "pretrained": False, "weights": str(path)}
    backbone = registry.create("backbone", "timm", 1, (32, 32), **options)
    assert "pre-trained to tell patches" in backbone.load_initial_weights()
    stored = safetensors.torch.load_file(path)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in backbone.state_dict().items())


@pytest.mark.usefixtures("undrawn")
def test_the_origin_is_kept_in_the_run_and_seen_test_exams_are_refused(
    tmp_path: Path, dataset: PreparedDataset, weights: Path
) -> None:
    command = ("train", "--preset", "mammonet_small", "--data", dataset.root, "--epochs", 1, *TINY)
    command = (*command, "--set", f"backbone.weights={weights}")
    refused = gazekit(*command, "--out", tmp_path / "refused", code=3)
    assert "tiny.safetensors: pre-trained on" in refused.stderr and "--allow-leak" in refused.stderr
    assert not (tmp_path / "refused").exists()
    gazekit(*command, "--out", tmp_path / "run", "--allow-leak")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "SHA-256" in facts["weights_origin"][0] and "macro AUC" in facts["weights_origin"][0]
    assert "pre-trained on" in facts["leak"]
    study, folds = tmp_path / "study", ("--folds", 2, "--seeds", 1, "--no-timing", "--allow-leak")
    few = ("--set", "training.epochs=1")
    data = (
        "--data",
        dataset.root,
        "--preset",
        "mammonet_small",
        *TINY,
        "--set",
        f"backbone.weights={weights}",
    )
    gazekit("benchmark", *data, *few, *folds, "--out", study)
    (first, second) = json.loads((study / "results.json").read_text())["leak"].split("; ")
    assert "tiny.safetensors: pre-trained on" in first and "tiny.safetensors: pre-trained on" in second


FEW = ("training.epochs=1", "training.batch_size=8")


def test_a_run_from_another_is_no_way_around_what_its_file_has_seen(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, weights: Path
) -> None:
    split, allowed = make_split(dataset), StartSettings(seed=1, device=CPU, allow_leak=True)
    preset = tiny(registry, *FEW, f"backbone.weights={weights}")
    first = start_run(tmp_path / "first", preset, registry, dataset, split, allowed)
    continue_run(first, registry, dataset)
    begun = replace(allowed, initial=first.path)
    for named in (preset, tiny(registry, *FEW)):
        with pytest.raises(
            DataError, match=r"has a leak \(tiny.safetensors: pre-trained on .*; start from another"
        ):
            start_run(tmp_path / "no", named, registry, dataset, split, replace(begun, allow_leak=False))
        second = start_run(
            tmp_path / named.name, named, registry, dataset, split, replace(begun, overwrite=True)
        )
        leak = second.facts().leak
        assert "; tiny.safetensors: pre-trained on" in leak and leak.startswith("run first: has a leak (tiny")
        assert "SHA-256" in second.facts().weights_origin[0]
    assert not (tmp_path / "no").exists()
    first.unseal()
    run_json = first.path / "run.json"  # as a run without the leak, whose split put its patients elsewhere
    run_json.write_text(json.dumps(json.loads(run_json.read_text()) | {"leak": "", "seen": []}))
    with pytest.raises(DataError, match=r"^tiny.safetensors: pre-trained on .* of this split's test part"):
        start_run(tmp_path / "no", preset, registry, dataset, split, replace(begun, allow_leak=False))


def test_a_run_from_another_starts_without_the_file_that_began_that(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    split, settings = make_split(dataset), StartSettings(seed=1, device=CPU)
    path = tmp_path / "w.safetensors"
    _pretrained(path, registry, dataset, replace(SETTINGS, split=split))
    preset = tiny(registry, *FEW, f"backbone.weights={path}")
    first = start_run(tmp_path / "first", preset, registry, dataset, split, settings)
    continue_run(first, registry, dataset)
    path.unlink()
    said: list[str] = []
    begun = replace(settings, initial=first.path)
    second = start_run(tmp_path / "second", preset, registry, dataset, split, begun, warn=said.append)
    assert f"{path}: is no longer there, so nothing says on which exams it was pre-trained" in said
    assert not second.facts().leak and second.facts().seen


def test_other_images_under_the_same_names_were_not_seen(
    registry: Registry, dataset: PreparedDataset, weights: Path
) -> None:
    split = make_split(dataset, seed=0)
    model = build_model(tiny(registry, f"backbone.weights={weights}"), registry, classes=2, size=dataset.size)

    def moved(exams: Iterable[int]) -> PreparedDataset:
        """The same names, with another box in the second view of some exams."""
        geometry = list(dataset.geometry)
        for exam in exams:
            geometry[exam] = geometry[exam] | {"mlo": replace(geometry[exam]["mlo"], top=1)}
        return replace(dataset, geometry=tuple(geometry))

    def said(data: PreparedDataset) -> str:
        seen = in_pretraining(model.backbones, data)
        return "; ".join(check_unseen(seen, data, split, allow_leak=True, warn=lambda _: None))

    assert said(dataset) and said(moved(range(5)))
    assert not said(moved(range(len(dataset))))
    tested = indices_of(dataset, split, "test").tolist()
    alone = set(range(len(dataset))) - {tested[0]}
    assert dataset.patient_ids[tested[0]] in said(moved(alone))  # one seen exam is one too many


def test_the_test_part_of_a_split_stays_closed(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    split = make_split(dataset, seed=1)
    settings = PretrainSettings(patch=8, steps=1, batch_size=6, split=split)
    origin = _pretrained(tmp_path / "w.safetensors", registry, dataset, settings).origin
    for exam, name in enumerate(dataset.exam_ids):
        assert set(image_hashes(dataset, exam)) <= set(origin.seen) or split[name] == "test"
        assert not (split[name] == "test" and set(image_hashes(dataset, exam)) & set(origin.seen))


def test_the_command_prints_measures_and_the_next_command(tmp_path: Path, dataset: PreparedDataset) -> None:
    out = tmp_path / "w.safetensors"
    small = ("--patch", 8, "--steps", 2, "--batch-size", 6, "--held-out", 0.3)
    widths = ("--set", "backbone.widths=[4,6,8,10]")
    said = gazekit("pretrain", "mammonet_small", "--data", dataset.root, "--out", out, *small, *widths)
    assert "macro AUC" in said.stdout and "exams (tissue" in said.stdout
    assert f"it has seen patients of every part of {dataset.root}" in said.stderr
    (words,) = (shlex.split(line) for line in said.stderr.splitlines() if line.startswith("next: "))
    assert words[1:] == ["gazekit", "train", "mammonet_small", "--data", "OTHER", *widths, *_from(out)]


def test_the_next_command_after_a_split_is_given_trains(tmp_path: Path, dataset: PreparedDataset) -> None:
    out, split = tmp_path / "w.safetensors", tmp_path / "split.csv"
    write_split(split, dataset, make_split(dataset, seed=1))
    small = ("--patch", 8, "--steps", 1, "--batch-size", 6, "--split", split, *TINY)
    said = gazekit("pretrain", "mammonet_small", "--data", dataset.root, "--out", out, *small)
    assert "every part" not in said.stderr
    (words,) = (shlex.split(line) for line in said.stderr.splitlines() if line.startswith("next: "))
    gazekit(*words[2:], "--out", tmp_path / "run", "--epochs", 1)
    assert (tmp_path / "run" / "run.json").is_file()


def _from(weights: Path) -> tuple[str, str]:
    return "--set", f"backbone.weights={weights}"
