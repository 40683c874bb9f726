"""``gazekit plan``: how many exams and readers a study needs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gazekit.cli import console
from gazekit.cli.options import Json, refuse_options

if TYPE_CHECKING:
    from gazekit.measures.comparing.planning import ExamPlan, PowerAt
    from gazekit.measures.comparing.reader_study import ReaderComponents, ReaderScores

_READERS = (3, 4, 5, 6, 8, 10, 15, 20, 30)


def plan(
    context: typer.Context,
    pilot: Annotated[
        list[Path],
        typer.Argument(
            help="A study directory; or two runs or predictions.csv, the system and its reference; or a table of "
            "readers' scores (reader, exam_id, label, two columns of scores)."
        ),
    ],
    difference: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Difference of the AUCs to be found.")
    ],
    system: Annotated[str, typer.Option(help="Row of the study.")] = "",
    reference: Annotated[str, typer.Option(help="Row of the study that it is compared with.")] = "",
    power: Annotated[float, typer.Option(min=0.1, max=0.99, help="Chance to find the difference.")] = 0.8,
    alpha: Annotated[float, typer.Option(min=0.0001, max=0.2, help="Level of the two-sided test.")] = 0.05,
    patients: Annotated[
        list[int] | None, typer.Option(min=4, max=10**6, help="Size to simulate besides; may be repeated.")
    ] = None,
    simulations: Annotated[int, typer.Option(min=100, max=10**6, help="Simulated studies per size.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 0,
    as_json: Json = False,
) -> None:
    """Find how many exams, and how many readers, show a difference of two AUCs with some power.

    Simulated studies draw the patients of a pilot with replacement, with the difference imposed on its scores, and are
    tested as a study is (DeLong, clustered by patient). For readers' scores the numbers follow from the variance of the
    pilot (Obuchowski-Rockette, Hillis).
    """
    from gazekit.errors import ConfigurationError
    from gazekit.measures.comparing.planning import plan_exams
    from gazekit.study.pilot import pilot_of_runs, pilot_of_study, scores_of_readers

    rows = ("system", "reference")
    if len(pilot) == 1 and pilot[0].is_file():
        refuse_options(context, (*rows, "patients", "simulations", "seed"), "a table of readers' scores")
        _plan_readers(scores_of_readers(pilot[0]), difference, power, alpha, as_json=as_json)
        return
    if len(pilot) == 2:
        refuse_options(context, rows, "a pilot of two runs")
        found = pilot_of_runs(*pilot)
    elif len(pilot) == 1 and (pilot[0] / "runs").is_dir():
        found = pilot_of_study(pilot[0], system, reference)
    else:
        missing = [f"{path}: there is no such file or folder" for path in pilot if not path.exists()]
        fault = f"{', '.join(map(str, pilot))}: no pilot" if not missing else missing[0]
        raise ConfigurationError(
            f"{fault}; expected a study directory with --system and --reference, two runs, or a table of readers' "
            "scores"
        )
    with console.progress("simulating studies") as report:
        planned = plan_exams(
            found,
            difference=difference,
            power=power,
            alpha=alpha,
            sizes=patients or (),
            simulations=simulations,
            seed=seed,
            progress=report,
        )
    _show(planned, len(found.labels), len(set(found.patients)), as_json=as_json)


def _show(planned: "ExamPlan", exams: int, patients: int, *, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        values = {"pilot": {"exams": exams, "patients": patients}, **asdict(planned)}
        console.print_json("gazekit.plan/1", values)
        return

    def row(at: "PowerAt") -> tuple[str, ...]:
        mark = "→" if at == planned.needed else ""
        return (mark, f"{at.exams:.0f}", str(at.patients), f"{at.power:.3f} [{at.low:.3f}, {at.high:.3f}]")

    title = (
        f"a difference of {planned.imposed:+.3f} to an AUC of {planned.auc_reference:.3f}, two-sided at "
        f"{planned.alpha:g}: power of {planned.simulations} simulated studies"
    )
    console.print_table(
        ("", "exams", "patients", "power [95 %]"), [row(each) for each in planned.curve], title=title
    )
    print(
        f"{planned.needed.exams:.0f} exams of {planned.needed.patients} patients for a power of {planned.power:g}"
    )
    console.note(
        f"closed form (DeLong): {planned.closed_form} patients; {planned.closed_form_low} to "
        f"{planned.closed_form_high} over {planned.pilots} resampled pilots of {patients} patients, a chance that [ ] "
        "do not cover"
    )
    if planned.needed.undefined:
        console.warn(f"{planned.needed.undefined} simulated studies lack a class and found nothing")


def _plan_readers(
    scores: "ReaderScores", difference: float, power: float, alpha: float, *, as_json: bool
) -> None:
    from dataclasses import asdict

    from gazekit.measures.comparing.reader_study import patients_needed, reader_components

    found = reader_components(scores)
    exams = len(scores.labels) / found.patients
    needed = {
        readers: patients_needed(found, difference=difference, readers=readers, power=power, alpha=alpha)
        for readers in _READERS
    }
    if as_json:
        curve = [
            {"readers": readers, "patients": each, "exams": None if each is None else each * exams}
            for readers, each in needed.items()
        ]
        values = {
            "difference": difference,
            "power": power,
            "alpha": alpha,
            "pilot": {"ways": scores.ways, **asdict(found)},
            "curve": curve,
        }
        console.print_json("gazekit.plan_readers/1", values)
        return
    rows = [
        (str(readers), "–" if each is None else f"{each * exams:.0f}", "–" if each is None else str(each))
        for readers, each in needed.items()
    ]
    title = f"readers and exams for a difference of {difference:+.3f} with a power of {power:g}, at {alpha:g}"
    console.print_table(("readers", "exams", "patients"), rows, title=title)
    _note_components(found, scores.ways, difference)


def _note_components(found: "ReaderComponents", ways: tuple[str, str], difference: float) -> None:
    from gazekit.disk.plain_text import visible
    from gazekit.measures.numbers import probability

    first, second = (f"{auc:.3f} by {visible(way[:40])}" for auc, way in zip(found.aucs, ways, strict=True))
    spread = (2 * found.interaction) ** 0.5
    console.note(
        f"pilot: {found.readers} readers, {found.patients} patients, mean AUC {first} and {second} "
        f"(p {probability(found.p)}); readers differ in their gain by {spread:.3f} (standard deviation). –: no study "
        "of 100 times the pilot's patients is enough. These numbers rest on few readers: see docs/plan.md"
    )
    if spread > difference:
        console.warn(
            "readers differ more than the difference to be found: more readers help, more exams do not"
        )
