"""A torchvision whose operators do not fit this torch can be imported; any other is left alone."""

import subprocess
import sys

import pytest

from gazekit import torchvision_guard
from gazekit.torchvision_guard import allow_missing_operators


def test_torchvision_and_what_imports_it_can_be_imported_afterwards() -> None:
    pytest.importorskip("timm", exc_type=ImportError)
    code = (
        "from gazekit.torchvision_guard import allow_missing_operators as allow\n"
        "allow(); allow()\n"
        "import torchvision, timm\n"
        "print(len(timm.list_models()) > 100, torchvision.__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["True", "torchvision"], run.stderr


class _Imports:
    """Stands in for the import of torchvision: raises what it is given, one after the other."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)

    def __call__(self, name: str) -> None:
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome


@pytest.mark.parametrize("outcome", [None, ModuleNotFoundError("No module named 'torchvision'")])
def test_a_matched_pair_or_none_is_left_untouched(
    monkeypatch: pytest.MonkeyPatch, outcome: Exception | None
) -> None:
    loaded = sys.modules.get("torchvision")
    before = list(torchvision_guard._libraries)
    monkeypatch.setattr(torchvision_guard, "import_module", _Imports(outcome))
    allow_missing_operators()
    assert torchvision_guard._libraries == before
    assert sys.modules.get("torchvision") is loaded


def test_any_other_failure_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_guard, "import_module", _Imports(RuntimeError("CUDA versions differ")))
    with pytest.raises(RuntimeError, match="CUDA versions differ"):
        allow_missing_operators()
