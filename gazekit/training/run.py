"""Train a run to its end from its current state."""

from collections.abc import Callable

import torch

from gazekit.feeding.batches import Exams
from gazekit.feeding.feed import prepared_exams
from gazekit.modelling.build import build_model, check_size
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import indices_of
from gazekit.registry.registry import Registry
from gazekit.runs.directory import RunDirectory
from gazekit.runs.stored import check_data_to_resume, other_versions, stored_preset, stored_split
from gazekit.training.checking.checks import check_processes
from gazekit.training.computing.execution import chosen_algorithms, explained_faults, prepare_execution
from gazekit.training.computing.memory import describe_memory, freed_memory_kept, peak_memory
from gazekit.training.loop import Parts, State, train
from gazekit.training.optimising.recipe import Recipe
from gazekit.training.start import weighted_objective


def continue_run(
    run: RunDirectory,
    registry: Registry,
    dataset: PreparedDataset,
    *,
    device: torch.device | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[State, int], None] = lambda _state, _batches: None,
    note: Callable[[str], None] = lambda _text: None,
    warn: Callable[[str], None] = lambda _text: None,
) -> State:
    """Train a run to its end from its current state; see ``training.loop.train``.

    Args:
        run: from ``start_run``, or interrupted.
        registry: provides the components.
        dataset: the data it was started on.
        device: if it differs from the one noted in the run, results agree only up to rounding.
        should_stop, report: see ``training.loop.train``.
        note: called with the memory use of the first step.
        warn: called when training diverges, and for each plugin whose package has another version now.

    Raises:
        ConfigurationError: another process is training this run.
        DataError: the data differ from those it was started on.
    """
    preset, facts = stored_preset(run, registry), run.facts()
    check_data_to_resume(run, facts, dataset)
    for text in other_versions(run, preset, registry, "data"):
        run.log(f"warning: {text}")
        warn(text)
    device = device or torch.device(facts.device)
    split = stored_split(run, dataset)
    check_processes(preset, len(indices_of(dataset, split, "train")))
    known = facts.model_arguments()
    check_size(preset, registry, **known)
    model = build_model(preset, registry, **known)
    objective = weighted_objective(preset, registry, model, dataset, split)

    def part(name: str, *, for_learning: bool) -> Exams:
        indices = indices_of(dataset, split, name)
        exams = prepared_exams(
            dataset,
            indices,
            preset,
            device,
            with_gaze=for_learning and ("gaze" in objective.needs or model.gaze_use == "training"),
            with_masks=for_learning and "masks" in objective.needs,
            needs_gaze=model.needs_gaze,
            hold=preset.training.exams_on_device,
        )
        if for_learning and preset.training.labels == "permuted":
            exams.facts = exams.facts.with_permuted_truth(seed=facts.seed)
        return exams

    with (
        run.lock(),
        chosen_algorithms(preset.training),
        explained_faults(preset.training, device),
        freed_memory_kept(device),
    ):
        model, objective = model.to(device), objective.to(device)
        prepare_execution(model, preset.training)
        parts = Parts(
            part("train", for_learning=True),
            part("val", for_learning=False),
            dataset.exam_ids,
        )
        told = False

        def after_step(state: State, batches: int) -> None:
            nonlocal told
            if not told:
                told, taken = True, describe_memory(peak_memory(device), [parts.train, parts.val])
                run.log(taken)
                note(taken)
            report(state, batches)

        return train(
            model,
            objective,
            parts,
            Recipe.of(preset.training, registry),
            run,
            should_stop=should_stop,
            report=after_step,
            warn=warn,
        )
