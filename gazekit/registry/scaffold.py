"""Write new plugin packages from templates."""

import keyword
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from gazekit import __version__
from gazekit.contracts import hookspecs
from gazekit.disk.atomic import disk_errors, new_folder
from gazekit.errors import ConfigurationError
from gazekit.registry.component import in_words
from gazekit.registry.registry import HOOKS, KINDS, kind_called

_CONTRACTS = {
    "backbone": "BackboneContract",
    "pooling": "PoolingContract",
    "fusion": "FusionContract",
    "head": "HeadContract",
    "attention_map": "AttentionMapContract",
    "alignment_loss": "AlignmentLossContract",
    "term": "TermContract",
    "optimizer": "OptimizerContract",
    "schedule": "ScheduleContract",
    "dataset": "DataSourceContract",
    "gaze_reader": "GazeReaderContract",
    "region": "RegionContract",
    "metric": "MetricContract",
    "report_section": "ReportSectionContract",
    "tracker": "TrackerContract",
}
_OPTIONS = {"backbone": '"widths": (4, 6, 8)', "fusion": '"width": 8', "dataset": '"side": 16'}
"""Small options, for the tests."""
_SLOTS = {
    "backbone": "backbone.use={}",
    "pooling": "pooling.use={}",
    "fusion": "fusion.vectors.use={}",
    "head": "head.use={}",
    "attention_map": "attention_map.use={}",
    "alignment_loss": "gaze.alignment_loss.use={}",
    "term": "terms.{0}.use={0}",
    "optimizer": "training.optimizer.use={}",
    "schedule": "training.schedule.use={}",
    "dataset": "data.dataset.use={} --set gaze=none",
}
"""Key at which a preset names a component of the kind; presets name no other kinds."""


def write_plugin(kind: str, name: str, folder: Path) -> list[Path]:
    """Write an installable package with a component, its tests and, if presets name the kind, a preset.

    Args:
        kind: kind of component, see ``registry.KINDS``; dashes may replace underscores.
        name: name of the component, a word in lower case.
        folder: new folder for the package.

    Returns:
        The files, relative to ``folder``.

    Raises:
        ConfigurationError: no such kind, no usable name, or the folder exists.
        StorageError: the package cannot be written.
    """
    kind = kind_called(kind, KINDS)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigurationError(
            f"'{name}' cannot be the name of a component; expected a word in lower case, e.g. soft_gate"
        )
    if folder.exists():
        raise ConfigurationError(f"{folder}: exists already; choose another --out")
    contents = {
        path: Template(text).substitute(_words(kind, name)) for path, text in _files(kind, name).items()
    }
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(folder) as made:  # whole, or not at all
            for path, text in contents.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            made.rename(folder)
    return [Path(path) for path in contents]


def distribution_name(name: str) -> str:
    """Turn ``soft_gate`` into ``gazekit-soft-gate``."""
    return f"gazekit-{name.replace('_', '-')}"


def _words(kind: str, name: str) -> dict[str, str]:
    package = f"gazekit_{name}"
    preset, distribution = _preset(kind), distribution_name(name)
    if preset:
        own = f"{_stem(preset)}_{name}"
        quick = f"gazekit train --preset mammonet_small --set {_SLOTS[kind].format(name)}"
        check, usage = distribution, f"{quick}  # in minutes\ngazekit train --preset {own}"
        note = f"`{package}/presets/{own}.toml` is a preset that uses it."
    elif kind == "region":
        check, usage = distribution, f"gazekit data prepare folder SRC OUT --crop {name}"
        note = (
            "It brings no preset, because a preset names no region: a preparation does, with `--crop`, or the data "
            f'set, with a class attribute `region = "{name}"`.'
        )
    elif kind == "metric":
        check, usage = distribution, f"gazekit evaluate RUN  # has a line for {name}"
        note = "It brings no preset: every evaluation, report and study has it."
    elif kind == "report_section":
        check, usage = distribution, "gazekit report RUN  # has the section"
        note = "It brings no preset: every report has it."
    elif kind == "tracker":
        check, usage = distribution, f"gazekit train PRESET --tracker {name}"
        note = "It brings no preset: a training asks for it with `--tracker`."
    else:
        check = f"{distribution} --sample {name}=tests/sample.json"
        usage = "gazekit gaze validate tests  # finds sample.json by its content"
        note = (
            "It has no preset, because presets name no reader: the format of a file is detected from its content. "
            "Its example is `tests/sample.json`; put a real recording in its place."
        )
    return {
        "name": name,
        "class_name": "".join(part.capitalize() for part in name.split("_")),
        "kind": kind,
        "kind_words": in_words(kind),
        "package": package,
        "distribution": distribution,
        "hook": HOOKS[kind],
        "hooks": str(hookspecs.VERSION),
        "contract": _CONTRACTS[kind],
        "options": _OPTIONS.get(kind, ""),
        "check": check,
        "usage": usage,
        "note": note,
        "gazekit_version": __version__,
    }


def _files(kind: str, name: str) -> dict[str, str]:
    """Map each path in the package folder to the text of its template."""
    templates = files("gazekit.registry") / "templates"
    common, own = templates / "common", templates / kind
    package = f"gazekit_{name}"
    preset = _preset(kind)
    init = _text(common / "__init__.py.txt") + (_text(common / "presets.py.txt") if preset else "")
    test = own / "test.py.txt"
    found = {
        "pyproject.toml": _text(common / "pyproject.toml.txt"),
        "README.md": _text(common / "README.md"),
        f"{package}/__init__.py": init,
        f"{package}/{name}.py": _text(own / "component.py.txt"),
        f"tests/test_{name}.py": _text(test if test.is_file() else common / "test.py.txt"),
    }
    if preset:
        found[f"{package}/presets/{_stem(preset)}_{name}.toml"] = _text(preset)
    sample = own / "sample.json"
    if sample.is_file():
        found["tests/sample.json"] = _text(sample)
    return found


def _preset(kind: str) -> Traversable | None:
    """Return the template of a preset, named like the preset it extends; None for a kind that no preset names."""
    folder = files("gazekit.registry") / "templates" / kind
    return next((file for file in folder.iterdir() if file.name.endswith(".toml")), None)


def _stem(file: Traversable) -> str:
    return file.name.removesuffix(".toml")


def _text(file: Traversable) -> str:
    return file.read_text(encoding="utf-8")
