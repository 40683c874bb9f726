"""The exported model says what the original does, with a head that is not linear too, and runs without gazekit."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import gazekit
from PIL import Image
from tiny import tiny

from gazekit.build import build_attention_map, build_model
from gazekit.errors import ConfigurationError
from gazekit.exporting.exported import onnx_program
from gazekit.exporting.graph import DeployedModel
from gazekit.registry import Registry

HEADS = {
    "bfl, tanh": ("mammonet_small", 2, ()),
    "bfl, gelu, several classes": ("mammonet_small", 3, ("fusion.vectors.activation=gelu",)),
    "concat, relu, layers": (
        "mammonet_small",
        2,
        ("fusion.vectors.use=concat", "fusion.vectors.hidden=[8, 6]", "fusion.vectors.activation=relu"),
    ),
    "linear, cam": ("ga_net", 2, ()),
    "linear, cam, several classes": ("ga_net", 4, ()),
}

_QUICK = ("bfl, tanh", "linear, cam, several classes")


def deployed(registry: Registry, preset: str, classes: int, overrides: tuple[str, ...]) -> DeployedModel:
    values = tiny(registry, *overrides, preset=preset)
    torch.manual_seed(0)
    model = build_model(values, registry, classes=classes).eval()
    return DeployedModel(model, build_attention_map(values, registry), values, (32, 32)).eval()


def check(made: DeployedModel, attention_map, run, exams: int) -> None:
    """Compare with ``explain``, which differentiates."""
    images = made.examples((32, 32), exams, seed=exams)
    normalised = {
        view: (image - made.mean) / made.std for view, image in zip(made.views, images, strict=True)
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
    attention_map = build_attention_map(tiny(registry, preset=HEADS[head][0]), registry)
    assert "backward" not in made.head.code
    with torch.no_grad():
        for exams in (1, 5):
            check(made, attention_map, made, exams)


def test_what_reads_gaze_cannot_be_exported(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match="reads gaze at inference"):
        deployed(registry, "double_model", 2, ())


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_onnx_of_every_head_agrees_in_onnxruntime(registry: Registry, tmp_path: Path, head: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    made = deployed(registry, *HEADS[head])
    onnx_program(made, (32, 32)).save(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])

    def run(*images: torch.Tensor) -> list[np.ndarray]:
        return session.run(None, {v: i.numpy() for v, i in zip(made.views, images, strict=True)})

    attention_map = build_attention_map(tiny(registry, preset=HEADS[head][0]), registry)
    for count in (1, 4):
        check(made, attention_map, run, count)


@pytest.mark.slow
def test_a_run_as_onnx_predicts_without_gazekit(tiny_run: Path, raw_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = tmp_path / "model.onnx"
    finished = gazekit("export", tiny_run, "--out", model)
    assert finished.stdout.strip() == str(model) and "differs from the original by at most" in finished.stderr
    assert "exists already" in gazekit("export", tiny_run, "--out", model, code=2).stderr
    pair = [raw_folder / "e005_cc.png", raw_folder / "e005_mlo.png"]
    for path in pair:  # the script takes images that are prepared
        Image.open(path).resize((16, 16), Image.Resampling.BOX).save(tmp_path / path.name)
    script = Path(__file__).parents[1] / "examples" / "run_onnx.py"
    assert "gazekit" not in script.read_text().replace('["gazekit"]', "").split('"""')[2]
    arguments = [sys.executable, script, model, *(tmp_path / path.name for path in pair)]
    lines = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()
    predicted = json.loads(gazekit("predict", tiny_run, *pair, "--json").stdout)["exams"][0]
    assert lines[0].startswith("malignant: ")
    assert float(lines[0].split()[1]) == pytest.approx(predicted["probabilities"]["malignant"], abs=0.02)


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
