"""timm's transformers as stages: the same numbers as timm's own at any size, tokens and attention beside the maps."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from gazekit_components.attention_maps.rollout import rollout
from gazekit_components.backbones import timm_weights
from gazekit_components.backbones.timm_backbone import TimmBackbone
from gazekit_components.backbones.timm_tokens import attention_weights
from tiny import random_batch
from torch import Tensor, nn

from gazekit.errors import ConfigurationError
from gazekit.modelling.build import build_attention_map, build_model, build_objective
from gazekit.modelling.model import MultiViewClassifier
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.training.computing.step import TrainingStep
from gazekit.training.optimising.optimiser import make_optimizer
from gazekit.training.optimising.recipe import Recipe

timm = timm_weights.imported_timm()  # with the guard of torchvision
Extras = dict[str, Tensor]


def known(model: str) -> Any:
    """A parameter that is skipped where timm is older than the model."""
    return pytest.param(model, marks=pytest.mark.skipif(not timm.is_model(model), reason="a newer timm"))


def run(backbone: TimmBackbone, images: Tensor) -> tuple[Tensor, list[Extras]]:
    """The last maps, and the extras of every stage."""
    maps, shown, extras = images, [], {}
    for stage in backbone.stages:
        result = stage(maps, extras) if getattr(stage, "reads_extras", False) else stage(maps)
        maps, extras = result if isinstance(result, tuple) else (result, {})
        shown.append(extras)
    return maps, shown


def both(model: str, size: tuple[int, int], **options: Any) -> tuple[TimmBackbone, Any]:
    """The backbone, and timm's network with the same weights, in evaluation mode."""
    torch.manual_seed(0)
    backbone = TimmBackbone(1, size, model=model, pretrained=False, **options)
    torch.manual_seed(0)
    network = timm.create_model(model, in_chans=1, num_classes=0, img_size=size)
    return backbone.eval(), network.eval()


FAST = [("test_vit", (64, 64)), ("test_vit2", (32, 48)), ("test_vit3", (32, 32))]
SLOW = [
    *(("vit_tiny_patch16_224", (side, side)) for side in (64, 96, 224)),
    ("vit_small_patch14_dinov2", (56, 70)),
    ("vit_small_patch16_dinov3", (64, 96)),
    ("deit_tiny_distilled_patch16_224", (64, 64)),
]


@pytest.mark.parametrize(
    ("model", "size"), [*FAST, *(pytest.param(*each, marks=pytest.mark.slow) for each in SLOW)]
)
def test_groups_of_blocks_compute_what_timms_own_forward_pass_does(model: str, size: tuple[int, int]) -> None:
    backbone, network = both(model, size)
    images = torch.randn(2, 1, *size)
    with torch.no_grad():
        maps, shown = run(backbone, images)
        tokens = network.forward_features(images)
    prefix = network.num_prefix_tokens
    assert len(backbone.stages) == 4 and backbone.channels == (tokens.shape[2],) * 4
    torch.testing.assert_close(maps.flatten(2).mT, tokens[:, prefix:], rtol=1e-4, atol=1e-5)
    before = [shown[-1]["class_token"][:, None]] if "class_token" in shown[-1] else []
    before += [shown[-1]["registers"]] if "registers" in shown[-1] else []
    torch.testing.assert_close(torch.cat(before, dim=1), tokens[:, :prefix], rtol=1e-4, atol=1e-5)
    assert ("class_token" in shown[-1]) == (network.cls_token is not None)


@pytest.mark.slow
@pytest.mark.parametrize("side", [64, 96])
def test_a_swin_transformer_is_a_chain_of_stages(side: int) -> None:
    backbone, network = both("swin_tiny_patch4_window7_224", (side, side))
    images = torch.randn(2, 1, side, side)
    with torch.no_grad():
        maps, _ = run(backbone, images)
        expected = network.forward_intermediates(images, intermediates_only=True)
    assert backbone.channels == (96, 192, 384, 768)
    torch.testing.assert_close(maps, expected[-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [known("test_maxvit"), "test_convnext", "test_efficientnet"])
def test_other_networks_stay_a_chain(model: str) -> None:
    assert len(TimmBackbone(1, (64, 64), model=model, pretrained=False).stages) == 4


@pytest.mark.parametrize(
    "model", [known("test_vit_relpos"), pytest.param("hrnet_w18_small", marks=pytest.mark.slow)]
)
def test_a_network_that_is_no_chain_is_one_stage_whose_parameters_all_take_part(model: str) -> None:
    torch.manual_seed(0)
    backbone = TimmBackbone(1, (64, 64), model=model, pretrained=False)
    assert len(backbone.stages) == 1
    maps, _ = run(backbone, torch.randn(2, 1, 64, 64))
    assert maps.shape[1] == backbone.channels[0]
    maps.square().sum().backward()
    assert [n for n, each in backbone.named_parameters() if each.requires_grad and each.grad is None] == []


@pytest.mark.parametrize(
    ("model", "size", "options", "message"),
    [
        (
            "test_vit",
            (64, 52),
            {},
            r"^backbone test_vit: expected images .* multiples of 16 px, the side of a patch; got 64 × 52: prepare the "
            r"data with --size 64x48, or take a network without patches, e\.g\. resnet18$",
        ),
        (
            "test_convnext",
            (64, 64),
            {"show_attention": True},
            r"show_attention needs blocks in which all tokens .*; leave it out, or .* vit_tiny_patch16_224$",
        ),
    ],
)
def test_an_image_or_attention_that_a_network_cannot_have_is_refused_in_one_line(
    model: str, size: tuple[int, int], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        TimmBackbone(1, size, model=model, pretrained=False, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(64, 64), (32, 48)])
def test_positions_of_a_file_are_interpolated_for_the_size_of_the_images(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    torch.manual_seed(3)
    file = str(tmp_path / "model.safetensors")
    safetensors.torch.save_file(timm.create_model("test_vit", num_classes=0).state_dict(), file)
    overlay = {"file": file, "custom_load": False}
    expected = timm.create_model(
        "test_vit", pretrained=True, pretrained_cfg_overlay=overlay, in_chans=1, num_classes=0, img_size=size
    ).eval()
    backbone = TimmBackbone(1, size, model="test_vit", weights=file)
    assert "the stem's 3 input channels summed into 1" in backbone.load_initial_weights()
    images = torch.randn(1, 1, *size)
    with torch.no_grad():
        maps, _ = run(backbone.eval(), images)
        tokens = expected.forward_features(images)
    torch.testing.assert_close(maps.flatten(2).mT, tokens[:, 1:], rtol=1e-4, atol=1e-5)


class _Recorder(nn.Module):
    """Keeps what passes, in the place of dropout of attention weights."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, weights: Tensor) -> Tensor:
        self.seen.append(weights)
        return weights


def recorded(network: Any, images: Tensor) -> Tensor:
    """The weights that timm's own attention uses, ``[B, layers, heads, n, n]``."""
    recorder = _Recorder()
    for block in network.blocks:
        block.attn.fused_attn, block.attn.attn_drop = False, recorder
    with torch.no_grad():
        network.forward_features(images)
    return torch.stack(recorder.seen, dim=1)


@pytest.mark.parametrize(
    ("model", "size"),
    [
        ("test_vit", (64, 64)),
        ("test_vit2", (32, 48)),
        pytest.param("vit_small_patch16_dinov3", (64, 96), marks=pytest.mark.slow),
        pytest.param("eva02_tiny_patch14_224", (56, 56), marks=pytest.mark.slow),
    ],
)
def test_attention_that_is_shown_is_that_which_timm_uses(model: str, size: tuple[int, int]) -> None:
    backbone, network = both(model, size, show_attention=True)
    images = torch.randn(2, 1, *size)
    with torch.no_grad():
        _, shown = run(backbone, images)
    attention = torch.cat([each["attention"] for each in shown], dim=1)
    torch.testing.assert_close(attention, recorded(network, images), rtol=1e-4, atol=1e-6)
    quiet = both(model, size)[0]
    assert all("attention" not in each for each in run(quiet, images)[1])


def test_attention_is_the_softmax_of_scaled_products() -> None:
    """Against slow loops in NumPy, from the weights of a block."""
    torch.manual_seed(0)
    block = timm.create_model("test_vit", num_classes=0).blocks[1].double().eval()
    tokens = torch.randn(1, 5, 64, dtype=torch.float64)
    found = attention_weights(block, tokens)[0].detach().numpy()  # [heads, n, n]
    x = tokens[0].numpy()
    norm = block.norm1
    weight, bias = (each.detach().numpy() for each in (block.attn.qkv.weight, block.attn.qkv.bias))
    normed = np.stack(
        [
            (row - row.mean()) / math.sqrt(row.var() + norm.eps) * norm.weight.detach().numpy()
            + norm.bias.detach().numpy()
            for row in x
        ]
    )
    heads, size = 2, 32
    for head in range(heads):
        for i in range(5):
            scores = []
            for j in range(5):
                product = 0.0
                for k in range(size):
                    own = head * size + k
                    query = weight[own] @ normed[i] + bias[own]
                    key = weight[64 + own] @ normed[j] + bias[64 + own]
                    product += query * key
                scores.append(product / math.sqrt(size))
            expected = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(found[head, i], expected, rtol=1e-9)


VIT = (
    "backbone.use=timm",
    "backbone.model=test_vit",
    "backbone.pretrained=false",
    "fusion.maps.heads=2",
    "fusion.maps.head_dim=3",
    "model.vector_features=7",
    "data.size=64",
    "gaze.alignment_loss.levels=2",
)


def vit(registry: Registry, *overrides: str, seed: int = 0) -> tuple[MultiViewClassifier, Preset]:
    preset = registry.preset("mammonet_small", overrides=[*VIT, *overrides])
    torch.manual_seed(seed)
    return build_model(preset, registry, classes=2), preset


@pytest.mark.parametrize("name", ["rollout", "class_attention"])
def test_maps_of_attention_work_on_a_vision_transformer_and_supervise_it(
    registry: Registry, name: str
) -> None:
    model, preset = vit(
        registry,
        f"attention_map={name}",
        "backbone.show_attention=true",
        "pooling=class_token",
        "fusion.maps=none",
    )
    attention_map = build_attention_map(preset, registry)
    assert attention_map is not None
    batch = random_batch(preset.views, size=64)
    _, maps = model.eval().explain(batch.images, attention_map)
    encoded = model.encode_all(batch.images)
    for view in preset.views:
        attention = torch.cat([each["attention"] for each in encoded.extras[view]], dim=1)
        assert attention.shape == (4, 6, 2, 17, 17)
        row = rollout(attention)[:, 0, 1:] if name == "rollout" else attention[:, -1, :, 0, 1:].mean(dim=1)
        torch.testing.assert_close(maps[view], row.unflatten(1, (4, 4)).detach())
    losses = build_objective(preset, registry, model)(model.train()(batch.images), batch)
    losses.terms["gaze"].backward()
    queries = [each.grad for n, each in model.named_parameters() if "blocks.1.attn.qkv.weight" in n]
    assert queries and all(each is not None and each.any() for each in queries)


def test_a_vision_transformer_that_shows_no_attention_says_how_it_would(registry: Registry) -> None:
    model, preset = vit(registry, "attention_map=rollout")
    attention_map = build_attention_map(preset, registry)
    assert attention_map is not None
    with pytest.raises(ConfigurationError, match=r"backbone\.show_attention = true"):
        model.explain(random_batch(preset.views, size=64).images, attention_map)


def test_grad_cam_says_that_a_class_token_leaves_it_nothing_and_layer_cam_reads_an_earlier_stage(
    registry: Registry,
) -> None:
    images = random_batch(("cc", "mlo"), size=64).images
    model, preset = vit(registry, "pooling=class_token", "attention_map=grad_cam", "fusion.maps=none")
    attention_map = build_attention_map(preset, registry)
    assert attention_map is not None
    with pytest.raises(ConfigurationError, match="the score does not depend on the feature maps"):
        model.explain(images, attention_map)
    model, preset = vit(
        registry,
        "pooling=class_token",
        "attention_map=layer_cam",
        "attention_map.stage=3",
        "fusion.maps=none",
    )
    attention_map = build_attention_map(preset, registry)
    assert attention_map is not None
    _, maps = model.explain(images, attention_map)
    assert all(each.shape == (4, 4, 4) and each.any() for each in maps.values())


@pytest.mark.parametrize("pooling", ["mean", "class_token"])
def test_recomputed_stages_on_tokens_give_the_same_gradients_to_the_bit(
    registry: Registry, pooling: str
) -> None:
    batch = random_batch(("cc", "mlo"), size=64)
    gradients = []
    for recompute in (False, True):
        model, _ = vit(registry, f"pooling={pooling}", "gaze=none")
        model.checkpoint_activations = recompute
        model.train()(batch.images).logits.square().sum().backward()
        gradients.append({name: each.grad for name, each in model.named_parameters()})
    assert all(
        (ours is None and theirs is None) or torch.equal(ours, theirs)
        for ours, theirs in zip(*(each.values() for each in gradients), strict=True)
    )


def test_half_precision_reaches_the_class_token_in_single(registry: Registry) -> None:
    model, preset = vit(registry, "pooling=class_token", "gaze=none")
    model.amp = torch.bfloat16
    output = model(random_batch(preset.views, size=64).images)
    assert output.pooled["cc"].dtype == torch.float32 and output.logits.isfinite().all()


def test_a_batch_in_parts_has_the_gradient_of_the_whole_through_tokens_and_attention(
    registry: Registry,
) -> None:
    """Class token and attention pass as extras; the loss of gaze reaches the blocks through the latter alone."""
    batch = random_batch(("cc", "mlo"), exams=5, size=64).map(
        lambda each: each.double() if each.is_floating_point() else each
    )
    found = []
    for parts in (1, 3):
        overrides = ("attention_map=rollout", "backbone.show_attention=true", "pooling=class_token")
        model, preset = vit(registry, *overrides, "fusion.maps=none", f"training.accumulate={parts}")
        objective = build_objective(preset, registry, model.train())
        modules = nn.ModuleDict({"model": model.double(), "objective": objective.double()})
        optimizer = make_optimizer(modules, Recipe.of(preset.training, registry))
        step = TrainingStep(model, objective, optimizer, preset.training)
        _, terms = step(batch)
        found.append((terms, {name: each.grad for name, each in model.named_parameters()}))
    (expected, whole), (came, in_parts) = found
    torch.testing.assert_close(came, expected, rtol=1e-9, atol=1e-12)
    assert whole.keys() == in_parts.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(in_parts[name], gradient, rtol=1e-6, atol=1e-10)
