"""One word for one thing: a part is train, val or test; a split says which exam is in which part."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ("gazekit", "plugins") for path in (ROOT / folder).rglob("*.py"))
NO_PATH = {"split", "preset", "dataset"}
"""Words for the thing itself; its file is ``split_path``, ``preset_path``."""
PATHS = {"Path", "Path | None"}
NAMES = {"str", "str | None", "tuple[str, ...]", "tuple[str, ...] | None"}


def annotated(path: Path) -> Iterator[tuple[str, str]]:
    """Every name that a file annotates, with its type; of a property and a function, what it returns."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.arg(arg=name, annotation=ast.expr() as kind):
                yield name, plain(kind)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind):
                yield name, plain(kind)
            case ast.FunctionDef(name=name, returns=ast.expr() as kind):
                yield name, plain(kind)


def plain(kind: ast.expr) -> str:
    """The type in words, without what ``Annotated`` says of it."""
    if isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "Annotated":
        assert isinstance(kind.slice, ast.Tuple)
        kind = kind.slice.elts[0]
    return ast.unparse(kind)


def homonyms(path: Path) -> list[str]:
    """Names of a file that mean something else elsewhere."""
    return [
        f"{name}: {kind}"
        for name, kind in annotated(path)
        if (name in NO_PATH and kind in PATHS) or (name == "split" and kind in NAMES)
    ]


FORMER = {
    "gazekit/prepared/dataset.py": ["split: tuple[str, ...] | None"],
    "gazekit/records/exam.py": ["split: str | None"],
}
"""File → names of 0.1, kept for one release with a warning."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_word_means_one_thing(path: Path) -> None:
    assert homonyms(path) == FORMER.get(str(path.relative_to(ROOT)), [])


def test_the_search_would_find_a_homonym(tmp_path: Path) -> None:
    file = tmp_path / "guilty.py"
    file.write_text(
        "class Run:\n"
        "    part: str\n"
        "    split: str | None = None\n"
        "    def preset(self) -> Path: ...\n"
        "def evaluate(split: Annotated[Path, 1], preset: str, dataset: Path | None, split_path: Path): ...\n"
    )
    assert sorted(homonyms(file)) == [
        "dataset: Path | None",
        "preset: Path",
        "split: Path",
        "split: str | None",
    ]
