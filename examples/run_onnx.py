"""Predict raw images with an exported model, without gazekit: python run_onnx.py model.onnx 0012_cc.dcm 0012_mlo.dcm

Give DICOM, PNG or JPEG files, one per view, in the order in which the model names its views. preprocess.py beside this
file prepares them as gazekit prepared the training images.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from preprocess import Unusable, prepare_exam

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read at the import: onnxruntime reports about this machine
import onnxruntime


def main() -> None:
    """Print the probability of every class and the size of the attention maps."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="file written by gazekit export")
    parser.add_argument("images", type=Path, nargs="+", help="one per view, in the model's order")
    parser.add_argument(
        "--side", choices=("L", "R"), help="side of the breast, if neither header nor name gives it"
    )
    parser.add_argument("--bit-depth", type=int, help="bits that 16-bit PNG files use")
    parser.add_argument(
        "--covariate",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="a number that the model reads beside the images; not known if it is left out",
    )
    arguments = parser.parse_args()
    session, about = opened(arguments.model)
    names = about.get("covariates", [])
    views = [name for name in about["inputs"] if not names or name != "covariates"]
    if len(arguments.images) != len(views):
        raise Unusable(
            f"{arguments.model}: the model reads {len(views)} image{'s' * (len(views) > 1)} ({', '.join(views)}); "
            f"{len(arguments.images)} given"
        )
    options = {"side": arguments.side or "", "bit_depth": arguments.bit_depth}
    exam = dict(zip(views, arguments.images, strict=True))
    images = prepare_exam(exam, about["preparation"], **options)
    inputs = {view: image[None, None] for view, image in images.items()}  # [1, 1, H, W]
    numbers = covariates(arguments.covariate, names)
    if names:
        inputs["covariates"] = np.array([numbers], dtype=np.float32)  # [1, C]
    found = dict(zip(about["outputs"], session.run(None, inputs), strict=True))
    for name, probability in reversed(list(zip(about["classes"], chances(found), strict=True))):
        print(f"{name}: {probability:.4f}")
    for target, classes in about.get("targets", {}).items():
        for name, probability in zip(classes, softmax(found[f"logits_{target}"][0]), strict=True):
            print(f"{target} {name}: {probability:.4f}")
    for name, heat in found.items():
        if name.startswith("attention_"):
            print(f"{name}: {heat.shape[1]} x {heat.shape[2]}, largest {heat.max():.3g}")
    print(f"{about['use']}", file=sys.stderr)


def chances(found: dict[str, np.ndarray]) -> np.ndarray:
    """The probability of every class: calibrated if the model is, else from the logits."""
    if "probabilities" in found:
        return found["probabilities"][0]
    return softmax(found["logits"][0])


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probability of every class from the logits of one exam."""
    e = np.exp(np.append(0, logits) if len(logits) == 1 else logits)  # one logit: of the last class
    return e / e.sum()


def covariates(given: list[str], names: list[str]) -> list[float]:
    """The numbers given, in the order of the model; NaN where not known."""
    known = dict.fromkeys(names, float("nan"))
    for each in given:
        name, _, number = each.partition("=")
        try:
            value = float(number)
        except ValueError:
            raise Unusable(f"--covariate {each}: expected NAME=NUMBER, such as age=61") from None
        if name not in known:
            raise Unusable(f"--covariate {each}: the model reads {', '.join(names) or 'no covariate'}")
        known[name] = value
    return list(known.values())


def opened(path: Path) -> tuple[onnxruntime.InferenceSession, dict[str, Any]]:
    """Open the model, and read the metadata about its images."""
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session, json.loads(session.get_modelmeta().custom_metadata_map["gazekit"])
    except KeyError:
        raise Unusable(f"{path}: an ONNX model, but not one that gazekit exported") from None
    except Exception as error:  # onnxruntime's have no common ancestor
        raise Unusable(f"{path}: not an ONNX model: {str(error).partition(chr(10))[0]}") from None


if __name__ == "__main__":
    try:
        main()
    except Unusable as error:
        sys.exit(f"error: {error}")
