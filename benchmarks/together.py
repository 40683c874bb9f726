"""Time runs of a study trained together on one device: seconds per run with 1, 4, 8, … at a time.

    python benchmarks/together.py PREPARED --split SPLIT --at-a-time 1 8 --device cuda

Each measurement is a whole `gazekit benchmark` of one preset with as many seeds, from process start to evaluation.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evidence import arguments, publish


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--preset", default="mammonet_small")
    parser.add_argument("--at-a-time", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the preset")
    asked = parser.parse_args()
    table = []
    runs = max(
        asked.at_a_time
    )  # the same work for each: what the command does once is not shared out among more
    for jobs in asked.at_a_time:
        with tempfile.TemporaryDirectory() as folder:
            command = ["--preset", asked.preset, "--data", asked.prepared.resolve()]
            command += ["--folds", asked.split.resolve(), "--seeds", runs, "--jobs", jobs, "--no-timing"]
            command += ["--device", asked.device, "--out", Path(folder) / "study"]
            command += [item for value in asked.set for item in ("--set", value)]
            begin = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "gazekit", "benchmark", *map(str, command)],
                check=True,
                capture_output=True,
            )
            seconds = time.perf_counter() - begin
        table.append(
            {"name": f"{jobs} at a time", "n": runs, "wall": seconds, "wall_per_run": seconds / runs}
        )
    for row in table:
        row["ratio"] = row["wall_per_run"] / table[0]["wall_per_run"]
    name = f"together_{asked.preset}" + ("" if asked.device == "cpu" else f"_{asked.device}")
    publish(name, asked.device, table, asked.out, set=asked.set)


if __name__ == "__main__":
    main()
