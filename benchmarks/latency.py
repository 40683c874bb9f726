"""Time predictions from the start of a process to the probability, beside the import of torch alone.

    python benchmarks/latency.py RUN IMAGE IMAGE --turns 10

The images are those of one exam, in the order of the run's views. All take turns, each in a separate process,
except the answers of a `gazekit predict --stdin` that runs already.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from evidence import arguments, middle, publish

STARTS = {
    "python": [sys.executable, "-c", ""],
    "python, import torch": [sys.executable, "-c", "import torch"],
}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--turns", type=int, default=10)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    predict = [sys.executable, "-m", "gazekit", "predict", str(asked.run)]
    images = [str(path.absolute()) for path in asked.images]
    starts = {**STARTS, "gazekit predict, one exam": [*predict, *images]}
    things: dict[str, Callable[[], object]] = {
        name: lambda command=command: subprocess.run(command, check=True, capture_output=True)
        for name, command in starts.items()
    }
    with subprocess.Popen(
        [*predict, "--stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:

        def answer() -> None:
            assert running.stdin is not None and running.stdout is not None
            running.stdin.write("\t".join(images) + "\n")
            running.stdin.flush()
            if not running.stdout.readline():
                sys.exit("gazekit predict --stdin gave no answer")

        things["one more exam of gazekit predict --stdin"] = answer
        answer()  # it starts with the first
        seconds: dict[str, list[float]] = {name: [] for name in things}
        for turn in range(asked.turns + 1):
            for name, work in things.items():
                begin = time.perf_counter()
                work()
                if turn:  # the first reads files that the others find in memory
                    seconds[name].append(time.perf_counter() - begin)
        if running.stdin is not None:
            running.stdin.close()
    table = []
    for name, measured in seconds.items():
        median, spread = middle(measured)
        row = {"name": name, "n": len(measured), "wall": median, "wall_spread": spread}
        table.append(row | {"ratio": median / middle(seconds["python, import torch"])[0]})
    publish("latency", asked.device, table, asked.out, views=len(images))


if __name__ == "__main__":
    main()
