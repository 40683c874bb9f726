"""Time predictions of Mammo-Net with each batch norm folded into the convolution before it, against those without.

    python benchmarks/folding.py --size 224 --turns 30

Folding changes the weights, not what they compute: the largest difference of a logit is written too. It is not a part
of gazekit; this measures what it would bring.
"""

import copy
from collections.abc import Callable

import torch
from evidence import arguments, publish, rows, take_turns
from systems import ALL, noise, preset_of
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import gazekit
from gazekit.contracts.types import Views
from gazekit.modelling.build import build_model
from gazekit.modelling.model import MultiViewClassifier
from gazekit.training.computing.execution import prepare_execution

BATCHES = (1, 8)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--turns", type=int, default=30)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    preset = preset_of(ALL)
    model = build_model(preset, gazekit.load_registry(), classes=2).to(asked.device)
    prepare_execution(model, preset.training)
    images = {
        number: noise(preset.views, number, asked.size, asked.device).images for number in (*BATCHES, 32)
    }
    with torch.no_grad():
        model.train()(images[32])  # running statistics that are not those of a fresh network
    model.eval()
    folded = copy.deepcopy(model)
    number = fold(folded)
    things = {
        f"{name}, batch {batch}": predicts(each, images[batch])
        for batch in BATCHES
        for name, each in (("as trained", model), ("folded", folded))
    }
    with torch.inference_mode():
        apart = (model(images[32]).logits - folded(images[32]).logits).abs().max().item()
        timed = take_turns(things, turns=asked.turns, device=asked.device)
    table = [
        row
        for batch in BATCHES
        for row in rows(
            {n: t for n, t in timed.items() if n.endswith(f" {batch}")}, f"as trained, batch {batch}"
        )
    ]
    name = f"folding_{asked.size}px" + ("" if asked.device == "cpu" else f"_{asked.device}")
    publish(name, asked.device, table, asked.out, size=asked.size, folded=number, largest_difference=apart)


def predicts(model: MultiViewClassifier, images: Views) -> Callable[[], Tensor]:
    return lambda: model(images).logits


def fold(module: nn.Module) -> int:
    """Fold batch norms that follow a convolution in the order of a module's children; return how many."""
    number, before = 0, ("", nn.Module())
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(before[1], nn.Conv2d):
            fused = fuse_conv_bn_eval(before[1], child)
            setattr(module, before[0], fused.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
            setattr(module, name, nn.Identity())
            number += 1
        else:
            number += fold(child)
        before = name, child
    return number


if __name__ == "__main__":
    main()
