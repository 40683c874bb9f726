"""Plugins that were written for the former names of modules work for one more release."""

import subprocess
import sys
from importlib import import_module

import pytest

from gazekit.former_modules import FORMER


@pytest.mark.parametrize(("former", "now"), [item for item in FORMER.items() if item[1]])
def test_a_former_name_is_the_module_of_today_and_says_so(former: str, now: str) -> None:
    sys.modules.pop(former, None)
    with pytest.warns(
        FutureWarning, match=f"{former} is now {now}; the former name goes in the next release"
    ):
        assert import_module(former) is import_module(now)


def test_every_form_of_import_works_and_others_fail_as_ever() -> None:
    code = (
        "from gazekit.interfaces import VectorFusion\n"
        "from gazekit.registry import Registry\n"
        "from gazekit.data import exam\n"
        "import gazekit.gaze.recording as recording\n"
        "import gazekit.records.exam, gazekit.records.recording\n"
        "assert exam is gazekit.records.exam and recording is gazekit.records.recording\n"
        "try:\n    import gazekit.data.nothing\nexcept ModuleNotFoundError:\n    print('fails')\n"
    )
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert finished.stdout == "fails\n"
