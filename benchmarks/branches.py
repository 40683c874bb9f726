"""Time two unshared branches, one after the other or as one network of grouped convolutions.

    python benchmarks/branches.py --size 224 --batch 8 --turns 5

Forward and backward through the 3 x 3 convolutions of ResNet-18, by stage. Grouping would also cost a copy of the maps
wherever views meet, which is left out here.
"""

from functools import partial

import torch
from evidence import arguments, publish, take_turns
from torch import nn


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    table = []
    for stage, channels in enumerate((64, 128, 256, 512)):
        side = asked.size // 4 // 2**stage
        apart = [convolution(channels, 1, asked.device) for _ in range(2)]
        grouped = convolution(2 * channels, 2, asked.device)
        maps = [image(asked.batch, channels, side, asked.device) for _ in range(2)]
        both = image(asked.batch, 2 * channels, side, asked.device)
        timed = take_turns(
            {"apart": partial(both_ways, apart, maps), "grouped": partial(both_ways, [grouped], [both])},
            turns=asked.turns,
            device=asked.device,
        )
        cpu = timed["grouped"].cpu / timed["apart"].cpu
        wall = timed["grouped"].wall / timed["apart"].wall
        table.append(
            {
                "stage": stage + 1,
                "channels": channels,
                "side": side,
                "n": asked.turns,
                "wall_ratio": wall,
                "cpu_ratio": cpu,
            }
        )
    name = "branches" if asked.device == "cpu" else f"branches_{asked.device}"
    publish(
        name, asked.device, table, asked.out, size=asked.size, batch=asked.batch, ratio="grouped over apart"
    )


def both_ways(layers: list[nn.Module], maps: list[torch.Tensor]) -> None:
    for layer, each in zip(layers, maps, strict=True):
        layer(each).sum().backward()


def convolution(channels: int, groups: int, device: str) -> nn.Module:
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False, groups=groups)
    return layer.to(device, memory_format=torch.channels_last)


def image(batch: int, channels: int, side: int, device: str) -> torch.Tensor:
    maps = torch.randn(batch, channels, side, side, device=device)
    return maps.to(memory_format=torch.channels_last).requires_grad_()


if __name__ == "__main__":
    main()
