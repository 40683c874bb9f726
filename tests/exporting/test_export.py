"""The exported model computes the original's outputs, with a non-linear head too, and runs without gazekit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import TINY, gazekit
from fresh_environment import ROOT
from PIL import Image
from tiny import tiny

from gazekit.errors import ConfigurationError, GazekitError, PluginError
from gazekit.exporting.deployed_model import DeployedModel
from gazekit.exporting.program_files import onnx_program, torch_program
from gazekit.modelling.build import build_attention_map, build_model
from gazekit.presets.tables import DataSettings
from gazekit.reading.image import read_image
from gazekit.registry.component import Provenance
from gazekit.registry.registry import Registry

HEADS = {
    "bfl, tanh": ("mammonet_small", 2, ()),
    "bfl, gelu, several classes": ("mammonet_small", 3, ("fusion.vectors.activation=gelu",)),
    "concat, relu, layers": (
        "mammonet_small",
        2,
        ("fusion.vectors.use=concat", "fusion.vectors.hidden=[8, 6]", "fusion.vectors.activation=relu"),
    ),
    "gated attention": ("mammonet_small", 2, ("pooling=gated",)),
    "generalised mean": ("mammonet_small", 2, ("pooling=gem",)),
    "maximum": ("mammonet_small", 3, ("pooling=max",)),
    "class token, rollout": (
        "mammonet_small",
        2,
        (
            *("backbone.use=timm", "backbone.model=test_vit", "backbone.pretrained=false"),
            *(
                "backbone.show_attention=true",
                "pooling=class_token",
                "attention_map=rollout",
                "fusion.maps=none",
            ),
        ),
    ),
    "linear, cam": ("ga_net", 2, ()),
    "linear, cam, several classes": ("ga_net", 4, ()),
}

_QUICK = ("bfl, tanh", "gated attention", "class token, rollout", "linear, cam, several classes")


def deployed(registry: Registry, preset: str, classes: int, overrides: tuple[str, ...]) -> DeployedModel:
    values = tiny(registry, *overrides, preset=preset)
    torch.manual_seed(0)
    model = build_model(values, registry, classes=classes, size=(32, 32)).eval()
    return DeployedModel(model, build_attention_map(values, registry), values, (32, 32)).eval()


def attention_of(registry: Registry, head: str) -> Any:
    preset, _, overrides = HEADS[head]
    return build_attention_map(tiny(registry, *overrides, preset=preset), registry)


def check(made: DeployedModel, attention_map, run, exams: int) -> None:
    """Compare with ``explain``, which differentiates."""
    images = made.examples((32, 32), exams, seed=exams)
    data = DataSettings()
    normalised = {
        view: (image - data.mean) / data.std for view, image in zip(made.views, images, strict=True)
    }
    output, maps = made.model.explain(normalised, attention_map)
    found = run(*images)
    assert len(found) == len(made.outputs) == 1 + len(maps)
    np.testing.assert_allclose(found[0], output.logits.detach(), atol=1e-4, rtol=0)
    for ours, theirs in zip(found[1:], maps.values(), strict=True):
        assert theirs.abs().max() > 1e-6, "a map of zeros would agree with anything"
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max()), rtol=1e-4)


@pytest.mark.parametrize(
    "head",
    [pytest.param(name, marks=[] if name in _QUICK else pytest.mark.slow) for name in HEADS],
)
def test_the_graph_without_gradients_gives_the_maps_for_any_number_of_exams(
    registry: Registry, head: str
) -> None:
    made = deployed(registry, *HEADS[head])
    attention_map = attention_of(registry, head)
    assert "backward" not in made.head.code
    with torch.no_grad():
        for exams in (1, 5):
            check(made, attention_map, made, exams)


def test_what_reads_gaze_cannot_be_exported(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match="reads gaze at inference"):
        deployed(registry, "double_model", 2, ())


def test_a_map_of_inner_stages_cannot_be_exported(registry: Registry) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"the last feature maps alone.*stage is 2, and the maps of inner stages are not",
    ):
        deployed(registry, "mammonet_small", 2, ("attention_map.use=layer_cam", "attention_map.stage=2"))


@pytest.mark.parametrize("convert", [torch_program, onnx_program])
def test_a_part_that_decides_by_values_is_one_clear_line(
    registry: Registry, convert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = deployed(registry, *HEADS["bfl, tanh"])
    decided = DeployedModel.forward
    monkeypatch.setattr(
        DeployedModel,
        "forward",
        lambda self, *images: decided(self, *images) if images[0].mean() > 0 else images,
    )
    with pytest.raises(
        GazekitError, match=r"^torch \S+ .*cannot convert the model \(\w+: .*constraints.txt$"
    ) as caught:
        convert(made, (32, 32), registry)
    assert "\n" not in str(caught.value)
    package = __name__.partition(".")[0]
    theirs = Provenance("theirs", "gazekit-theirs", "1.0")
    monkeypatch.setattr(type(registry), "packages", lambda _: {package: theirs})
    with pytest.raises(
        PluginError,
        match=r"^plugin 'theirs' of gazekit-theirs 1\.0: test_export\.py:\d+: .*; expected parts ",
    ):
        convert(made, (32, 32), registry)


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_onnx_of_every_head_agrees_in_onnxruntime(registry: Registry, tmp_path: Path, head: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    made = deployed(registry, *HEADS[head])
    onnx_program(made, (32, 32), registry).save(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])

    def run(*images: torch.Tensor) -> list[np.ndarray]:
        return session.run(None, {v: i.numpy() for v, i in zip(made.views, images, strict=True)})

    attention_map = attention_of(registry, head)
    for count in (1, 4):
        check(made, attention_map, run, count)


SCRIPT = ROOT / "examples/run_onnx.py"
WITHOUT_GAZEKIT = """
import runpy, sys
for name in ("gazekit", "torch", "scipy"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_onnx(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The example on its own, where there is no gazekit."""
    command = [sys.executable, "-c", WITHOUT_GAZEKIT, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def cut_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on phantoms that are cut to the breast and turned; not to be changed."""
    folder = tmp_path_factory.mktemp("cut")
    gazekit("data", "phantom", folder / "raw", "--exams", 40)
    gazekit("data", "prepare", "phantom", folder / "raw", folder / "prepared", "--size", 32)
    options = ("--data", folder / "prepared", "--epochs", 1, *TINY)
    gazekit("train", "mammonet_small", *options, "--out", folder / "run")
    gazekit("train", "single_cc", *options[:4], *SINGLE, "--out", folder / "single")
    for run in ("run", "single"):
        gazekit("export", folder / run)
    return folder / "run"


SINGLE = ("--set", "backbone.use=small_resnet", "--set", "training.batch_size=8")


def as_png(source: Path, target: Path) -> Path:
    """The same pixels as a display shows them, of 8 bits."""
    shown = read_image(source).pixels
    Image.fromarray(np.rint(shown * 255).astype(np.uint8)).save(target)
    return target


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dcm", "png"])
@pytest.mark.parametrize("side", ["L", "R"])
def test_a_run_as_onnx_predicts_raw_images_without_gazekit(
    cut_run: Path, tmp_path: Path, side: str, form: str
) -> None:
    pytest.importorskip("onnxruntime")
    images = cut_run.parent / "raw/images"
    exams = sorted(path.name.removesuffix("_cc.dcm") for path in images.glob(f"*_{side}_cc.dcm"))[:3]
    assert len(exams) == 3
    settings = json.loads((cut_run / "run.json").read_text())["preparation"]
    assert settings["crop"] == "breast" and settings["mask_outside"] and settings["laterality"] == "auto"
    for exam in exams:
        pair = [images / f"{exam}_{view}.dcm" for view in ("cc", "mlo")]
        if form == "png":
            pair = [as_png(path, tmp_path / f"{path.stem}.png") for path in pair]
        lines = run_onnx(cut_run / "model.onnx", *pair)
        assert lines.returncode == 0, lines.stderr
        (predicted,) = json.loads(gazekit("predict", cut_run, *pair, "--json").stdout)["exams"]
        found = dict(line.split(": ") for line in lines.stdout.splitlines())
        for name, probability in predicted["probabilities"].items():
            assert float(found[name]) == pytest.approx(probability, abs=1e-3)
        other = run_onnx(cut_run / "model.onnx", *pair, "--side", "LR".replace(side, ""))
        assert other.stdout != lines.stdout, (
            "the side makes no difference, so nothing is shown by its agreeing"
        )


@pytest.mark.slow
def test_faults_of_the_example_are_one_line(cut_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model, images = cut_run / "model.onnx", cut_run.parent / "raw/images"
    cc = next(images.glob("*_cc.dcm"))
    mlo = cc.with_name(cc.name.replace("_cc", "_mlo"))
    (tmp_path / "text").write_text("a note")
    for arguments, said in (
        ((model, cc), "the model reads 2 images (cc, mlo); 1 given"),
        ((cut_run.parent / "single/model.onnx", cc, mlo), "the model reads 1 image (cc); 2 given"),
        ((model, mlo, cc), "and it is given as cc; mind the order"),
        ((model, cc, tmp_path / "none.dcm"), "No such file"),
        ((model, cc, tmp_path / "text"), "no DICOM, PNG or JPEG"),
        ((tmp_path / "text", cc, mlo), "not an ONNX model"),
    ):
        done = run_onnx(*arguments)
        assert done.returncode == 1 and said in done.stderr, done.stderr
        assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
    alone = run_onnx(cut_run.parent / "single/model.onnx", cc)
    assert alone.returncode == 0 and alone.stdout.startswith("malignant: ")


@pytest.mark.slow
def test_an_export_says_what_it_reads_and_replaces_no_file(cut_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = tmp_path / "model.onnx"
    finished = gazekit("export", cut_run.parent / "single", "--out", model)
    assert finished.stdout.strip() == str(model) and "reads one image (cc); outputs logits" in finished.stderr
    assert "differs from the original by at most" in finished.stderr
    assert "exists already" in gazekit("export", cut_run, "--out", model, code=2).stderr


@pytest.mark.slow
def test_a_run_as_torch_export_agrees(tiny_run: Path, tmp_path: Path) -> None:
    path = Path(
        gazekit("export", tiny_run, "--format", "torch-export", "--out", tmp_path / "m.pt2").stdout.strip()
    )
    extra = {"gazekit.json": ""}
    module = torch.export.load(path, extra_files=extra).module()
    about = json.loads(extra["gazekit.json"])
    assert about["outputs"] == ["logits", "attention_cc", "attention_mlo"]
    logits, first, _ = module(torch.rand(4, 1, 16, 16), torch.rand(4, 1, 16, 16))
    assert logits.shape == (4, 1) and first.shape == (4, 2, 2)
