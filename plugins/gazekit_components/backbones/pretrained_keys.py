"""Find the tensors of a timm network in a file that another library saved.

A file names its tensors as its library names its modules. A ``Layout`` maps timm's name of a tensor, for example
``blocks.1.0.bn2.weight``, to the library's name; a file may put a prefix before all names. To support another library,
add one line to ``LAYOUTS``.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

PREFIXES = (
    "module.",
    "_orig_mod.",
    "model.",
    "backbone.",
    "encoder.",
    "image_encoder.",
    "network.",
    "net.",
    "resnet.",
)
"""Prefixes that wrappers put before the names of a network, in any combination.

``module.``: torch's DataParallel; ``_orig_mod.``: torch.compile; ``model.``, ``net.``, ``network.``, ``backbone.``,
``encoder.``: the attribute in which a Lightning module or torchxrayvision's ``ResNet`` holds its network;
``image_encoder.``: Mammo-CLIP, with ``image_encoder.model.`` before a network of timm, ``image_encoder.resnet.`` before
one of torchvision and nothing more before its copy of efficientnet_pytorch.
"""
_HEADS = re.compile(r"(_?fc|classifier|heads?|class_layers|last_linear|op_threshs)\b")
"""Classification heads at the top of a network, and the thresholds that torchxrayvision keeps with them."""
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, slots=True)
class NetworkPart:
    """The place of a tensor in a timm network: its stage and block, if it is in one.

    Args:
        key: full name of the tensor.
        block: number of the block, counted through all stages; None outside the blocks.
        place: the block in timm's terms, ``(stage, block in the stage)``.
        inner: name within the block, without the last word.
        last: last word of the name, such as ``weight``.
        separable: whether the block has no expansion: depthwise, then pointwise.
    """

    key: str
    block: int | None = None
    place: tuple[int, int] = (0, 0)
    inner: str = ""
    last: str = ""
    separable: bool = False


@dataclass(frozen=True, slots=True)
class KeyLayout:
    """The tensor names of one library.

    Args:
        name: name of the library, for reports.
        published: part of a timm network → the library's name for it.
        same_padding: whether convolutions pad as in TensorFlow, so that only timm's ``tf_`` networks are equivalent.
    """

    name: str
    published: Callable[[NetworkPart], str]
    same_padding: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """The tensors of a file matched to a network.

    Args:
        tensors: the network's key → the file's tensor, unchanged.
        how: text that says how they were matched.
        left_out: reason → keys of the file.
        layout: None if names were not used.
    """

    tensors: Mapping[str, Tensor]
    how: str
    left_out: Mapping[str, tuple[str, ...]]
    layout: KeyLayout | None = None


class Mismatch(ValueError):
    """The file holds another network; the message lists what is missing, unknown or of another shape."""


def match_names(
    found: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    *,
    stems: Sequence[str] = (),
    also: Sequence[str] = (),
) -> Match:
    """Match each tensor of a network to a file by name, with the layout and prefix that fit most of them.

    Args:
        found: the file's tensors.
        expected: the network's tensors by timm's key; only their shapes count. Counters may be missing in the file.
        stems: keys of convolutions on the image; their number of input channels may differ.
        also: further keys of the network that are not needed but may be in the file.

    Raises:
        Mismatch: something is missing, has another shape, or is in the file but not in the network.
    """
    parts = _parts([*expected, *also])
    readings = [
        _Reading(layout, prefix, {key: prefix + layout.published(part) for key, part in parts.items()})
        for prefix in _prefixes(found)
        for layout in LAYOUTS
    ]

    def fit(key: str, name: str) -> bool:
        return name in found and fits(found[name], expected[key], stem=key in stems)

    # the first of several equal ones
    best = max(readings, key=lambda each: sum(fit(key, each.names[key]) for key in expected))
    where = {key: best.names[key] for key in expected if best.names[key] in found}
    missing = [key for key in expected if key not in where and not key.endswith(_COUNTER)]
    misshapen = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(expected[key].shape)}"
        for key, name in where.items()
        if not fit(key, name)
    ]
    left_out = _left_out(found, set(where.values()), {best.names[key] for key in also}, best.prefix)
    unknown = left_out.pop(_UNKNOWN, ())
    problems = {"missing": missing, "unknown": unknown, "of another shape": misshapen}
    if any(problems.values()):
        listed = "; ".join(f"{len(keys)} {kind} ({keys[0]} …)" for kind, keys in problems.items() if keys)
        raise Mismatch(f"read with the names of {best}: {listed}")
    tensors = {key: found[name] for key, name in where.items()}
    return Match(tensors, f"by the names of {best}", left_out, best.layout)


def match_order(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, stems: Sequence[str] = ()
) -> Match:
    """Pair the tensors of a file with those of a network in order, whatever their names.

    Every shape must match. Tensors after the network's last one are left out. Counters are ignored.

    Raises:
        Mismatch: the first pair whose shapes differ, or a file that ends too early.
    """
    theirs = [key for key in found if not key.endswith(_COUNTER)]
    ours = [key for key in expected if not key.endswith(_COUNTER)]
    for number, (name, key) in enumerate(zip(theirs, ours, strict=False), 1):
        if not fits(found[name], expected[key], stem=key in stems):
            raise Mismatch(
                f"tensor {number} is {name} {tuple(found[name].shape)}, expected {key} {tuple(expected[key].shape)}"
            )
    if len(theirs) < len(ours):
        raise Mismatch(
            f"{len(theirs)} tensors, expected {len(ours)}: {ours[len(theirs)]} is the first without one"
        )
    left_out = {
        "after the network's last": tuple(theirs[len(ours) :]),
        "counters of batches": tuple(key for key in found if key.endswith(_COUNTER)),
    }
    return Match(
        {key: found[name] for name, key in zip(theirs, ours, strict=False)},
        "by order and shape, whatever their names",
        {reason: keys for reason, keys in left_out.items() if keys},
    )


def fits(tensor: Tensor, expected: Tensor, *, stem: bool = False) -> bool:
    """Whether a tensor has the expected shape, apart from axes of length one and the input channels of a stem."""
    if stem and tensor.ndim == expected.ndim == 4:
        return tensor.shape[0] == expected.shape[0] and tensor.shape[2:] == expected.shape[2:]
    return tensor.squeeze().shape == expected.squeeze().shape


_UNKNOWN = "unknown"


def _left_out(
    found: Mapping[str, Tensor], used: set[str], unwanted: set[str], prefix: str
) -> dict[str, tuple[str, ...]]:
    """Map each reason to the unused keys of the file; ``unknown`` holds keys that should not be there."""
    reasons: dict[str, list[str]] = {}
    for key in found:
        if key in used:
            continue
        inner = key.removeprefix(prefix)
        if not key.startswith(prefix):
            reason = "other parts of the file"
        elif key in unwanted:
            reason = "after the last stage"
        elif _HEADS.match(inner):
            reason = "classifier"
        elif key.endswith(_COUNTER):
            reason = "counters of batches"
        else:
            reason = _UNKNOWN
        reasons.setdefault(reason, []).append(key)
    return {reason: tuple(keys) for reason, keys in reasons.items()}


def without_prefix(found: Mapping[str, Tensor], keys: Iterable[str]) -> Mapping[str, Tensor]:
    """Take off the prefix after which most of a network's own keys are found; the tensors as they are where none is."""
    keys = set(keys)
    best = max(_prefixes(found), key=lambda prefix: sum(prefix + key in found for key in keys))
    return {name.removeprefix(best): tensor for name, tensor in found.items()}


def _prefixes(found: Mapping[str, Tensor]) -> list[str]:
    """Return the prefixes that occur, alone and nested, shortest first."""
    prefixes = [""]
    for outer in prefixes:  # grows while it is iterated
        prefixes += [
            outer + inner for inner in PREFIXES if any(key.startswith(outer + inner) for key in found)
        ]
    return prefixes


@dataclass(frozen=True, slots=True)
class _Reading:
    """A way to read a file: a layout and a prefix, and the resulting name of each key of the network."""

    layout: KeyLayout
    prefix: str
    names: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.layout.name} after '{self.prefix}'" if self.prefix else self.layout.name


def _parts(keys: Sequence[str]) -> dict[str, NetworkPart]:
    """Locate each tensor of a timm network."""
    blocks = {key: match for key in keys if (match := re.match(r"blocks\.(\d+)\.(\d+)\.(.+)\.(\w+)$", key))}
    places = sorted({(int(match[1]), int(match[2])) for match in blocks.values()})
    expanding = {(int(match[1]), int(match[2])) for match in blocks.values() if match[3] == "conv_pwl"}
    parts = {}
    for key in keys:
        match = blocks.get(key)
        if match is None:
            parts[key] = NetworkPart(key)
        else:
            place = (int(match[1]), int(match[2]))
            parts[key] = NetworkPart(
                key, places.index(place), place, match[3], match[4], place not in expanding
            )
    return parts


def _as_timm(part: NetworkPart) -> str:
    return part.key


def _patterns(rules: Mapping[str, str]) -> Callable[[NetworkPart], str]:
    """Replace each pattern in timm's key, one rule after the other."""
    return lambda part: _replaced(part.key, rules)


def _replaced(key: str, rules: Mapping[str, str]) -> str:
    for pattern, replacement in rules.items():
        key = re.sub(pattern, replacement, key)
    return key


@dataclass(frozen=True)
class _MobileBlocks:
    """Tensor names of a network of inverted residuals: EfficientNet and MobileNet.

    Args:
        block: name of a block, with its ``{number}`` through all stages (``{from_one}``: counted from 1), the
            ``{stage}`` (``{after}``: counted from 1) and its ``{index}`` in that.
        separable: names in a block without expansion: depthwise convolution and norm, squeeze, pointwise convolution
            and norm.
        inverted: names in a block with expansion: expansion and norm, depthwise and norm, squeeze, projection and norm.
        outside: pattern → replacement for tensors outside the blocks.
    """

    block: str
    separable: str
    inverted: str
    outside: Mapping[str, str]

    def __call__(self, part: NetworkPart) -> str:
        if part.block is None:
            return _replaced(part.key, self.outside)
        names = self._separable if part.separable else self._inverted
        stage, index = part.place
        block = self.block.format(
            number=part.block, stage=stage, index=index, from_one=part.block + 1, after=stage + 1
        )
        return f"{block}{names.get(part.inner, part.inner)}.{part.last}"

    @cached_property
    def _separable(self) -> dict[str, str]:
        return dict(
            zip(
                ["conv_dw", "bn1", "se.conv_reduce", "se.conv_expand", "conv_pw", "bn2"],
                self.separable.split(),
                strict=True,
            )
        )

    @cached_property
    def _inverted(self) -> dict[str, str]:
        return dict(
            zip(
                ["conv_pw", "bn1", "conv_dw", "bn2", "se.conv_reduce", "se.conv_expand", "conv_pwl", "bn3"],
                self.inverted.split(),
                strict=True,
            )
        )


def _efficientnet(block: str) -> _MobileBlocks:
    """Return efficientnet_pytorch's names, with its blocks counted as ``block`` says."""
    return _MobileBlocks(
        block,
        separable="_depthwise_conv _bn1 _se_reduce _se_expand _project_conv _bn2",
        inverted="_expand_conv _bn0 _depthwise_conv _bn1 _se_reduce _se_expand _project_conv _bn2",
        outside={
            r"^bn1\.": "_bn0.",
            r"^bn2\.": "_bn1.",
            r"^conv_(stem|head)\.": r"_conv_\1.",
            r"^classifier\.": "_fc.",
        },
    )


def _convnext_rules() -> Iterator[tuple[str, str]]:
    for stage in range(4):
        yield rf"^stages\.{stage}\.blocks\.(\d+)\.", rf"features.{2 * stage + 1}.\1."
        yield rf"^stages\.{stage}\.downsample\.", f"features.{2 * stage}."
    for ours, theirs in {"conv_dw": 0, "norm": 2, r"mlp\.fc1": 3, r"mlp\.fc2": 5}.items():
        yield rf"^(features\.\d\.\d+)\.{ours}\.", rf"\1.block.{theirs}."
    yield r"\.gamma$", ".layer_scale"
    yield r"^stem\.", "features.0."
    yield r"^head\.norm\.", "classifier.0."
    yield r"^head\.fc\.", "classifier.2."


LAYOUTS = (
    # timm 1.0.31; torchvision 0.28 models/resnet.py, densenet.py; torchxrayvision 1.5.7 models.py (DenseNet,
    # ResNet.model); MONAI 1.6.1 networks/nets/resnet.py
    KeyLayout(
        "timm, or torchvision's ResNet and DenseNet",  # also torchxrayvision's, and MONAI's ResNet in two dimensions
        _as_timm,
    ),
    # torchvision 0.28 models/densenet.py, _load_state_dict
    KeyLayout(
        "torchvision's first DenseNets",
        _patterns({r"(denselayer\d+\.(?:norm|conv))(\d)\.": r"\1.\2."}),
    ),
    # MONAI 1.6.1 networks/nets/densenet.py, _DenseLayer
    KeyLayout(
        "MONAI's DenseNet",
        _patterns({r"(denselayer\d+)\.": r"\1.layers.", r"^classifier\.": "class_layers.out."}),
    ),
    # efficientnet_pytorch 0.7.1 and efficientnet_lite_pytorch 0.1.0 model.py;
    # github.com/batmanlab/Mammo-CLIP breastclip/model/modules/efficientnet_custom.py
    KeyLayout(
        "efficientnet_pytorch",  # and Mammo-CLIP's copy of it
        _efficientnet("_blocks.{number}."),
        same_padding=True,
    ),
    # MONAI 1.6.1 networks/nets/efficientnet.py, EfficientNet
    KeyLayout(
        "MONAI's EfficientNetBN",
        _efficientnet("_blocks.{stage}.{number}."),
        same_padding=True,
    ),
    # torchvision 0.28 models/efficientnet.py, MBConv
    KeyLayout(
        "torchvision's EfficientNet",
        _MobileBlocks(
            "features.{after}.{index}.block.",
            separable="0.0 0.1 1.fc1 1.fc2 2.0 2.1",
            inverted="0.0 0.1 1.0 1.1 2.fc1 2.fc2 3.0 3.1",
            outside={
                r"^conv_stem\.": "features.0.0.",
                r"^bn1\.": "features.0.1.",
                r"^conv_head\.": "features.8.0.",
                r"^bn2\.": "features.8.1.",
                r"^classifier\.": "classifier.1.",
            },
        ),
    ),
    # torchvision 0.28 models/mobilenetv2.py, InvertedResidual
    KeyLayout(
        "torchvision's MobileNetV2",
        _MobileBlocks(
            "features.{from_one}.conv.",
            separable="0.0 0.1 - - 1 2",
            inverted="0.0 0.1 1.0 1.1 - - 2 3",
            outside={
                r"^conv_stem\.": "features.0.0.",
                r"^bn1\.": "features.0.1.",
                r"^conv_head\.": "features.18.0.",
                r"^bn2\.": "features.18.1.",
                r"^classifier\.": "classifier.1.",
            },
        ),
    ),
    # torchvision 0.28 models/convnext.py
    KeyLayout("torchvision's ConvNeXt", _patterns(dict(_convnext_rules()))),
)
"""Layouts of the known libraries, the commonest first, each with the place where its names stand."""
