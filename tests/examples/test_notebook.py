"""``examples/quickstart.ipynb`` runs, holds its own output, and names nothing of a machine."""

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fresh_environment import ROOT

NOTEBOOK = ROOT / "examples/quickstart.ipynb"


def cells(notebook: Path = NOTEBOOK) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(notebook.read_text())["cells"]
    return found


def printed(cell: dict[str, Any]) -> str:
    """The text among the outputs of a cell."""
    texts = [output.get("text", "") for output in cell.get("outputs", [])]
    texts += [output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", [])]
    return "".join(text if isinstance(text, str) else "".join(text) for text in texts)


def measures(notebook: list[dict[str, Any]]) -> dict[str, tuple[float, float, float]]:
    """Measure → value and interval, as printed."""
    lines = re.findall(
        r"^(\w+) +([\d.]+)  \(([\d.]+) to ([\d.]+)\)$", "\n".join(map(printed, notebook)), re.MULTILINE
    )
    return {name: (float(value), float(low), float(high)) for name, value, low, high in lines}


def test_every_cell_was_run_in_order_and_none_failed() -> None:
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert not any(output.get("name") == "stderr" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2


def test_its_outputs_name_no_place_of_a_machine() -> None:
    """Anything that begins at a root, and where this tree, its Python and its user are."""
    text = NOTEBOOK.read_text()
    for cell in cells():
        if cell["cell_type"] == "code":
            outputs = [
                {name: value for name, value in output.get("data", {}).items() if name != "image/png"}
                | {"text": output.get("text", "")}
                for output in cell["outputs"]
            ]
            said = json.dumps(outputs)
            assert not re.search(r"(?<![\w.:])/(?:\w|[.])+/|[A-Za-z]:\\\\", said.replace("</", "<")), said
    places = (str(ROOT), sys.prefix, str(Path.home()), "/tmp", "/home", "/Users")
    assert not [place for place in places if place != "/" and place in text]


def test_what_it_says_of_its_numbers_is_so() -> None:
    found = measures(cells())
    assert set(found) == {"auc", "correlation", "pointing_game"}
    assert found["auc"][1] > 0.5, "it says that the model tells benign from malignant"
    assert found["pointing_game"][1] > 0.5, "it says that the peak lies in the lesion more often than not"
    (predictions,) = (text for text in map(printed, cells()) if text.startswith("P0"))
    clear, barely = (float(each) for each in re.findall(r"'malignant': ([\d.]+)", predictions))
    assert clear > 0.9 and 0.5 < barely < 0.6, "it says that both are called malignant, one of them barely"


@pytest.mark.slow
def test_it_runs_and_prints_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("GAZEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'plugins'}")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    done = import_module("_extension.notebook").run(NOTEBOOK, tmp_path)
    assert (tmp_path / "runs/quickstart/run/report.html").exists()
    assert (tmp_path / "runs/quickstart/run/model.onnx").exists()
    stored = measures(cells())
    for name, (value, _, _) in measures(done.cells).items():
        assert stored[name][1] <= value <= stored[name][2], name
    assert not any(
        output.get("name") == "stderr" for cell in done.cells for output in cell.get("outputs", [])
    )
