"""Find or create the run that the options of ``gazekit train`` describe."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazekit.cli import console
from gazekit.cli.options import choose_device

if TYPE_CHECKING:
    from gazekit.prepared.dataset import PreparedDataset
    from gazekit.presets.preset import Preset
    from gazekit.registry.registry import Registry
    from gazekit.runs.directory import RunDirectory


def begin(
    out: Path | None,
    preset: str | None,
    layers: dict[str, Any],
    data: Path | None,
    seed: int | None,
    device: str,
    split: Path | None,
    allow_leak: bool,
    resume: bool,
    overwrite: bool,
    initial: Path | None,
) -> "RunDirectory":
    """Return the run of the options, new or to resume."""
    from gazekit.distributed import torchrun
    from gazekit.errors import ConfigurationError
    from gazekit.training.run import start_run

    registry = console.registry()
    if torchrun.may_restart() and out is None:
        raise ConfigurationError("a training that may be restarted needs a run directory: --out RUN")
    if torchrun.restarted():
        resume, overwrite = True, False
    if resume and out is None:
        raise ConfigurationError("--resume needs the run directory: --out RUN --resume")
    if resume and out is not None and (out / "run.json").exists():
        if initial is not None:
            console.note(f"--from {initial}: {out} already has weights and resumes with them")
        return _reopen(out, registry, preset, layers, data=data, seed=seed, split=split)
    if resume and preset is None:
        raise ConfigurationError(
            f"{out}: there is no run to resume; to begin one: gazekit train --preset PRESET --out {out}"
        )
    if preset is None:
        raise ConfigurationError("--preset is needed; gazekit presets list shows them all")
    wanted = registry.preset(preset, **layers)
    chosen = choose_device(device)
    dataset = open_data(data or _default_data(wanted, registry))
    return start_run(
        out or _free_folder(Path("runs"), wanted.name),
        wanted,
        registry,
        dataset,
        _parts(dataset, split, wanted, allow_leak),
        seed=seed or 0,
        device=chosen,
        overwrite=overwrite,
        leftovers=resume,
        allow_leak=allow_leak,
        initial=initial,
        warn=console.warn,
    )


def _reopen(
    out: Path,
    registry: "Registry",
    preset: str | None,
    layers: dict[str, Any],
    *,
    data: Path | None,
    seed: int | None,
    split: Path | None,
) -> "RunDirectory":
    """Reopen the run to resume. Raises ConfigurationError: the command line describes another run."""
    from gazekit.errors import ConfigurationError
    from gazekit.prepared.splits import read_split
    from gazekit.runs.directory import RunDirectory
    from gazekit.runs.stored import check_data_to_resume, check_resume, extend, stored_preset

    run = RunDirectory.open(out)
    facts = run.facts()
    if data is not None:
        check_data_to_resume(run, facts, open_data(data))
    stored, wanted = stored_preset(run, registry), registry.preset(preset or str(run.preset), **layers)
    with run.lock():
        extended = extend(run, stored, wanted)
    if extended:
        console.note(f"{out}: {extended}")
    else:
        check_resume(run, stored, wanted)
    if seed not in (None, facts.seed):
        raise ConfigurationError(f"{out}: began with --seed {facts.seed}; resume without --seed")
    if split and read_split(split) != read_split(run.split):
        raise ConfigurationError(f"{out}: began with another split than {split}; resume without --split")
    return run


def _parts(
    dataset: "PreparedDataset", split: Path | None, preset: "Preset", allow_leak: bool
) -> dict[str, str]:
    """Read the split from the file, else make one as the preset says."""
    from gazekit.prepared.splits import make_split, read_split

    if split is not None:
        return read_split(split)
    settings = preset.data
    return make_split(
        dataset,
        seed=settings.split_seed,
        test=settings.test,
        val=settings.validation,
        allow_leak=allow_leak,
    )


def open_data(path: Path) -> "PreparedDataset":
    """Open a prepared data set."""
    from gazekit.prepared.dataset import PreparedDataset

    return PreparedDataset.open(path)


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
