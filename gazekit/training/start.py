"""Start a run or open one to resume; the command line, Python and studies all start here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from gazekit.contracts.interfaces import Backbone
from gazekit.disk.home_folder import without_folders, without_home
from gazekit.errors import ConfigurationError, PluginError
from gazekit.feeding.exam_facts import covariates_of
from gazekit.feeding.feed import check_gaze_of_all
from gazekit.modelling.build import build_model, build_objective, check_size
from gazekit.modelling.model import MultiViewClassifier
from gazekit.modelling.objective import Objective, balanced_weights
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import (
    Split,
    fingerprint_of,
    indices_of,
    leak_of,
    make_split,
    read_split,
    write_split,
)
from gazekit.presets.layers import component_keys, component_kind
from gazekit.presets.preset import Preset
from gazekit.registry.component import OWN
from gazekit.registry.registry import Registry
from gazekit.runs.checkpoints import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.environment import environment
from gazekit.runs.files import Environment, PluginRow, RunFacts
from gazekit.runs.stored import check_data_to_resume, check_resume, extend, load_model, stored_preset
from gazekit.training.checking.checks import balance, check_fits, doubts, left_out, try_one_batch
from gazekit.training.checking.seen_before import check_leak_of, check_unseen, in_pretraining, in_run
from gazekit.training.computing.execution import slow_precision
from gazekit.training.optimising.optimiser import make_optimizer
from gazekit.training.optimising.parts import check_groups
from gazekit.training.optimising.recipe import Recipe

_OF_COVARIATES = ("covariates.", "head.")
"""Beginnings of the tensors that depend on which covariates there are."""
_LARGEST_SEED = 2**32 - 1
GivenSplit = Mapping[str, str] | Path | str
"""A split, or a split file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSettings:
    """Options for starting a run.

    Args:
        seed: for initial weights, order, augmentation and dropout.
        device: noted in the run.
        overwrite: replace an existing run.
        leftovers: replace an incomplete run directory, as a crash leaves it.
        allow_leak: train even if the split puts a patient on two sides, or the initial weights have seen the test part.
        initial: a run whose selected weights this one starts from.
    """

    seed: int
    device: torch.device
    overwrite: bool = False
    leftovers: bool = False
    allow_leak: bool = False
    initial: Path | None = None

    def __post_init__(self) -> None:
        """Raise ConfigurationError: the seed is out of range."""
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise ConfigurationError(f"seed {self.seed}: expected a whole number from 0 to {_LARGEST_SEED}")


def split_of(
    preset: Preset, dataset: PreparedDataset, given: GivenSplit | None = None, *, allow_leak: bool = False
) -> Split:
    """Assign exams to parts: as given, else as the source says, else by patient as the preset says.

    Args:
        preset: its ``data`` table holds the shares of the parts and the seed for shuffling patients.
        dataset: what to split.
        given: used unchanged.
        allow_leak: use the source's split even if it puts a patient on two sides.

    Raises:
        ConfigurationError: a share outside [0, 1).
        DataError: the given file is damaged, a class has too few patients for the parts, or the source's split leaks.
    """
    if given is not None:
        return _read(given)
    settings = preset.data
    return make_split(
        dataset,
        seed=settings.split_seed,
        test=settings.test,
        val=settings.val,
        allow_leak=allow_leak,
    )


def start_run(
    path: Path,
    preset: Preset,
    registry: Registry,
    dataset: PreparedDataset,
    split: Mapping[str, str],
    settings: StartSettings,
    *,
    warn: Callable[[str], None] = lambda _text: None,
) -> RunDirectory:
    """Check that everything fits, then make the run directory, with the initial weights as first checkpoint.

    Args:
        path: the folder to make.
        preset, registry, dataset, split: define the model and its exams.
        settings: options for the start.
        warn: called with each warning, one line each; ``log.txt`` has them too.

    Raises:
        ConfigurationError: the folder exists, or preset, data and initial weights do not fit.
        DataError: the split is unusable, it or the initial weights leak without permission, or gaze supervision lacks
            gaze.
        PluginError: a component breaks its promises.
    """
    overwrite, leftovers = settings.overwrite, settings.leftovers
    RunDirectory.check_free(path, overwrite=overwrite, leftovers=leftovers)
    check_fits(preset, dataset, split, allow_leak=settings.allow_leak)
    known: dict[str, Any] = {
        "classes": len(dataset.classes),
        "targets": dataset.target_classes,
        "size": dataset.size,
        "in_channels": dataset.settings.channels,
    }
    check_size(preset, registry, **known)
    torch.manual_seed(settings.seed)
    model = build_model(preset, registry, **known)
    if model.covariates is not None:
        training = covariates_of(dataset, preset.covariates)[indices_of(dataset, split, "train")]
        model.covariates.fit(torch.as_tensor(training))
    if model.needs_gaze:
        check_gaze_of_all(dataset, np.arange(len(dataset)), preset)
    warnings: list[str] = []  # until there is a folder with a log
    initial = _initialise(model, registry, dataset, split, settings, preset.covariates, warnings.append)
    objective = weighted_objective(preset, registry, model, dataset, split)
    maps = try_one_batch(model, objective, preset, dataset, split, registry)
    _check_seed(settings.seed, preset, registry)
    if objective.factors is not None:
        balance(model, objective, preset, dataset, split, settings.seed)
    warnings += [*doubts(preset, dataset, split, maps), *left_out(preset, objective)]
    warnings += slow_precision(preset.training, settings.device)
    modules = torch.nn.ModuleDict({"model": model, "objective": objective})
    check_groups(modules, preset.training)
    make_optimizer(modules, Recipe.of(preset.training, registry))  # it may not take its arguments
    with RunDirectory.created(path, overwrite=overwrite, leftovers=leftovers) as run:
        for text in warnings:
            run.log(f"warning: {text}")
            warn(text)
        run.write_text("preset.toml", preset.to_toml())
        run.write_json("plugins.json", [PluginRow(**row).model_dump() for row in registry.table()])
        run.write_json("environment.json", Environment(**environment()).model_dump())
        if objective.factors is not None:
            factors = zip(objective.terms, objective.factors.tolist(), strict=True)
            run.log(f"loss.balance: {', '.join(f'{name} x {factor:.4g}' for name, factor in factors)}")
        for origin in dict.fromkeys(initial.origins):
            run.log(f"initial weights: {origin}")
        write_split(run.split_path, dataset, split)
        checkpoint.save_step(run.checkpoints, 0, modules.state_dict(), {})
        run.write_facts(
            RunFacts(
                preset=without_folders(preset.name),
                data=without_home(dataset.root.resolve()),
                fingerprint=dataset.fingerprint,
                classes=tuple(dataset.classes),
                preparation=dataset.settings.to_json(),
                seed=settings.seed,
                device=settings.device.type,
                weights_origin=initial.origins,
                modalities=dataset.modalities,
                sides=dataset.sides,
                leak="; ".join(filter(None, (str(leak_of(dataset, split) or ""), *initial.leaks))),
                seen=initial.seen,
                targets={name: dataset.target_classes[name] for name in preset.targets},
                split_fingerprint=fingerprint_of(split),
            )
        )
    return run


def _check_seed(seed: int, preset: Preset, registry: Registry) -> None:
    """Raise PluginError if a component has set another seed than that of the run."""
    found = torch.initial_seed()
    if found == seed:
        return
    chosen = [
        (component_kind(key), preset.component(key)) for key in component_keys(preset.model_dump(mode="json"))
    ]
    origins = {
        registry.component(kind, each.use).provenance for kind, each in chosen if kind and each and each.use
    }
    strangers = sorted({str(origin) for origin in origins if origin.distribution != OWN})
    raise PluginError(
        f"preset '{preset.name}': a component of {' or '.join(strangers) or OWN} sets torch's seed to {found}, "
        "which makes runs of different seeds alike; leave the seed to gazekit, or draw inside torch.random.fork_rng; "
        "gazekit plugins check PACKAGE names the component"
    )


def resume_run(
    run: RunDirectory,
    preset: Preset,
    registry: Registry,
    *,
    dataset: PreparedDataset | None = None,
    seed: int | None = None,
    split: GivenSplit | None = None,
    may_extend: bool = True,
    remedy: str = "",
) -> str:
    """Check that a run can resume as requested, and extend it if the preset has more epochs.

    Args:
        run: the run to resume.
        preset, registry: as requested.
        dataset, seed, split: must be those the run began with; None is not compared.
        may_extend: accept more epochs than the run began with.
        remedy: advice if preset, seed or split differs; by default, to resume without it.

    Returns:
        The change, in words; empty if there is none.

    Raises:
        ConfigurationError: the run began with another preset, seed or split, or has trained more epochs.
        DataError: the run began with other data, or a split is damaged.
    """
    facts = run.facts()
    if dataset is not None:
        check_data_to_resume(run, facts, dataset)
    if seed not in (None, facts.seed):
        raise ConfigurationError(
            f"{run.path}: began with seed {facts.seed}, not {seed}; {remedy or 'resume without --seed'}"
        )
    if split is not None and _read(split) != read_split(run.split_path):
        asked = "the one given" if isinstance(split, Mapping) else split
        raise ConfigurationError(
            f"{run.path}: began with another split than {asked}; {remedy or 'resume without --split'}"
        )
    stored = stored_preset(run, registry)
    if may_extend:
        with run.lock():
            extended = extend(run, stored, preset, registry)
        if extended:
            return extended
    check_resume(run, stored, preset, remedy=remedy)
    return ""


def weighted_objective(
    preset: Preset,
    registry: Registry,
    model: MultiViewClassifier,
    dataset: PreparedDataset,
    split: Mapping[str, str],
) -> Objective:
    """Build the objective, weighting classes by the training part if the preset says so."""
    if preset.loss.class_weights != "balanced":
        return build_objective(preset, registry, model)
    training = indices_of(dataset, split, "train")
    targets = {}
    for name in preset.targets:
        labels = torch.as_tensor(dataset.targets[name][training])
        targets[name] = balanced_weights(labels[labels >= 0], len(dataset.target_classes[name]))
    weights = None
    if preset.training.sampling != "balanced":
        weights = balanced_weights(torch.as_tensor(dataset.labels[training]), len(dataset.classes))
    return build_objective(preset, registry, model, class_weights=weights, target_weights=targets)


@dataclass(frozen=True, slots=True)
class _Initial:
    """What is known of initial weights.

    Args:
        origins: where each branch's come from.
        seen: hashes of the patients whom they have seen.
        leaks: in words, the ones that were allowed.
    """

    origins: tuple[str, ...]
    seen: tuple[str, ...]
    leaks: tuple[str, ...]


def _initialise(
    model: MultiViewClassifier,
    registry: Registry,
    dataset: PreparedDataset,
    split: Mapping[str, str],
    settings: StartSettings,
    covariates: Sequence[str],
    warn: Callable[[str], None],
) -> _Initial:
    """Give a model its initial weights, those of its branches or of another run, unless the test part was seen."""
    allowed = settings.allow_leak
    leaks: list[str] = []
    if settings.initial is None:
        seen = in_pretraining(model.backbones, dataset)
        origins = tuple(cast(Backbone, backbone).load_initial_weights() for backbone in model.backbones)
    else:
        run = RunDirectory.open(settings.initial)
        leaks += check_leak_of(run, allow_leak=allowed, warn=warn)
        origin, other = start_from(run, model, registry, covariates=covariates, warn=warn)
        origins = (origin,) * len(model.backbones)
        seen = [*in_run(run), *in_pretraining([*model.backbones, *other.backbones], dataset, warn=warn)]
    leaks += check_unseen(seen, dataset, split, allow_leak=allowed, warn=warn)
    patients = frozenset[str]().union(*(each.patients for each in seen))
    return _Initial(origins, tuple(sorted(patients)), tuple(leaks))


def start_from(
    run: RunDirectory,
    model: MultiViewClassifier,
    registry: Registry,
    *,
    covariates: Sequence[str],
    warn: Callable[[str], None],
) -> tuple[str, MultiViewClassifier]:
    """Copy another run's selected weights into a new model where name and shape agree; all branch weights must.

    A head for other covariates, and their mean and spread, start fresh.

    Returns:
        The origin of the weights, and the model of that run.

    Raises:
        ConfigurationError: the branches differ.
        DataError: the run has no weights yet, or is damaged.
    """
    source = run.path
    other, weights = load_model(run, registry, torch.device("cpu"), report=warn)
    own, alike = model.state_dict(), stored_preset(run, registry).covariates == tuple(covariates)
    given = {
        name: tensor
        for name, tensor in other.state_dict().items()
        if name in own and own[name].shape == tensor.shape and (alike or not name.startswith(_OF_COVARIATES))
    }
    fresh = [name for name in own if name not in given]
    branches = [name for name in fresh if name.startswith("backbones.")]
    if branches:
        raise ConfigurationError(
            f"--from {source}: its branches are not those of this preset ({len(branches)} of their tensors differ, "
            f"first {branches[0]}); start from a run with the same backbone and views"
        )
    model.load_state_dict(given, strict=False)
    if fresh:
        modules = ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in fresh))
        warn(f"--from {source}: {len(given)} of {len(own)} tensors copied; these start fresh: {modules}")
    before = run.facts().initial_weights
    origin = f"run {source.resolve().name}, epoch {weights.epoch} ({weights.why})"
    return f"{origin}, begun from {before}" if before else origin, other


def _read(split: GivenSplit) -> Split:
    return dict(split) if isinstance(split, Mapping) else read_split(Path(split))
