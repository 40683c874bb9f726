"""Find or create the run that the options of ``gazekit train`` describe."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazekit.cli import console
from gazekit.disk.wording import in_command
from gazekit.machine import choose_device

if TYPE_CHECKING:
    from gazekit.presets.preset import Preset
    from gazekit.registry.registry import Registry
    from gazekit.runs.directory import RunDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRun:
    """The options of ``gazekit train`` that describe the run, by their names; ``layers`` come on top of the preset."""

    out: Path | None
    preset: str | None
    layers: dict[str, Any]
    data: Path | None
    seed: int | None
    device: str
    split_path: Path | None
    allow_leak: bool
    resume: bool
    overwrite: bool
    initial: Path | None


def begin(asked: AskedRun) -> "RunDirectory":
    """Start the run that the options describe, or reopen the one to resume."""
    from gazekit.distributed import torchrun
    from gazekit.errors import ConfigurationError
    from gazekit.runs.directory import RunDirectory

    if torchrun.may_restart() and asked.out is None:
        raise ConfigurationError("a training that may be restarted needs a run directory: --out RUN")
    if torchrun.restarted():
        asked = replace(asked, resume=True, overwrite=False)
    registry, out, initial = console.registry(), asked.out, asked.initial
    if asked.resume:
        if out is None:
            raise ConfigurationError("--resume needs the run directory: --out RUN --resume")
        if (out / "run.json").exists():
            if initial is not None:
                console.note(f"--from {initial}: {out} already has weights and resumes with them")
            return _reopen(RunDirectory.open(out), asked, registry)
        if asked.preset is None:
            raise ConfigurationError(
                f"{out}: there is no run to resume; to begin one: gazekit train --preset PRESET --out {in_command(out)}"
            )
    if asked.preset is None:
        raise ConfigurationError("--preset is needed; gazekit presets list shows them all")
    return _start(asked, registry.preset(asked.preset, **asked.layers), registry)


def _start(asked: AskedRun, preset: "Preset", registry: "Registry") -> "RunDirectory":
    """Start a new run."""
    from gazekit.prepared.dataset import PreparedDataset
    from gazekit.training.start import StartSettings, split_of, start_run

    settings = StartSettings(
        seed=asked.seed or 0,
        device=choose_device(asked.device),
        overwrite=asked.overwrite,
        leftovers=asked.resume,
        allow_leak=asked.allow_leak,
        initial=asked.initial,
    )
    dataset = PreparedDataset.open(asked.data or _default_data(preset, registry))
    path = asked.out or _free_folder(Path("runs"), preset.name)
    split = split_of(preset, dataset, asked.split_path, allow_leak=asked.allow_leak)
    return start_run(path, preset, registry, dataset, split, settings, warn=console.warn)


def _reopen(run: "RunDirectory", asked: AskedRun, registry: "Registry") -> "RunDirectory":
    """Reopen the run to resume. Raises as ``resume_run``: the command line describes another run."""
    from gazekit.prepared.dataset import PreparedDataset
    from gazekit.runs.stored import stored_preset
    from gazekit.training.start import resume_run

    dataset = PreparedDataset.open(asked.data) if asked.data else None
    if asked.preset is None:
        preset = stored_preset(run, registry, **asked.layers)
    else:
        preset = registry.preset(asked.preset, **asked.layers)
    changed = resume_run(
        run,
        preset,
        registry,
        dataset=dataset,
        seed=asked.seed,
        split=asked.split_path,
    )
    if changed:
        console.note(f"{run.path}: {changed}")
    return run


def _default_data(preset: "Preset", registry: "Registry") -> Path:
    from gazekit.preparing.default_data import default_data

    with console.progress("making the default data") as report:
        return default_data(preset, registry, note=console.note, progress=report)


def _free_folder(parent: Path, name: str) -> Path:
    """Return ``parent/name-1``, or the first free number."""
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"
