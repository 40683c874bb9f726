"""The command ``gazekit``; heavy imports happen inside the commands."""

import functools
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

import gazekit
from gazekit.cli import (
    calibrate,
    card,
    console,
    doctor,
    evaluate,
    explain_check,
    export,
    presets,
    pretrain,
    report,
    runs,
)
from gazekit.cli.data import commands as data
from gazekit.cli.data import generate
from gazekit.cli.gaze import commands as gaze
from gazekit.cli.help_text import NAMES, tidy
from gazekit.cli.plugins import commands as plugins
from gazekit.cli.predict import command as predict
from gazekit.cli.study import benchmark, plan, tune
from gazekit.cli.train import command as train
from gazekit.disk.plain_text import visible
from gazekit.errors import GazekitError, StorageError

_NO_MEMORY = ("out of memory", "allocate memory", "failed to map segment")

app = typer.Typer(
    help="Multi-view image classification supervised by gaze.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": NAMES},
)
app.command("pretrain")(pretrain.pretrain)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("explain-check")(explain_check.explain_check)
app.command("calibrate")(calibrate.calibrate)
app.command("predict")(predict.predict)
app.command("report")(report.report)
app.command("card")(card.card)
app.command("export")(export.export)
app.command("benchmark")(benchmark.benchmark)
app.command("tune")(tune.tune)
app.command("plan")(plan.plan)
app.command("doctor")(doctor.doctor)
app.add_typer(runs.app, name="runs")
app.add_typer(data.app, name="data")
app.add_typer(gaze.app, name="gaze")
app.add_typer(presets.app, name="presets")
app.add_typer(plugins.app, name="plugins")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"gazekit {gazekit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    _no_plugins: Annotated[  # main() handles it, before the plugins that add commands are loaded
        bool,
        typer.Option("--no-plugins", help="Leave out all plugins but gazekit's own (GAZEKIT_DISABLE='*')."),
    ] = False,
) -> None:
    """Multi-view image classification supervised by gaze."""


def _each_warning_once() -> Callable[..., None]:
    """Print warnings of libraries as one line each, without the place in the code; none twice, as by every branch."""
    warn = functools.cache(console.warn)
    return lambda message, *_where, **_how: warn(str(message))


def main() -> None:
    """Run the command line; a fault of the input ends with one line and its exit code."""
    console.open_closed_streams()
    warnings.showwarning = _each_warning_once()
    console.reserve_stdout()
    with console.lasting_stderr():
        _run()


def _check_current_folder() -> None:
    """Raise StorageError if the current folder was removed: torch and worker processes do not start in it."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise StorageError("the current folder no longer exists; change to one that does") from None


def _is_out_of_memory(error: Exception) -> bool:
    """Whether an error is about memory, of which torch, a GPU and the loader of libraries tell in words alone."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY)


def commands() -> Any:
    """Make all commands, with those that plugins have added and their help in order."""
    return tidy(typer.main.get_command(app))


def _run() -> None:
    # short spins: threads that spin long make a step several times slower if another process is busy
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    # NumPy multiplies small matrices here: threads for them, in each worker too, only get in the way of others
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for any import of onnxruntime, also by a plugin
    if "--no-plugins" in sys.argv:
        sys.argv.remove("--no-plugins")
        os.environ["GAZEKIT_DISABLE"] = f"*,{os.environ.get('GAZEKIT_DISABLE', '')}"
    said = ""
    try:
        _check_current_folder()
        with console.blaming_plugins():
            if sys.argv[1:2] == ["data"]:
                generate.add_generators(data.app)
            try:
                commands()(prog_name="gazekit")
            finally:
                sys.stdout.flush()  # here a reader that has gone is no error
    except BrokenPipeError:  # the reader of our output has closed it, as in: gazekit … | head
        console.drop_output()
        sys.exit(1)
    except GazekitError as error:
        said = str(error)
        console.fail(said)
        sys.exit(error.exit_code)
    except (MemoryError, ImportError, OSError, RuntimeError) as error:
        if _is_out_of_memory(error):
            cause = visible(next(iter(str(error).splitlines()), "")[:200])
            told = f"out of memory{cause and f' ({cause})'}; free some, ask for more where a limit is set, or give less"
            print(
                f"error: {told} at a time (--batch-size, --jobs)", file=sys.stderr
            )  # plain: no memory to import rich
            console.drop_output()
            sys.exit(GazekitError.exit_code)
        if not isinstance(error, OSError):
            raise
        console.fail(
            f"{error.filename or 'input or output'}: {error.strerror or error}; choose another file or folder"
        )
        console.drop_output()
        sys.exit(StorageError.exit_code)
    finally:
        console.warn_of_failures(said)
