"""Whatever a file of a run, a study or a prepared set holds, a command ends in time, in words and with its exit code.

Each damage to each file, and a value of another type in each field, meets the commands that read it. The default run
takes a sample, another one in each version of this file; all of them are ``slow``.
"""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from command_line import TINY, gazekit
from untrusted import ALLOWED, DAMAGES, Damage, Ended, in_child, wrong_values

from gazekit.prepared.dataset import PreparedDataset

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available() or not hasattr(os, "pidfd_open"),
    reason="forks, which CUDA does not survive; Linux",
)
SAMPLE = 16
MAY_LACK = {"log.txt", "evaluation.json", "predictions.csv", "metrics.jsonl", "checksums.json", ".lock"}
"""A run or study may lack these without harm: they are made again, or say how far the run is."""


@dataclass(frozen=True)
class Target:
    """A folder whose files are damaged, and commands that read it; ``RUN`` in them is an intact run."""

    folder: Path
    files: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]


@pytest.fixture(scope="module")
def images(raw_folder: Path) -> list[str]:
    return [str(raw_folder / "e005_cc.png"), str(raw_folder / "e005_mlo.png")]


@pytest.fixture(scope="module")
def targets(
    tmp_path_factory: pytest.TempPathFactory, tiny_run: Path, dataset: PreparedDataset, images: list[str]
) -> dict[str, Target]:
    made = tmp_path_factory.mktemp("untrusted")
    run = shutil.copytree(tiny_run, made / "run")
    gazekit("evaluate", run, "--resamples", 100)
    study = made / "study"
    few = ["--set", "training.epochs=1", *TINY]
    systems = ["--preset", "mammonet_small", "--folds", 2, "--seeds", 1, "--no-timing"]
    gazekit("benchmark", *systems, "--data", dataset.root, "--out", study, *few)
    return {
        "run": Target(
            run,
            files_of(run),
            (
                ("runs", "verify", "HERE"),
                ("evaluate", "HERE", "--resamples", "100"),
                ("predict", "HERE", *images, "--json"),
                ("runs", "list", "HERE", "--json"),
                ("runs", "compare", "HERE", "RUN"),
                ("train", "--out", "HERE", "--resume"),
            ),
        ),
        "study": Target(
            study,
            (
                *(name for name in files_of(study) if not name.startswith("runs")),
                *(f"runs/mammonet_small/fold-1-seed-0/{name}" for name in files_of(run) if "/" not in name),
            ),
            (("benchmark", "--out", "HERE", "--so-far", "--no-timing"), ("report", "HERE")),
        ),
        "prepared": Target(
            shutil.copytree(dataset.root, made / "prepared"),
            files_of(dataset.root),
            (
                ("data", "verify", "HERE"),
                ("evaluate", "RUN", "--data", "HERE", "--resamples", "100"),
                ("predict", "RUN", "HERE", "--json"),
                ("data", "split", "HERE", "OUT"),
            ),
        ),
    }


def files_of(folder: Path) -> tuple[str, ...]:
    """What a command may read; pictures and pages are for people."""
    shown = {".png", ".svg", ".html", ".md", ".tex"}
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in shown)
    return tuple(str(path.relative_to(folder)) for path in files if path.name != ".lock")


def damages_of(target: Target, name: str) -> Iterator[tuple[str, Damage]]:
    yield from DAMAGES.items()
    yield from wrong_values(target.folder / name)


class Trial:
    """Damages a copy of a target's folder and carries out its commands on it."""

    def __init__(self, targets: dict[str, Target], folder: Path) -> None:
        self.targets, self.folder = targets, folder
        self.expected: dict[tuple[str, int], str] = {}

    def __call__(self, kind: str, name: str, damage: Damage, command: int) -> Ended:
        copy = shutil.copytree(self.targets[kind].folder, self.folder / f"a {kind}")
        try:
            damage(copy / name)
            return self.carry_out(kind, copy, command)
        finally:
            shutil.rmtree(copy)

    def carry_out(self, kind: str, copy: Path, command: int, *, limits: bool = True) -> Ended:
        run, words = self.folder / "intact", self.targets[kind].commands[command]
        if "RUN" in words:
            shutil.copytree(self.targets["run"].folder, run)
        places = {"HERE": copy, "RUN": run, "OUT": self.folder / "split.csv"}
        try:
            return in_child(*(places.get(word, word) for word in words), folder=self.folder, limits=limits)
        finally:
            shutil.rmtree(run, ignore_errors=True)
            (self.folder / "split.csv").unlink(missing_ok=True)

    def intact(self, kind: str, command: int) -> str:
        """What the command prints of the intact folder."""
        if (kind, command) not in self.expected:
            ended = self(kind, ".", lambda _path: None, command)
            assert ended.code == 0, ended.stderr
            self.expected[kind, command] = ended.stdout
        return self.expected[kind, command]

    def check(self, kind: str, name: str, what: str, damage: Damage, command: int) -> None:
        words, ended = self.targets[kind].commands[command], self(kind, name, damage, command)
        told = f"{kind}/{name}: {what}: gazekit {' '.join(words)}\nexit code {ended.code}\n{ended.stderr[-3000:]}"
        assert ended.code in {0, *ALLOWED}, told
        assert "Traceback" not in ended.stderr, told
        assert len(ended.stderr) < 20_000 and len(ended.stderr.splitlines()) < 60, told
        if (
            ended.code == 0
            and words[0] in ("evaluate", "predict", "data")
            and Path(name).name not in MAY_LACK
        ):
            assert ended.stdout == self.intact(kind, command), f"another result without a word\n{told}"
        if words[:2] == ("data", "verify") and self._differs(kind, name, damage):
            assert ended.code == 3 and Path(name).name.split(".")[0] in ended.stderr, told

    def _differs(self, kind: str, name: str, damage: Damage) -> bool:
        """Whether the file is another, byte by byte."""
        original = self.targets[kind].folder / name
        copy = shutil.copyfile(original, self.folder / Path(name).name)
        try:
            damage(copy)
            regular = (
                copy.is_file() and not copy.is_symlink() and copy.stat().st_size == original.stat().st_size
            )
            return not regular or copy.read_bytes() != original.read_bytes()
        finally:
            shutil.rmtree(copy) if copy.is_dir() and not copy.is_symlink() else copy.unlink(missing_ok=True)


@pytest.fixture
def trial(targets: dict[str, Target], tmp_path: Path) -> Trial:
    return Trial(targets, tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_a_sample_of_all_damages(targets: dict[str, Target], trial: Trial) -> None:
    chosen = random.Random(2)
    for number in range(SAMPLE):
        kind = ("run", "prepared", "run", "study")[number % 4]
        target = targets[kind]
        name = chosen.choice(target.files)
        what, damage = chosen.choice([*DAMAGES.items()] if number % 2 else [*damages_of(target, name)])
        if what != "no permission":
            trial.check(kind, name, what, damage, chosen.randrange(len(target.commands)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "prepared", "study"])
@pytest.mark.parametrize("part", range(32))
def test_every_damage_to_every_file(targets: dict[str, Target], trial: Trial, kind: str, part: int) -> None:
    target, failed = targets[kind], []
    every = [(name, what, damage) for name in target.files for what, damage in damages_of(target, name)]
    for name, what, damage in every[part::32]:
        if what == "no permission" and os.geteuid() == 0:
            continue
        for command in range(len(target.commands)):
            try:
                trial.check(kind, name, what, damage, command)
            except AssertionError as error:
                failed.append(str(error).splitlines()[0] + "\n" + str(error)[-600:])
    assert not failed, f"{len(failed)} failed\n" + "\n\n".join(failed[:20])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("run", "checkpoints/000000/weights.safetensors"),
        ("run", "checkpoints/000003/state.safetensors"),
        ("prepared", "masks.npy"),
        ("prepared", "findings.csv"),
    ],
)
def test_a_file_of_another_size_than_the_manifest_says_is_not_read(
    trial: Trial, kind: str, name: str
) -> None:
    """Verifying would else hash, or hold, a terabyte that takes no space on the disk."""
    trial.check(kind, name, "sparse terabyte", DAMAGES["sparse terabyte"], 0)
    ended = trial(kind, name, DAMAGES["sparse terabyte"], 0)
    assert ended.code == 3 and "has 1000000000000 bytes, expected" in ended.stderr


def test_verifying_finds_a_list_of_tensors_that_does_not_fit_though_the_checksum_does(
    trial: Trial,
) -> None:
    def damage(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[:8] + content[8:].replace(b"F32", b"F64", 1))
        manifest = path.parent / "manifest.json"
        facts = json.loads(manifest.read_text())
        facts["files"][path.name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        manifest.write_text(json.dumps(facts))

    ended = trial("run", "checkpoints/000000/weights.safetensors", damage, 0)
    assert ended.code == 3 and "weights.safetensors: not a readable checkpoint" in ended.stderr


@pytest.mark.parametrize(
    ("kind", "name", "field"),
    [
        ("run", "run.json", "classes"),
        ("run", "plugins.json", ""),
        ("prepared", "dataset.json", "duplicates"),
        ("study", "study.json", "failures"),
    ],
)
def test_a_million_wrong_values_are_refused_without_a_message_about_each(
    trial: Trial, kind: str, name: str, field: str
) -> None:
    def damage(path: Path) -> None:
        wrong = "[" + ",".join(["0"] * 1_000_000) + "]"
        values = json.loads(path.read_text())
        text = json.dumps(values | {field: "HERE"}).replace('"HERE"', wrong) if field else wrong
        path.write_text(text)

    ended = trial(kind, name, damage, 0)
    assert ended.code in ALLOWED and f"{name}: holds more than 200000 values" in ended.stderr, ended


@pytest.mark.parametrize(
    ("kind", "name", "old", "new", "command"),
    [
        ("run", "metrics.jsonl", '"val_auc": ', '"val_auc": "nan", "was": ', 1),
        ("run", "metrics.jsonl", '"val_loss": ', '"val_loss": "1.5", "was": ', 1),
        ("run", "evaluation.json", '"exams": ', '"exams": "3", "was": ', 3),
        ("study", "study.json", '"seconds": ', '"seconds": "3", "was": ', 0),
        ("study", "study.json", '"seeds": ', '"seeds": "1", "title": "x", "repeats": ', 0),
    ],
)
def test_a_number_written_as_text_is_refused_with_its_field(
    trial: Trial, kind: str, name: str, old: str, new: str, command: int
) -> None:
    def damage(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    ended = trial(kind, name, damage, command)
    said = ended.stderr + ended.stdout
    assert ended.code in {0, *ALLOWED} and "Traceback" not in said, ended
    assert name in said and old.split('"')[1] in said, ended


@pytest.mark.parametrize("command", [1, 5])
@pytest.mark.parametrize("more", [False, True], ids=["less", "more"])
def test_a_split_of_other_exams_than_the_data_is_refused(trial: Trial, command: int, more: bool) -> None:
    def damage(path: Path) -> None:
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines, "x,p,benign,train"] if more else lines[:-1]) + "\n")

    ended = trial("run", "split.csv", damage, command)
    said = "1 such" if command == 1 else "is not the split that the run began with"
    assert ended.code == 3 and "split.csv: " in ended.stderr and said in ended.stderr, ended


def test_a_pipe_in_the_place_of_a_file_that_is_named_is_refused_at_once(
    tmp_path: Path, dataset: PreparedDataset, targets: dict[str, Target]
) -> None:
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    data = ["--data", dataset.root, "--out", tmp_path / "out"]
    for command in (
        ["train", "--preset", pipe, *data],
        ["train", "--preset", "late_concat", "--config", pipe, *data],
        ["train", "--preset", "late_concat", "--split", pipe, *data],
        ["benchmark", pipe, "--out", tmp_path / "out"],
        ["presets", "show", pipe],
    ):
        ended = in_child(*command, folder=tmp_path)
        assert ended.code in ALLOWED and "is a pipe" in ended.stderr, (command, ended)
