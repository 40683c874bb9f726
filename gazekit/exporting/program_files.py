"""Write an exported model after checking that it agrees with the original."""

import io
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import gazekit
from gazekit.contracts.types import Views
from gazekit.disk.atomic import (
    check_place,
    disk_errors,
    forget_partial,
    new_folder,
    sync_file,
    sync_folder,
    write_through,
)
from gazekit.disk.plain_text import visible
from gazekit.errors import ConfigurationError, GazekitError, PluginError
from gazekit.exporting.deployed_model import DeployedModel
from gazekit.prepared.settings import OF_PIXELS, completed
from gazekit.registry.distribution import install_command
from gazekit.registry.isolation import blaming
from gazekit.registry.registry import Registry
from gazekit.runs.trained import Trained, open_trained

SCHEMA = "gazekit.exported/1"
Form = Literal["onnx", "torch-export"]
SUFFIXES: dict[Form, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
"""Suffix of each format's files."""
TOLERANCE = 1e-4
"""Largest allowed difference of any output from the original model."""
_BATCHES = (1, 3)
"""Batch sizes that are compared."""

Run = Callable[[Sequence[NDArray[np.float32]]], Sequence[NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported file.

    Args:
        path: path of the file.
        outputs: names of the outputs, in order.
        difference: largest difference from the original model, over all outputs.
    """

    path: Path
    outputs: tuple[str, ...]
    difference: float


def export(
    trained: Trained, form: Form, path: Path | None = None, *, attention: bool = True, overwrite: bool = False
) -> Exported:
    """Write a trained model as one file that runs without gazekit, after checking that it agrees with the original.

    Args:
        trained: the run; it is opened again if it is on another device than the CPU.
        form: ``onnx`` or ``torch-export``; see ``export_onnx`` and ``export_torch``, also for what is raised.
        path: the file; None is ``model.onnx`` or ``model.pt2`` in the run.
        attention: with attention maps, or the predictions alone.
        overwrite: replace a file that is there.
    """
    path = path or trained.run.path / f"model{SUFFIXES[form]}"
    if path.exists() and not overwrite:
        raise ConfigurationError(
            f"{path}: exists already; replace it with --overwrite, or choose another --out"
        )
    if trained.device.type != "cpu":
        which = trained.weights.which
        trained = open_trained(trained.run.path, trained.registry, torch.device("cpu"), which=which)
    if not attention:
        trained = replace(trained, attention_map=None)
    return (export_onnx if form == "onnx" else export_torch)(trained, path)


def export_onnx(trained: Trained, path: Path) -> Exported:
    """Write an ONNX file: one input per view, outputs ``logits`` and ``attention_VIEW``, any number of exams.

    Its metadata, under ``gazekit``, tell how to prepare images.

    Raises:
        ConfigurationError: the model reads gaze at inference, or onnx, onnxscript or onnxruntime is missing.
        GazekitError: the model cannot be converted, or does not agree with the original afterwards.
        StorageError: the disk is full or read-only.
    """
    onnxruntime = _onnxruntime()
    check_place(path, makes_folder=True)
    deployed = _deployed(trained)
    made = onnx_program(deployed, _size(trained), trained.registry)
    made.model.metadata_props["gazekit"] = json.dumps(_description(trained, deployed))
    with _written(path) as temporary:
        made.save(temporary)
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])

        def run(images: Sequence[NDArray[np.float32]]) -> Sequence[NDArray[np.float32]]:
            found: Sequence[NDArray[np.float32]] = session.run(
                None, dict(zip(deployed.inputs, images, strict=True))
            )
            return found

        difference = _difference(trained, deployed, path, run)
    return Exported(path, deployed.outputs, difference)


def export_torch(trained: Trained, path: Path) -> Exported:
    """Write a ``torch.export`` program (.pt2) with the inputs and outputs of ``export_onnx``; see there."""
    check_place(path, makes_folder=True)
    deployed = _deployed(trained)
    program = torch_program(deployed, _size(trained), trained.registry)
    description = json.dumps(_description(trained, deployed))
    content = io.BytesIO()  # torch's own writer aborts the process if the disk is full
    torch.export.save(program, content, extra_files={"gazekit.json": description})
    with _written(path) as temporary:
        write_through(temporary, content.getvalue())
        with temporary.open("rb") as file:  # of a path, torch says in its log that it should end in .pt2
            module = torch.export.load(file).module()

        def run(images: Sequence[NDArray[np.float32]]) -> Sequence[NDArray[np.float32]]:
            with torch.no_grad():
                return [each.numpy() for each in module(*map(torch.as_tensor, images))]

        difference = _difference(trained, deployed, path, run)
    return Exported(path, deployed.outputs, difference)


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """Yield a path of the same name in a new folder next to the file; the result replaces the file in the end.

    If the block fails, nothing is left and an existing file is unchanged.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        check_place(path)
        forget_partial(path.parent, now=time.time(), of=path.name)
        with new_folder(path) as folder:
            temporary = folder / path.name
            yield temporary
            beside = [file for file in folder.iterdir() if file != temporary]  # the weights of a large model
            for file in (*beside, temporary):
                sync_file(file)
                file.replace(path.parent / file.name)
            sync_folder(path.parent)


def _onnxruntime() -> ModuleType:
    """Import onnxruntime with its telemetry switched off. Raises ConfigurationError: it is missing."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, at import
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(f"{error.name} is not installed: {install_command('onnx')}") from None
    onnxruntime.disable_telemetry_events()
    module: ModuleType = onnxruntime
    return module


def torch_program(
    deployed: DeployedModel, size: tuple[int, int], registry: Registry
) -> torch.export.ExportedProgram:
    """Export the program for any number of exams. Raises: GazekitError: torch cannot convert the model."""
    shapes = (tuple({0: torch.export.Dim("exams")} for _ in deployed.inputs),)
    with _converting(f"torch {torch.__version__}", registry):
        program = torch.export.export(deployed, deployed.examples(size), dynamic_shapes=shapes, strict=False)
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # source paths of this machine
    return program


def onnx_program(
    deployed: DeployedModel, size: tuple[int, int], registry: Registry
) -> torch.onnx.ONNXProgram:
    """Convert the program to ONNX, with names. Raises: GazekitError: torch or onnxscript cannot convert the model."""
    program = torch_program(deployed, size, registry)
    used = f"torch {torch.__version__} and onnxscript {version('onnxscript')}"
    with warnings.catch_warnings(), _converting(used, registry):
        warnings.simplefilter("ignore")  # the exporter's warnings about itself
        made = torch.onnx.export(
            program,
            deployed.examples(size),
            dynamo=True,
            input_names=list(deployed.inputs),
            output_names=list(deployed.outputs),
            verbose=False,
        )
    assert made is not None
    _forget_places(made)
    return made


@contextmanager
def _converting(used: str, registry: Registry) -> Iterator[None]:
    """Say in one line why a model cannot be converted, and by what or whose code. Raises: GazekitError."""
    expected = "expected parts whose steps do not depend on the values of their input"
    try:
        with blaming(registry):
            yield
    except PluginError as error:
        raise PluginError(f"{error}; {expected}") from error
    except (GazekitError, MemoryError):
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = visible(next(iter(str(cause).strip().splitlines()), ""))[:200]
        raise GazekitError(
            f"{used} cannot convert the model ({type(cause).__name__}: {reason}); {expected}; if all parts are "
            "gazekit's own, install the versions of its constraints.txt"
        ) from error


def _forget_places(made: torch.onnx.ONNXProgram) -> None:
    """Remove the source paths of this machine, which the exporter records for debugging."""
    graphs = [made.model.graph, *(function.graph for function in made.model.functions.values())]
    for graph in graphs:
        graph.metadata_props.clear()
        for node in graph.all_nodes():
            node.metadata_props.clear()
            for value in node.outputs:
                value.metadata_props.clear()
        for value in (*graph.inputs, *graph.initializers.values()):
            value.metadata_props.clear()


def _deployed(trained: Trained) -> DeployedModel:
    return DeployedModel(
        trained.model,
        trained.attention_map,
        trained.preset,
        _size(trained),
        trained.calibration,
        channels=trained.trained_on().settings().channels,
    ).eval()


def _size(trained: Trained) -> tuple[int, int]:
    height, width = trained.facts.preparation["size"]
    return height, width


def _difference(trained: Trained, deployed: DeployedModel, path: Path, run: Run) -> float:
    """Return the largest difference of any output from the original. Raises GazekitError: it is too large."""
    differences: list[float] = []
    for exams in _BATCHES:
        images = deployed.examples(_size(trained), exams, seed=exams)
        expected = _original(trained, deployed, images)
        found = run([image.numpy() for image in images])
        pairs = zip(found, expected, strict=True)
        differences += [float(np.abs(ours - theirs).max()) for ours, theirs in pairs]
    difference = float(np.max(differences))  # NaN if one is
    if not difference <= TOLERANCE:
        raise GazekitError(
            f"{path}: the exported model differs from the original by {difference:.1e}, more than {TOLERANCE:.0e}; "
            "nothing was written"
        )
    return difference


def _original(
    trained: Trained, deployed: DeployedModel, images: Sequence[Tensor]
) -> list[NDArray[np.float32]]:
    """Return the outputs of the model as gazekit runs it."""
    model = trained.model
    normalised, covariates = deployed.named(images)
    maps: Views = {}
    if trained.attention_map is None:
        with torch.no_grad():
            output = model(normalised, covariates=covariates)
    else:
        output, maps = model.explain(normalised, trained.attention_map, covariates=covariates)
    logits = [each.detach().numpy() for each in (output.logits, *output.further.values())]
    names = [name.removeprefix("attention_") for name in deployed.outputs if name.startswith("attention_")]
    found = [*logits, *(maps[view].numpy() for view in names)]
    if "probabilities" in deployed.outputs:
        found.append(trained.calibration.probabilities(output.logits.detach()).numpy())
    return found


def _probabilities(trained: Trained) -> str:
    """Say where a program finds the probabilities."""
    if trained.calibration.method != "none":
        return "the output probabilities, calibrated; the logits are not"
    return "sigmoid of the logit = the last class" if len(trained.facts.classes) == 2 else "softmax"


def _description(trained: Trained, deployed: DeployedModel) -> Mapping[str, Any]:
    """Describe how to use the file, for other programs."""
    facts = trained.facts
    preparation = completed(trained.trained_on().settings().to_json())
    return {
        "schema": SCHEMA,
        "gazekit": gazekit.__version__,
        "preset": facts.preset,
        "inputs": list(deployed.inputs),
        "input": f"float32 [exams, {deployed.channels}, height, width], "
        + ("red, green and blue" if deployed.channels == 3 else "grey values")
        + " in [0, 1], dark background; normalised inside",
        "outputs": list(deployed.outputs),
        "classes": list(facts.classes),
        **(
            {"targets": {name: list(names) for name, names in facts.targets.items()}} if facts.targets else {}
        ),
        **({"covariates": list(deployed.covariates)} if deployed.covariates else {}),
        "probabilities": _probabilities(trained),
        "calibration": trained.calibration.words(),
        **({"threshold": trained.calibration.threshold} if len(facts.classes) == 2 else {}),
        "attention": "of the positive class" if len(facts.classes) == 2 else "of the most probable class",
        "preparation": {key: preparation[key] for key in ("views", *OF_PIXELS)},
        "modalities": list(facts.modalities),
        "use": "research only, not a medical device",
    }
