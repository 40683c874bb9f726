"""gazekit from Python: a small surface, light to import, that matches the command line."""

import functools
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import TINY
from command_line import gazekit as command_line
from tiny import small_changes

import gazekit
from gazekit.api import in_python
from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.refused import Refused
from gazekit.registry.registry import Registry

OVERRIDES = [item for item in TINY if item != "--set"] + ["training.epochs=1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, dataset: PreparedDataset) -> gazekit.Trained:
    out = tmp_path_factory.mktemp("api") / "run"
    return gazekit.train(
        "mammonet_small", dataset, out, overrides=OVERRIDES, device="cpu", note=lambda _: None
    )


def test_the_public_surface_is_small_and_exported_once() -> None:
    names = [
        *(
            "ExamDataset",
            "PreparedDataset",
            "Trained",
            "__version__",
            "benchmark",
            "build_model",
            "build_objective",
        ),
        *("calibrate", "card"),
        *(
            "default_data",
            "evaluate",
            "explain_check",
            "export",
            "hookimpl",
            "load",
            "load_registry",
            "predict",
            "prepare",
        ),
        *("pretrain", "report", "train", "tune"),
    ]
    assert gazekit.__all__ == names
    assert dir(gazekit) == names  # what a console or a notebook offers after `gazekit.`, before the first use
    for module in ("reporting.run.files", "exporting.program_files", "measures.evaluate", "api"):
        import_module(f"gazekit.{module}")  # no package takes the place of a function of its name
    assert all(callable(getattr(gazekit, name)) for name in names if name != "__version__")
    assert all(getattr(gazekit, name) is not None for name in names)
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        _ = gazekit.fit


def test_to_import_it_costs_nothing() -> None:
    code = "import sys, gazekit; print(*{'torch', 'numpy', 'pydantic', 'typer'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "\n"
    )


def test_it_trains_what_the_command_line_trains(
    trained: gazekit.Trained, dataset: PreparedDataset, tmp_path: Path
) -> None:
    arguments = ["--data", dataset.root, "--out", tmp_path / "run", "--epochs", 1, "--device", "cpu", *TINY]
    command_line("train", "--preset", "mammonet_small", *arguments)
    other = gazekit.load(tmp_path / "run", device="cpu")
    for part in ("val", "test"):
        mine, theirs = trained.predict(dataset, part), other.predict(dataset, part)
        assert np.array_equal(mine.logits, theirs.logits) and len(mine.logits) > 0
    assert trained.run.split_path.read_text() == other.run.split_path.read_text()


def test_it_pretrains_what_the_command_line_pretrains(dataset: PreparedDataset, tmp_path: Path) -> None:
    changes = [item for item in TINY if item.startswith("backbone.")]
    here, there = tmp_path / "here.safetensors", tmp_path / "there.safetensors"
    few = {"patch": 8, "steps": 4, "batch_size": 6, "held_out": 0.3}
    done = gazekit.pretrain("mammonet_small", dataset, here, overrides=changes, device="cpu", **few)
    options = [part for name, value in few.items() for part in (f"--{name.replace('_', '-')}", value)]
    options += [part for item in changes for part in ("--set", item)]
    command_line(
        "pretrain", "mammonet_small", "--data", dataset.root, "--out", there, "--device", "cpu", *options
    )
    assert done.path == here and here.read_bytes() == there.read_bytes()


def test_images_are_predicted_as_the_prepared_exams_and_a_broken_one_is_refused(
    trained: gazekit.Trained, dataset: PreparedDataset, raw_folder: Path, tmp_path: Path
) -> None:
    for view in ("cc", "mlo"):
        (tmp_path / f"x_{view}.png").write_bytes(b"no image")
    every = trained.predict(dataset, "all")
    files = [raw_folder / "e005_cc.png", str(raw_folder / "e005_mlo.png")]
    good, broken = trained.predict_images(*files, tmp_path)
    assert (good.key, broken.key) == ("e005", "x")
    assert isinstance(broken, Refused) and "x_cc.png" in broken.reason
    assert not isinstance(good, Refused)
    assert np.allclose(good.probabilities, every.probabilities[dataset.exam_ids.index("e005")], atol=1e-6)
    assert good.attention["cc"].shape == every.attention["cc"].shape[1:]


def test_what_is_left_out_and_assumed_is_a_warning(
    trained: gazekit.Trained, raw_folder: Path, tmp_path: Path
) -> None:
    for view in ("cc", "mlo"):
        (tmp_path / f"x_{view}.png").write_bytes((raw_folder / f"e005_{view}.png").read_bytes())
    (tmp_path / "x_cc_mask.png").write_bytes((raw_folder / "e005_cc_mask.png").read_bytes())
    said = r"left out 1 image \(.*x_cc_mask.png\): a mask, by its name"
    for predict in (trained.predict_images, functools.partial(gazekit.predict, trained)):
        with pytest.warns(UserWarning, match=said) as warned:
            (found,) = predict(tmp_path)
        assert found.key == "x" and warned[0].filename == __file__


def test_evaluation_is_that_of_the_command_line(trained: gazekit.Trained, dataset: PreparedDataset) -> None:
    mine = gazekit.evaluate(trained, dataset.root)
    assert mine == gazekit.evaluate(trained)
    command_line("evaluate", trained.run.path, "--device", "cpu")
    written = trained.run.read_evaluation()
    assert written == {"schema": "gazekit.evaluation/1", **mine}


def test_data_that_are_open_already_are_checked_like_a_folder(
    trained: gazekit.Trained, dataset: PreparedDataset
) -> None:
    """The order of the classes decides which is positive: with the other one, the AUC would be 1 minus itself."""
    facts = trained.facts
    swapped = replace(trained, facts=replace(facts, classes=facts.classes[::-1]))
    coloured = replace(trained, facts=replace(facts, preparation={**facts.preparation, "colour": True}))
    for other, fault in (
        (swapped, r'prepare them again with positive="benign"$'),
        (coloured, "prepare them alike"),
    ):
        for data in (dataset, dataset.root):
            for check in (gazekit.evaluate, gazekit.explain_check):
                with pytest.raises(DataError, match=fault):
                    check(other, data, "all")
            for use in (gazekit.calibrate, gazekit.predict):
                with pytest.raises(DataError, match=fault):
                    use(other, data)
        with pytest.raises(DataError, match="; prepare them a"):
            other.predict(dataset, "all")


def test_a_prepared_data_set_is_predicted_as_its_images(
    trained: gazekit.Trained, dataset: PreparedDataset, raw_folder: Path
) -> None:
    """``gazekit predict RUN PREPARED`` does the same."""
    found = gazekit.predict(trained, dataset.root)
    assert [each.key for each in found] == list(dataset.exam_ids)
    again = gazekit.predict(trained, dataset, batch_size=3, explain=False)
    (raw,) = gazekit.predict(trained, raw_folder / "e005_cc.png", raw_folder / "e005_mlo.png")
    place = dataset.exam_ids.index("e005")
    for each in (found[place], again[place]):
        np.testing.assert_allclose(each.probabilities, raw.probabilities, atol=2e-6)
    assert found[place].attention.keys() == raw.attention.keys() and not again[place].attention
    for more, depth in (((raw_folder,), None), ((dataset,), None), ((), 12)):
        with pytest.raises(
            ConfigurationError, match="a prepared data set is predicted alone, without bit_depth"
        ):
            gazekit.predict(trained, dataset, *more, bit_depth=depth)


def test_a_seed_may_be_an_integer_of_numpy_and_one_out_of_range_is_refused_at_once(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    """It was refused, as a damaged run, after the whole training."""
    few = [*OVERRIDES, "training.epochs=1"]
    for seed in (-1, 2**32):
        with pytest.raises(
            ConfigurationError, match=f"seed {seed}: expected a whole number from 0 to 4294967295"
        ):
            gazekit.train("mammonet_small", dataset, tmp_path / "run", overrides=few, seed=seed)
    assert not (tmp_path / "run").exists()
    (seed,) = np.arange(3, 4)
    trained = gazekit.train(
        "mammonet_small", dataset, tmp_path / "run", overrides=few, seed=seed, note=lambda _: None
    )
    assert trained.facts.seed == 3


def test_variables_of_the_environment_hold_in_python_too_and_overrides_above_them(
    dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAZEKIT_TRAINING__EPOCHS", "2")
    monkeypatch.setenv("GAZEKIT_TRAINING__WEIGHT_DECAY", "0.5")
    lines: list[str] = []
    run = gazekit.train("mammonet_small", dataset, tmp_path / "run", overrides=OVERRIDES, note=lines.append)
    assert (run.preset.training.epochs, run.preset.training.weight_decay) == (1, 0.5)
    assert [line for line in lines if line.startswith("epoch ")][-1].startswith("epoch 1/1  val AUC ")


def test_a_line_per_epoch_and_no_run_is_overwritten_unasked(
    registry: Registry, dataset: PreparedDataset, tmp_path: Path
) -> None:
    lines: list[str] = []
    preset = registry.preset("mammonet_small", overrides=OVERRIDES)
    gazekit.train(preset, str(dataset.root), tmp_path / "run", registry=registry, note=lines.append)
    warned, told = (
        [line for line in lines if line.startswith("warning: ") is is_warning] for is_warning in (True, False)
    )
    assert [line.split()[1] for line in told] == ["1/1"] and "val AUC" in told[0]
    assert any("exams validate" in line for line in warned)
    with pytest.raises(ConfigurationError, match="run"):
        gazekit.train(preset, dataset, tmp_path / "run", registry=registry)
    again = gazekit.train(
        preset, dataset, tmp_path / "run", registry=registry, overwrite=True, note=lines.append
    )
    assert again.facts.seed == 0 and len(lines) == 2 * len([*warned, *told])


def test_overrides_belong_to_a_preset_given_by_name(
    registry: Registry, dataset: PreparedDataset, tmp_path: Path
) -> None:
    preset = registry.preset("mammonet_small", overrides=OVERRIDES)
    with pytest.raises(ConfigurationError, match="given by name"):
        gazekit.train(preset, dataset, tmp_path / "run", overrides=["training.epochs=9"])


def test_messages_name_arguments_in_place_of_options() -> None:
    said = {
        "RUN: exists already; go on with --resume, start anew with --overwrite": (
            "RUN: exists already; go on with resume=True, start anew with overwrite=True"
        ),
        "take it all the same with --allow-leak, or --part val": (
            'take it all the same with allow_leak=True, or part="val"'
        ),
        "prepare them with --size 224, or --set gaze=none": (
            'prepare them with size=224, or overrides=["gaze=none"]'
        ),
        "saved from --set backbone.use=timm --set 'backbone.widths=[4, 6]'; set the same": (
            'saved from overrides=["backbone.use=timm"] overrides=["backbone.widths=[4, 6]"]; set the same'
        ),
        "choose another --out; train on with gazekit train --out RUN --resume": (
            "choose another out; train on with gazekit train --out RUN --resume"
        ),
        "--from RUN: its branches differ": "initial=RUN: its branches differ",
        "a 1–1 map": "a 1–1 map",
        "prepare with --set 'positive=a b' to": 'prepare with positive="a b" to',
        """choose with --set 'views=["front", "side"]'""": """choose with overrides=['views=["front", "side"]']""",
    }
    assert {message: in_python(message) for message in said} == said


def test_a_word_in_place_of_a_list_is_refused(dataset: PreparedDataset, tmp_path: Path) -> None:
    said = r"^overrides='training.epochs=2': expected a list; write overrides=\['training.epochs=2'\]$"
    with pytest.raises(ConfigurationError, match=said):
        gazekit.train("mammonet_small", dataset, tmp_path / "run", overrides="training.epochs=2")


def test_errors_and_warnings_speak_python(
    registry: Registry, dataset: PreparedDataset, tmp_path: Path
) -> None:
    preset = registry.preset("mammonet_small", overrides=OVERRIDES)
    lines: list[str] = []
    gazekit.train(preset, dataset, tmp_path / "run", note=lines.append)
    with pytest.raises(ConfigurationError, match="resume=True, or begin again with overwrite=True"):
        gazekit.train(preset, dataset, tmp_path / "run")
    assert any('overrides=["training.select=last"]' in line for line in lines)
    assert not any("--" in line for line in lines)


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("gpu", "device gpu: expected cpu, cuda or auto"),
        ("", "device : expected cpu, cuda or auto"),
        (
            "cuda:1",
            "device cuda:1: expected cpu, cuda or auto; CUDA_VISIBLE_DEVICES chooses among several GPUs",
        ),
        ("cuda", "device cuda: torch sees no CUDA device here; use device cpu"),
    ],
)
def test_a_device_that_there_is_not_is_refused_before_anything_else(
    device: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError) as error:
        gazekit.load(tmp_path, device=device)
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("function", "chosen", "said"),
    [
        (gazekit.load, {"weights": "best"}, "weights='best': expected 'selected' or 'last'"),
        (gazekit.evaluate, {"per": "exam"}, "per='exam': expected 'side' or 'patient'"),
        (gazekit.evaluate, {"per": "side", "pool": "median"}, "pool='median': expected 'max' or 'mean'"),
        (gazekit.evaluate, {"part": "tests"}, "part='tests': expected 'train' or 'val' or 'test' or 'all'"),
        (gazekit.report, {"threshold": "test"}, "threshold='test': expected 'val'"),
        (gazekit.export, {"form": "torch"}, "form='torch': expected 'onnx' or 'torch-export'"),
        (
            gazekit.calibrate,
            {"method": "sigmoid"},
            "method='sigmoid': expected 'temperature' or 'platt' or 'isotonic' or 'none'",
        ),
    ],
)
def test_a_word_that_is_none_to_choose_from_is_refused(
    trained: gazekit.Trained, function: Callable[..., object], chosen: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        function(trained.run.path, **chosen)
    assert str(error.value) == said


def test_a_word_is_refused_by_its_place_too(trained: gazekit.Trained) -> None:
    with pytest.raises(ConfigurationError, match=r"^part='tests': expected"):
        gazekit.evaluate(trained, None, "tests")  # type: ignore[arg-type]


def test_the_device_of_another_model_is_taken(trained: gazekit.Trained) -> None:
    assert gazekit.load(trained.run.path, device=trained.device).device == torch.device("cpu")  # type: ignore[arg-type]


def test_a_run_is_resumed_and_extended_from_python(
    registry: Registry, dataset: PreparedDataset, tmp_path: Path
) -> None:
    lines: list[str] = []
    for epochs, initial in ((1, None), (2, None), (2, tmp_path / "other")):
        preset = registry.preset("mammonet_small", overrides=[*OVERRIDES, f"training.epochs={epochs}"])
        trained = gazekit.train(
            preset, dataset, tmp_path / "run", resume=True, initial=initial, note=lines.append
        )
    assert [line["epoch"] for line in trained.run.read_metrics()] == [1, 2]
    assert any("goes on to epoch 2, begun with 1" in line for line in lines)
    assert [line for line in lines if "already has weights" in line] == [
        f"initial={tmp_path / 'other'}: {tmp_path / 'run'} already has weights and resumes with them"
    ]
    with pytest.raises(ConfigurationError, match="began with seed 0, not 1; resume without seed"):
        gazekit.train(preset, dataset, tmp_path / "run", resume=True, seed=1)
    split = dict.fromkeys(dataset.exam_ids, "train")
    with pytest.raises(ConfigurationError, match="another split than the one given; resume without split"):
        gazekit.train(preset, dataset, tmp_path / "run", resume=True, split=split)
    last = gazekit.evaluate(tmp_path / "run", part="val", weights="last")
    assert last["epoch"] == 2 and (tmp_path / "run/evaluation_val_last.json").exists()


@pytest.mark.usefixtures("undrawn")
def test_prepare_predict_report_and_export_do_what_their_commands_do(
    trained: gazekit.Trained, dataset: PreparedDataset, raw_folder: Path, tmp_path: Path
) -> None:
    made = gazekit.prepare("folder", raw_folder, tmp_path / "prepared", size=16, note=lambda _: None)
    command_line("data", "prepare", "folder", raw_folder, tmp_path / "theirs", "--size", 16)
    assert made.fingerprint == PreparedDataset.open(tmp_path / "theirs").fingerprint
    pair = [raw_folder / "e005_cc.png", raw_folder / "e005_mlo.png"]
    parts = (line.split(",") for line in trained.run.split_path.read_text().splitlines())
    validated = next(exam for exam, *_, part in parts if part == "val")
    (one,) = gazekit.predict(trained, *pair)
    with pytest.warns(UserWarning, match="this run is given twice, and counts once"):
        (two,) = gazekit.predict([trained, trained.run.path], *pair, tta=True)
    assert not isinstance(one, Refused) and not isinstance(two, Refused)
    assert np.allclose(one.probabilities, trained.predict_images(*pair)[0].probabilities)
    assert one.spread is None and two.spread is not None
    page = gazekit.report(trained, part="val", cases=2, exams=[validated])
    assert page == trained.run.path / "report.html" and page.read_text().startswith("<!")
    with pytest.raises(ConfigurationError, match=r"threshold=1\.5: expected a number between 0 and 1"):
        gazekit.report(trained, threshold=1.5)


def test_a_model_on_another_device_is_exported_all_the_same(dataset: PreparedDataset, tmp_path: Path) -> None:
    few = [*small_changes("single_cc"), "training.epochs=1"]
    trained = gazekit.train("single_cc", dataset, tmp_path / "run", overrides=few, device="cpu")
    elsewhere = torch.device("meta")
    moved = replace(trained, model=deepcopy(trained.model).to(elsewhere), device=elsewhere)
    path = gazekit.export(moved, tmp_path / "model.pt2", form="torch-export")
    assert path.stat().st_size > 0
    with pytest.raises(ConfigurationError, match="exists already; replace it with overwrite=True"):
        gazekit.export(moved, path, form="torch-export")


@pytest.mark.usefixtures("undrawn")
def test_a_study_and_a_tuning_from_python(dataset: PreparedDataset, tmp_path: Path) -> None:
    systems = [
        {"preset": "mammonet_small", "name": name, "set": [*OVERRIDES, change]}
        for name, change in (("gaze", "loss.gaze_weight=0.5"), ("none", "gaze=none"))
    ]
    lines: list[str] = []
    study = {"data": str(dataset.root), "folds": 2, "seeds": 1, "system": systems}
    result = gazekit.benchmark(study, tmp_path / "study", device="cpu", note=lines.append)
    assert [row.name for row in result.rows] == ["gaze", "none"]
    assert sorted(line for line in lines if line.endswith("done"))[0] == "gaze fold-1-seed-0: done"
    assert (tmp_path / "study/results.md").exists()
    tuning = gazekit.tune(
        *("mammonet_small", dataset.root, ["loss.gaze_weight=0.1,0.5"], tmp_path / "tuning"),
        folds=2,
        overrides=OVERRIDES,
        device="cpu",
        note=lines.append,
    )
    assert tuning.chosen[0].startswith("loss.gaze_weight=") and (tmp_path / "tuning/tune.json").exists()


def test_exams_come_in_batches_of_torch(dataset: PreparedDataset) -> None:
    exams = gazekit.ExamDataset(dataset, [2, 0])
    batch = next(iter(torch.utils.data.DataLoader(exams, batch_size=2)))
    assert batch["exam_id"] == [dataset.exam_ids[2], dataset.exam_ids[0]]
    assert batch["label"].tolist() == dataset.labels[[2, 0]].tolist()
    column = dataset.views.index("mlo")
    assert np.allclose(batch["images"]["mlo"][0, 0], dataset.images[2, column] / 255, atol=1e-7)
    assert np.allclose(batch["gaze"]["mlo"][1], dataset.heat_map(0, "mlo"), atol=1e-7)
    assert batch["has_gaze"]["mlo"].tolist() == dataset.has_gaze[[2, 0], column].tolist()
    assert len(gazekit.ExamDataset(dataset)) == len(dataset)


def test_what_is_shown_of_data_and_runs_is_short_and_names_no_patient(
    trained: gazekit.Trained, dataset: PreparedDataset
) -> None:
    shown = [repr(dataset), dataset._repr_html_(), repr(trained)]
    assert "preset='mammonet_small'" in repr(trained)
    assert repr(dataset).startswith(f"PreparedDataset(exams={len(dataset)}, patients=")
    assert all(len(text) < 400 for text in shown)
    assert not any(name in text for text in shown for name in (*dataset.patient_ids, *dataset.exam_ids))


def test_the_former_name_of_a_refused_exam_is_taken_with_a_warning() -> None:
    with pytest.warns(FutureWarning, match=r"Refusal is now gazekit\.records\.refused\.Refused"):
        from gazekit.prediction.predict import Refusal
    assert Refusal is Refused
