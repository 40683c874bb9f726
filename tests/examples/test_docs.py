"""Nothing is undocumented: each command, option, preset, key, component and hook has its text and its place."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from command_line import gazekit as command_line
from fresh_environment import ROOT

import gazekit
from gazekit.contracts import hookspecs
from gazekit.measures.catalogue import CHECKS, MEASURES
from gazekit.registry.component import OWN, Component
from gazekit.registry.registry import HOOKS, KINDS, Registry
from gazekit.registry.signature import options_of

DOCS = ROOT / "docs"


def extension(name: str) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        return importlib.import_module(f"_extension.{name}")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    made: dict[str, str] = extension("reference").pages()
    return made


def undocumented(component: Component) -> list[str]:
    """What a component's docstring does not say: itself, or an option."""
    text = vars(component.value).get("__doc__") or ""
    explained = ", ".join(re.findall(r"^\s*(\w+(?:, \w+)*):", text, flags=re.MULTILINE)).split(", ")
    options = [option.name for option in options_of(component.value) if option.name not in explained]
    return ["the docstring"] * (not text.strip()) + options


def own(registry: Registry, kind: str) -> list[Component]:
    return [each for each in registry.components(kind) if each.provenance.distribution == OWN]


def test_every_component_and_option_is_documented_and_has_its_place(
    registry: Registry, pages: dict[str, str]
) -> None:
    for kind in KINDS:
        for component in own(registry, kind):
            assert not undocumented(component), f"{kind} {component.name}"
            assert f"\n## {component.name}\n" in pages[f"components/{kind}.md"]
            for option in options_of(component.value):
                assert f"| `{option.name}` |" in pages[f"components/{kind}.md"]


def test_an_undocumented_option_would_be_found(registry: Registry) -> None:
    class Silent:
        """Says nothing of its option, which is loud."""

        def __init__(self, *, loud: bool = True) -> None: ...

    component = own(registry, "fusion")[0]
    assert undocumented(Component("fusion", "silent", Silent, component.provenance)) == ["loud"]


def test_every_command_and_option_is_documented_and_has_its_place(pages: dict[str, str]) -> None:
    commands = extension("commands").every_command()
    names = {command.name for command in commands}
    assert {"gazekit train", "gazekit data prepare", "gazekit data phantom", "gazekit plugins show"} <= names
    for command in commands:
        assert command.help.strip(), command.name
        page = pages[f"commands/{command.name.split()[1]}.md"]
        assert re.search(rf"^##? {command.name}$", page, flags=re.MULTILINE)
        for parameter in command.parameters:
            assert parameter.help.strip(), f"{command.name} {parameter.name}"
            name = parameter.name.replace("|", "\\|")  # a bar would end the cell of the table
            assert f"| `{name}" in page


@pytest.mark.parametrize("words", ["data prepare", "plan"])
def test_the_reference_has_the_options_of_the_help(words: str) -> None:
    printed = command_line(*words.split(), "--help").stdout
    (command,) = [c for c in extension("commands").every_command() if c.name == f"gazekit {words}"]
    options = [p for p in command.parameters if p.is_option]
    rows = re.findall(r"^\W*?(\*?) +(--[a-z][a-z-]+)", printed, flags=re.MULTILINE)
    shown = {name: bool(star) for star, name in rows if name != "--help"}
    assert {p.name.split("/")[0]: p.is_needed for p in options} == shown  # --mask-outside/--no-…


def test_every_preset_and_value_has_its_source(registry: Registry, pages: dict[str, str]) -> None:
    for component in own(registry, "preset"):
        preset = registry.preset(component.name)
        assert preset.description, component.name
        page = pages[f"presets/{component.name}.md"]
        assert component.value.read_text() in page and preset.to_toml() in page
        for key, value in preset.sources.items():
            said = value.comment or key[0] in {"description", "quick", "stand_in", "reported"}
            assert said, f"{component.name}: {'.'.join(key)} has no source in a comment"


def test_every_key_of_a_preset_has_a_row(registry: Registry, pages: dict[str, str]) -> None:
    def keys(values: dict[str, Any], prefix: str = "") -> set[str]:
        found = set()
        for name, value in values.items():
            table = isinstance(value, dict) and "use" not in value and name not in ("reported", "tune")
            found |= keys(value, f"{prefix}{name}.") if table else {prefix + name}
        return found - {"reported"}

    rows = set(re.findall(r"^\| `([\w.]+)` \|", pages["presets/keys.md"], flags=re.MULTILINE))
    assert keys(registry.preset("mammonet").model_dump()) <= rows
    assert {"terms.NAME.weight", "terms.NAME.attention_map", "training.groups.NAME.freeze_epochs"} <= rows


@pytest.mark.parametrize(("kind", "hook"), HOOKS.items())
def test_every_hook_and_contract_is_documented(kind: str, hook: str, pages: dict[str, str]) -> None:
    assert (getattr(hookspecs, hook).__doc__ or "").strip()
    assert f"\n## {hook}\n" in pages["hooks.md"]
    contracts = extension("hooks").CONTRACTS
    assert kind == "preset" or contracts[kind]
    for name in contracts.get(kind, ()):
        assert f"gazekit.{name}\n" in pages["hooks.md"]
        module, _, own = name.rpartition(".")
        assert (getattr(importlib.import_module(f"gazekit.{module}"), own).__doc__ or "").strip()
    for promised in gazekit.testing.CONTRACTS[kind].promises().values() if kind != "preset" else ():
        assert f"- {extension('markdown').plain(promised)}\n" in pages["hooks.md"]


def test_every_hook_of_the_specification_is_known() -> None:
    specified = {name for name in vars(hookspecs) if name.startswith("gazekit_")}
    assert specified == {*HOOKS.values(), "gazekit_doctor_checks"}


def test_every_measure_has_its_meaning_and_its_place(pages: dict[str, str]) -> None:
    plain = extension("markdown").plain
    for name, measure in {**MEASURES, **CHECKS}.items():
        assert re.search(
            rf"^\| `{name}` .*{re.escape(plain(measure.meaning))} \|$", pages["measures.md"], re.MULTILINE
        )


def test_every_public_name_is_documented(pages: dict[str, str]) -> None:
    for name in set(gazekit.__all__) - {"__version__"}:
        assert re.search(rf"^\.\. auto\w+:: gazekit\.{name}$", pages["python.md"], flags=re.MULTILINE)
        value = getattr(gazekit, name)
        assert not callable(value) or inspect.getdoc(value), name


def test_types_are_written_for_a_reader(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        odd = re.findall(
            r"^\| `.*(?:FieldInfo|Annotated|Optional\[|<function|\bgazekit\.\w+\.\w+ ).*$", text, re.M
        )
        assert not odd, f"{name}: {odd}"


def test_pages_appear_by_themselves() -> None:
    """A page in docs/, docs/data or docs/gaze needs no entry; the other folders' pages have one."""
    index = (DOCS / "index.md").read_text()
    assert "\n*\n" in index
    for folder in ("tutorials", "project"):
        for page in (DOCS / folder).glob("*.md"):
            assert f"\n{folder}/{page.stem}\n" in index


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_its_examples_run(tmp_path: Path) -> None:
    common = [
        "--quiet",
        "--fail-on-warning",
        "--keep-going",
        "--doctree-dir",
        str(tmp_path / "doctrees"),
        str(DOCS),
    ]
    for builder in ("html", "doctest"):
        command = [sys.executable, "-m", "sphinx", "--builder", builder, *common, str(tmp_path / builder)]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stdout + finished.stderr
    html = tmp_path / "html"
    assert "<svg" in (html / "project/architecture.html").read_text()
    for reference in (
        "hooks",
        "python",
    ):  # Sphinx takes what precedes a colon in an attribute's docstring for its type
        text = (html / f"reference/{reference}.html").read_text()
        assert "(*args" not in re.sub(r"<[^>]+>", "", text) and ">Type<" not in text
    for page in html.rglob("*.html"):
        outside = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]+)"', page.read_text())
        assert not outside, f"{page} needs the network: {outside}"
