"""``gazekit doctor``: what works, what does not, and how to fix it."""

from dataclasses import asdict

import typer

from gazekit.cli import console
from gazekit.cli.options import Json


def doctor(as_json: Json = False) -> None:
    """Check versions, devices, codecs, extras, plugins, weights and disk; nothing is changed or downloaded.

    The exit code is 1 if something needed does not work; what is only optional is a limit.
    """
    from gazekit.doctor import diagnose

    checks = diagnose(console.registry())
    problems = [check for check in checks if check.status == "problem"]
    if as_json:
        console.print_json("gazekit.doctor/1", {"checks": [asdict(check) for check in checks]})
    else:
        console.print_table(
            ("area", "what", "status", "found"),
            [(check.area, check.name, check.status, check.found) for check in checks],
        )
        for check in checks:
            if check.remedy:
                console.note(f"{check.status}: {check.name}: {check.found}")
                console.note(check.remedy, indent=4)
        limits = sum(check.status == "limit" for check in checks)
        console.note(f"problems: {len(problems)}, limits: {limits}, checks: {len(checks)}")
    if problems:
        raise typer.Exit(1)
