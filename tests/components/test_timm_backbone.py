"""timm's networks as stages: the same numbers as timm's own, and honest about their weights."""

import os
import time
import warnings
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import safetensors.torch
import torch
from gazekit_components.backbones import timm_weights
from gazekit_components.backbones.timm_backbone import TimmBackbone

from gazekit.errors import ConfigurationError

timm = timm_weights.imported_timm()  # with the guard of torchvision
SMALL = "resnet10t"


@pytest.fixture(autouse=True)
def forget_the_hub() -> None:
    timm_weights._missed.clear()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("no route to host\nsecond line")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *args: None)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)


@pytest.fixture(scope="module")
def rgb_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the small network with an RGB stem and a classifier, as the hub has them."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "model.safetensors"
    safetensors.torch.save_file(timm.create_model(SMALL).state_dict(), file)
    return file


def _last_maps(backbone: TimmBackbone, images: torch.Tensor) -> list[torch.Tensor]:
    maps, found = images, []
    for stage in backbone.eval().stages:
        maps = stage(maps)
        found.append(maps)
    return found


@pytest.mark.parametrize("model", ["resnet18", "resnet10t", "convnext_atto", "efficientnet_b0"])
def test_the_stages_compute_what_timms_own_feature_extractor_does(model: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = str(tmp_path / "model.safetensors")
    safetensors.torch.save_file(timm.create_model(model, num_classes=0).state_dict(), file)
    reference = timm.create_model(
        model,
        pretrained=True,
        pretrained_cfg_overlay={"file": file},
        in_chans=1,
        features_only=True,
        out_indices=(-4, -3, -2, -1),
    )
    backbone = TimmBackbone(1, model=model, weights=file)
    backbone.load_initial_weights()
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        maps, expected = _last_maps(backbone, images), reference.eval()(images)
    assert list(backbone.channels) == reference.feature_info.channels()
    assert [64 // each.shape[2] for each in maps] == [4, 8, 16, 32]
    assert all(each.std() > 1e-6 for each in expected)
    torch.testing.assert_close(maps, expected)


def test_resnet18_has_the_parameters_of_the_paper_less_the_colours_and_the_classifier() -> None:
    backbone = TimmBackbone(1, pretrained=False)
    assert backbone.channels == (64, 128, 256, 512)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    assert parameters == 11_689_512 - 2 * 64 * 7 * 7 - (512 * 1000 + 1000)
    assert backbone.training


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "crossvit_9_240",
            r"crossvit_9_240: cannot serve \(.+\); expected a network of timm",
        ),
        ("resnet81", r"no model 'resnet81'; did you mean resnet18"),
        ("qqqq", "no model 'qqqq'; timm.list_models"),
        ("resnet18.mine", "resnet18: no weights 'mine'; there are resnet18.a1_in1k"),
        ("hf-hub:someone/something", "no model 'hf-hub:someone/something'"),
    ],
)
def test_a_network_that_cannot_serve_is_refused_in_one_line(model: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        TimmBackbone(1, model=model, pretrained=False)
    assert "\n" not in str(caught.value)


def test_a_file_sums_the_colours_of_its_stem_and_leaves_its_classifier(rgb_file: Path) -> None:
    backbone = TimmBackbone(1, model=SMALL, weights=str(rgb_file))
    assert backbone.load_initial_weights().startswith(f"{rgb_file.name} (SHA-256 ")
    reference = timm.create_model(SMALL, features_only=True, out_indices=(1, 2, 3, 4)).eval()
    reference.load_state_dict(safetensors.torch.load_file(rgb_file), strict=False)
    grey = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        maps, expected = _last_maps(backbone, grey), reference(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrapping", [None, "state_dict", "model"])
def test_torch_files_and_wrapped_ones_are_read_too(
    rgb_file: Path, tmp_path: Path, wrapping: str | None
) -> None:
    state = {f"module.{key}": value for key, value in safetensors.torch.load_file(rgb_file).items()}
    torch.save({wrapping: state, "epoch": 3} if wrapping else state, tmp_path / "w.pth")
    torch.testing.assert_close(_loaded(str(tmp_path / "w.pth")), _loaded(str(rgb_file)))


def _loaded(weights: str) -> dict[str, Any]:
    backbone = TimmBackbone(1, model=SMALL, weights=weights)
    backbone.load_initial_weights()
    return backbone.state_dict()


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


def test_a_file_with_code_is_refused_and_the_code_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": _Code()}, "evil.pth")
    with pytest.raises(ConfigurationError, match=r"evil.pth: not readable as weights"):
        TimmBackbone(1, model=SMALL, weights="evil.pth").load_initial_weights()
    assert not Path("executed").exists()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_that_are_no_file_are_refused_at_once(tmp_path: Path, suffix: str) -> None:
    pipe, endless = tmp_path / f"pipe{suffix}", tmp_path / f"endless{suffix}"
    os.mkfifo(pipe)
    endless.symlink_to("/dev/zero")
    for path in (pipe, endless):
        with pytest.raises(ConfigurationError, match="Not a regular file"):
            TimmBackbone(1, model=SMALL, weights=str(path)).load_initial_weights()


@pytest.mark.parametrize(
    ("model", "change", "message"),
    [
        ("resnet18", {}, "not the weights of resnet18: .*missing .*unknown"),
        (SMALL, {"layer4.0.conv1.weight": None}, r"1 missing \(layer4.0.conv1.weight"),
        (SMALL, {"more.weight": torch.zeros(1)}, r"1 unknown \(more.weight"),
        (SMALL, {"bn1.bias": torch.zeros(5)}, r"of another shape \(bn1.bias \(5,\) instead of \(64,\)"),
    ],
)
def test_a_file_of_another_network_is_refused(
    rgb_file: Path, tmp_path: Path, model: str, change: dict[str, Any], message: str
) -> None:
    state = safetensors.torch.load_file(rgb_file) | change
    file = tmp_path / "other.safetensors"
    safetensors.torch.save_file({key: value for key, value in state.items() if value is not None}, file)
    with pytest.raises(ConfigurationError, match=message):
        TimmBackbone(1, model=model, weights=str(file)).load_initial_weights()


@pytest.mark.parametrize(
    ("name", "content"), [("x.safetensors", b"nothing"), ("x.pth", b"nothing"), ("x.pth", b"")]
)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"{name}: not readable as weights"):
        TimmBackbone(1, model=SMALL, weights=str(tmp_path / name)).load_initial_weights()


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors"])
def test_an_absent_file_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: no such file"):
        TimmBackbone(1, model=SMALL, weights=name).load_initial_weights()


@pytest.mark.usefixtures("no_network")
def test_auto_starts_from_random_weights_with_one_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        origin = TimmBackbone(1, model=SMALL).load_initial_weights()
    assert len(caught) == 1
    assert "starting from random weights" in str(caught[0].message)
    assert "no route to host)" in str(caught[0].message)
    assert origin == "random"


@pytest.mark.usefixtures("no_network")
def test_true_makes_their_absence_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"no pretrained weights \(timm/resnet10t.* weights = FILE"):
        TimmBackbone(1, model=SMALL, pretrained=True).load_initial_weights()


def test_a_network_without_published_weights_says_so() -> None:
    with pytest.raises(ConfigurationError, match="none are published for it"):
        TimmBackbone(1, model="resnet200", pretrained=True).load_initial_weights()


@pytest.mark.parametrize("pretrained", ["auto", True])
def test_weights_in_the_cache_are_used_without_a_network(
    rgb_file: Path, monkeypatch: pytest.MonkeyPatch, no_network: None, pretrained: Any
) -> None:
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *args: str(rgb_file))
    backbone = TimmBackbone(1, model=SMALL, pretrained=pretrained)
    assert backbone.load_initial_weights() == "timm/resnet10t.c3_in1k"
    torch.testing.assert_close(backbone.state_dict(), _loaded(str(rgb_file)))


def test_without_a_network_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's real client, pointed at a port where nobody listens."""
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *args: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *args: "https://127.0.0.1:9/model.safetensors")
    start = time.monotonic()
    file, reason = timm_weights._hub_file("timm/resnet10t.c3_in1k")
    assert file is None
    assert "cannot be downloaded" in reason
    assert time.monotonic() - start < 10


def test_a_network_that_has_come_back_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    choice = timm_weights.InitialWeights(SMALL, 1, None, "auto", None, "names")
    now = 1000.0
    monkeypatch.setattr(timm_weights.time, "monotonic", lambda: now)
    with pytest.warns(UserWarning, match="no route to host"):
        assert timm_weights.load_network(choice, ())[0] is None
    asked: list[str] = []
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: asked.append("asked"))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: "there.safetensors")
    monkeypatch.setattr(timm_weights, "create_network", lambda *_: torch.nn.Identity())
    now += 90
    assert timm_weights.load_network(choice, ())[1].startswith("timm/")
    assert asked == ["asked"]
