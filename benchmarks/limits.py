"""Say where a training step's time goes, and what arithmetic, memory and launches alone would take.

    python benchmarks/limits.py --size 224 --batch 8

A profile gives each kind of operation its share of the time. Its floor is the greater of two times: that of its
arithmetic at the rate of a large matrix product, and that of reading or writing each of its tensors once at the rate
of adding large tensors. Both rates are measured in the same run. The step is that of ``step.py``; on a GPU it is not
recorded here, because a recording hides its operations.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from evidence import arguments, middle, publish, time_once
from systems import ALL, SYSTEMS, make_step, noise, preset_of
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

KINDS = (
    ("convolutions, backward", ("convolution_backward",)),
    ("convolutions, forward", ("convolution", "conv2d", "conv_depthwise")),
    ("norms", ("_norm",)),
    ("matrix products", ("mm", "bmm", "baddbmm", "addmm", "matmul", "linear", "attention")),
    ("optimiser", ("_fused_adam", "_foreach_")),
    ("pooling", ("pool",)),
)
"""Kind of operation → parts of the names of torch's operations; the first that fits."""
OTHER = "element by element, copies"
NO_WORK = (
    *("view", "_unsafe_view", "_reshape_alias", "alias", "detach", "t", "transpose", "permute", "expand"),
    *("unsqueeze", "squeeze", "select", "slice", "split_with_sizes", "unbind", "empty"),
)
"""Operations that only look at memory in another way, or reserve it."""


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10, help="profiled")
    parser.add_argument("--system", choices=SYSTEMS, default=ALL)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the preset")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    batch = noise(preset_of("plain").views, asked.batch, asked.size, asked.device)
    step = make_step(asked.system, asked.device, "training.cuda_graphs=false", *asked.set)

    def once() -> object:
        return step(batch)

    times = [time_once(once, asked.device)[0] for _ in range(3 + asked.steps)][3:]
    seconds, spread = middle(times)
    shares = shares_of_time(once, asked.device, asked.steps)
    with Counted() as work:
        once()
    arithmetic, memory = rates(asked.device)
    table = list(by_kind(shares, work, seconds, (arithmetic, memory)))
    publish(
        f"limits_{asked.size}px_{asked.batch}" + ("" if asked.device == "cpu" else f"_{asked.device}"),
        asked.device,
        table,
        asked.out,
        system=asked.system,
        set=asked.set,
        n=asked.steps,
        step_s=seconds,
        step_spread_s=spread,
        gflop_per_s=arithmetic / 1e9,
        gb_per_s=memory / 1e9,
        launch_us=seconds_of_a_launch(asked.device) * 1e6,
    )


def kind_of(operation: str) -> str:
    name = name_of(operation)
    return next((kind for kind, parts in KINDS if any(_is_in(part, name) for part in parts)), OTHER)


def name_of(operation: str) -> str:
    """Return the name of an operation without its library and overload."""
    return operation.removeprefix("aten::").removeprefix("aten.").partition(".")[0]


def _is_in(part: str, name: str) -> bool:
    """Whether the part is in the name; a short one must be all of it."""
    return name == part if len(part) < 4 else part in name


class Counted(TorchDispatchMode):
    """Count, by kind, the operations that compute, their floating-point operations and the bytes of their tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.arithmetic: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if name_of(str(func)) not in NO_WORK:
            kind = kind_of(str(func))
            self.operations[kind] += 1
            tensors = [each for each in tree_leaves((args, kwargs, out)) if isinstance(each, torch.Tensor)]
            self.bytes[kind] += sum(each.numel() * each.element_size() for each in tensors)
            if formula := flop_registry.get(func.overloadpacket):
                self.arithmetic[kind] += formula(*args, **(kwargs or {}), out_val=out)
        return out


def shares_of_time(step: Callable[[], object], device: str, steps: int) -> dict[str, float]:
    """Profile some steps; kind → share of the time of all operations, on the device that computes them."""
    cuda = device == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as watch:
        for _ in range(steps):
            step()
    spent: Counter[str] = Counter()
    for event in watch.key_averages():
        if event.key.startswith("aten::"):
            spent[kind_of(event.key)] += event.self_device_time_total if cuda else event.self_cpu_time_total
    return {kind: time / spent.total() for kind, time in spent.items()}


def rates(device: str) -> tuple[float, float]:
    """Measure floating-point operations and bytes per second, the best of 10 times.

    They are those of a product of 2048 × 2048 matrices and of adding tensors of 64 MB.
    """
    a, b, c = (torch.rand(2048, 2048, device=device) for _ in range(3))
    x, y, z = (torch.rand(16_000_000, device=device) for _ in range(3))
    product = min(time_once(lambda: torch.mm(a, b, out=c), device)[0] for _ in range(10))
    summed = min(time_once(lambda: torch.add(x, y, out=z), device)[0] for _ in range(10))
    return 2 * 2048**3 / product, 3 * x.numel() * 4 / summed


def seconds_of_a_launch(device: str) -> float:
    """Measure what an operation on one number takes: median of 5 times a thousand."""
    number = torch.zeros(1, device=device)

    def thousand() -> None:
        for _ in range(1000):
            number.add_(1.0)

    return middle([time_once(thousand, device)[0] / 1000 for _ in range(5)])[0]


def by_kind(
    shares: dict[str, float], work: Counted, seconds: float, limits: tuple[float, float]
) -> Iterator[dict[str, Any]]:
    """Make a row per kind, the slowest first, and one of all."""
    total: dict[str, Any] = {"name": "all"} | dict.fromkeys(
        ("share", "seconds", "operations", "gflop", "gb", "floor_s"), 0
    )
    for kind in sorted(work.operations, key=lambda kind: -shares.get(kind, 0.0)):
        floor = max(work.arithmetic[kind] / limits[0], work.bytes[kind] / limits[1])
        row = {
            "share": shares.get(kind, 0.0),
            "seconds": shares.get(kind, 0.0) * seconds,
            "operations": work.operations[kind],
            "gflop": work.arithmetic[kind] / 1e9,
            "gb": work.bytes[kind] / 1e9,
            "floor_s": floor,
        }
        total |= {key: total[key] + value for key, value in row.items()}
        yield {"name": kind} | row
    yield total


if __name__ == "__main__":
    main()
