"""Plugins that are broken, each in its way: unused they cost a warning, used an error that names who brought them."""

import subprocess
import sys
import time
import warnings
from pathlib import Path

import gazekit_components
import numpy as np
import pluggy
import pytest
from command_line import TINY, gazekit
from conftest import MakeDistribution

import gazekit as package
from gazekit.contracts import hookspecs
from gazekit.prepared.dataset import PreparedDataset
from gazekit.registry.component import Provenance
from gazekit.registry.discovery import add_plugin
from gazekit.registry.isolation import foreign_code
from gazekit.registry.registry import Registry

FUSION = """
import torch, gazekit
from gazekit.contracts.interfaces import ImageFusion, VectorFusion

class Bad(VectorFusion):
    '''The mean of a linear layer.'''
    def __init__(self, views, channels, *, width: int = 4):
        super().__init__()
        self.out_features = width
        self.linear = torch.nn.Linear(channels, width)

    def forward(self, vectors):
        return sum(map(self.linear, vectors.values()))

@gazekit.hookimpl
def gazekit_fusions():
    return {"bad": Bad}
"""
RESULT = "return sum(map(self.linear, vectors.values()))"
LOADED_BUT_WRONG = {
    "wrong shape": (
        FUSION.replace("self.out_features = width", "self.out_features = width + 1"),
        r"fusion 'bad' of bad 0.3 promises fused of shape [2, 5]; came: [2, 4]",
    ),
    "wrong dtype": (
        FUSION.replace(RESULT, RESULT + ".double()"),
        "in the dtype of its inputs, torch.float32",
    ),
    "NaN": (FUSION.replace(RESULT, RESULT + " / 0 * 0"), "promises finite fused; came: NaN or infinity"),
    "mutates its inputs": (
        FUSION.replace(RESULT, "return sum(self.linear(v.mul_(2)) for v in vectors.values())"),
        "fusion 'bad' of bad 0.3 promises to leave its inputs as they are",
    ),
    "sets torch's seed": (
        FUSION.replace("super().__init__()", "torch.manual_seed(7); super().__init__()"),
        "a component of bad 0.3 sets torch's seed to 7, which makes runs of different seeds alike",
    ),
    "no graph": (FUSION.replace(RESULT, RESULT + ".detach()"), "differentiable results"),
    "raises in training at step 5": (
        FUSION.replace("def forward", "steps = 0\n    def forward").replace(
            RESULT,
            "Bad.steps += self.training\n        if Bad.steps == 5: raise RuntimeError('out of luck')\n        "
            + RESULT,
        ),
        "plugin 'bad' of bad 0.3: bad_module.py:15: RuntimeError: out of luck",
    ),
    "raises when made": (
        FUSION.replace("super().__init__()", "super().__init__(); 1 / 0"),
        "plugin 'bad' of bad 0.3: bad_module.py:8: ZeroDivisionError",
    ),
    "needs gaze and does not say so": (
        FUSION.replace("(VectorFusion)", "(ImageFusion)")
        .replace("self.out_features = width", "self.views, self.in_channels = tuple(views), channels")
        .replace("forward(self, vectors)", "forward(self, images, gaze)")
        .replace(RESULT, "return {view: image + gaze[view][:, None] for view, image in images.items()}"),
        "plugin 'bad' of bad 0.3: bad_module.py:13: TypeError: 'NoneType' object is not subscriptable",
    ),
}
REFUSED = {
    "ImportError": ("from torch import nothing_of_this_name", "ImportError: cannot import name"),
    "SyntaxError": ("def broken(:", "SyntaxError"),
    "SystemExit": ("raise SystemExit(3)", "SystemExit: 3"),
    "an end without a word": (
        "import os\nos._exit(0)",
        "RuntimeError: calls os._exit(0), which would end gazekit",
    ),
    "the same by its name": ("from os import _exit\n_exit(0)", "RuntimeError: calls os._exit(0)"),
    "another default dtype": (
        FUSION.replace("return {", "torch.set_default_dtype(torch.float64)\n    return {"),
        "RuntimeError: changes torch's default dtype, which all other code shares",
    ),
    "another default device": (
        FUSION.replace("return {", "torch.set_default_device('meta')\n    return {"),
        "RuntimeError: changes torch's default device, which all other code shares",
    ),
    "a default device that is not there": (
        FUSION.replace("return {", "torch.set_default_device('xpu')\n    return {"),
        "RuntimeError: changes torch's default device, which all other code shares",
    ),
    "an exception whose message fails": (
        "class Odd(Exception):\n    def __str__(self):\n        return self.lost\nraise Odd",
        "Odd: its message cannot be read (AttributeError)",
    ),
    "no gradients": (
        FUSION.replace("return {", "torch.set_grad_enabled(False)\n    return {"),
        "RuntimeError: changes torch's gradient mode, which all other code shares",
    ),
    "another folder": (
        FUSION.replace("return {", "import os; os.chdir('/')\n    return {"),
        "RuntimeError: changes the working directory, which all other code shares",
    ),
    "exception of its own": ("class Odd(BaseException): pass\nraise Odd('no')", "Odd: no"),
    "needs a missing package": (
        "import a_package_that_is_missing",
        "No module named 'a_package_that_is_missing'",
    ),
    "wrong hook signature": (
        FUSION.replace("gazekit_fusions()", "gazekit_fusions(registry)"),
        "gazekit_fusions(registry)",
    ),
    "misspelt hook": (FUSION.replace("gazekit_fusions", "gazekit_fusion"), "did you mean 'gazekit_fusions'?"),
    "no hook": (
        FUSION.replace("@gazekit.hookimpl\ndef gazekit_fusions", "def fusions"),
        "no hook in 'bad_module'",
    ),
    "not a Module": (
        FUSION.replace("(VectorFusion)", "").replace("super().__init__()", "pass"),
        "does not derive from",
    ),
    "no forward": (FUSION.replace("def forward", "def forwards"), "Bad does not define forward"),
    "options without defaults": (
        FUSION.replace("width: int = 4", "width: int"),
        "needs a type and a default",
    ),
    "positional options": (
        FUSION.replace("*, width", "width"),
        "takes the positional (views, channels, width)",
    ),
    "wrong forward": (
        FUSION.replace("forward(self, vectors)", "forward(self, vectors, mask)"),
        "Bad.forward(self, vectors, mask) is called with (vectors): missing a required argument: 'mask'",
    ),
    "option that a preset needs": (
        FUSION.replace("width: int = 4", "width: int = 4, use: str = ''"),
        "option 'use' of Bad: in a preset 'use' names the component",
    ),
    "default of another type": (
        FUSION.replace("width: int = 4", "width: int = 'four'"),
        "option 'width' of Bad: its default does not fit its type: expected a whole number (got 'four')",
    ),
    "hook returns a list": (FUSION.replace('{"bad": Bad}', "[Bad]"), "expected a mapping of names, got ["),
    "name with spaces": (FUSION.replace('"bad"', '"too bad"'), "'too bad' cannot be a name"),
    "name that is no text": (FUSION.replace('"bad"', "1"), "fusion '1': 1 cannot be a name; expected a text"),
    "name of bytes": (FUSION.replace('"bad"', "b'bad'"), "b'bad' cannot be a name; expected a text"),
    "newer hooks": (
        FUSION + "\nGAZEKIT_HOOKS = 99\n",
        f"it needs version 99 of the hooks; gazekit {package.__version__} has version 1; upgrade gazekit",
    ),
    "older hooks": (FUSION + "\nGAZEKIT_HOOKS = 0\n", "it needs version 0 of the hooks"),
}


@pytest.mark.parametrize(("code", "cause"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_loaded_is_a_warning_unused_and_an_error_used(
    distribution: MakeDistribution, code: str, cause: str
) -> None:
    distribution("bad", "0.3", code)
    unused = gazekit("plugins", "list", "--kind", "fusion")
    (warning,) = unused.stderr.splitlines()
    assert warning.startswith("warning: plugin 'bad' of bad 0.3: ") and cause in warning
    assert "bad 0.3" in unused.stdout and "failed: " in unused.stdout and "concat" in unused.stdout
    used = gazekit("presets", "show", "mammonet", "--set", "fusion.vectors.use=bad", code=1)
    (error,) = used.stderr.splitlines()
    assert error.startswith("error: no fusion of vectors 'bad'") and "of bad 0.3" in error and cause in error


@pytest.mark.parametrize(("code", "cause"), LOADED_BUT_WRONG.values(), ids=LOADED_BUT_WRONG)
def test_what_fails_in_use_is_named(
    distribution: MakeDistribution, dataset: PreparedDataset, tmp_path: Path, code: str, cause: str
) -> None:
    distribution("bad", "0.3", code)
    assert gazekit("plugins", "list", "--kind", "fusion").stderr == ""
    slot = "images" if "ImageFusion)" in code else "vectors"
    arguments = ["--data", dataset.root, "--out", tmp_path / "run", "--epochs", 3, *TINY]
    used = gazekit(
        "train", "--preset", "mammonet_small", *arguments, "--set", f"fusion.{slot}.use=bad", code=1
    )
    error = next(line for line in used.stderr.splitlines() if line.startswith("error: "))
    assert cause in error and "bad 0.3" in error and "Traceback" not in used.stderr


TERM = """
import torch, gazekit
from gazekit.contracts.interfaces import Term

class Bad(Term):
    '''Scales the heat maps that all terms read.'''
    needs = frozenset({"gaze"})
    def __init__(self, views, channels):
        super().__init__()

    def forward(self, output, batch):
        heat = batch.gaze[next(iter(output.features))]
        heat /= 2
        return torch.where(heat.amax(dim=(1, 2)) > 0, output.logits[:, 0].square(), torch.nan)

@gazekit.hookimpl
def gazekit_terms():
    return {"bad": Bad}
"""


def test_a_term_that_changes_what_others_read_is_named(
    distribution: MakeDistribution, dataset: PreparedDataset, tmp_path: Path
) -> None:
    distribution("bad", "0.3", TERM)
    arguments = ["--data", dataset.root, "--out", tmp_path / "run", *TINY, "--set", "terms.bad.use=bad"]
    used = gazekit("train", "--preset", "mammonet_small", *arguments, code=1)
    assert "term 'bad' of bad 0.3 promises to leave output and batch as they are" in used.stderr


def test_a_hang_at_import_and_in_a_hook_is_cut_off(distribution: MakeDistribution) -> None:
    hang = "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except Exception:\n        pass\n"
    distribution("hangs", "0.1", hang)
    distribution("lingers", "0.2", FUSION.replace('return {"bad": Bad}', hang.replace("\n", "\n    ")))
    said = gazekit("plugins", "list", "--kind", "fusion", GAZEKIT_PLUGIN_TIMEOUT="0.4")
    assert "warning: plugin 'hangs' of hangs 0.1: entry point 'hangs_module': TookTooLong" in said.stderr
    assert "warning: plugin 'lingers' of lingers 0.2: hook gazekit_fusions: TookTooLong" in said.stderr
    assert "concat" in said.stdout
    used = gazekit(
        *("presets", "show", "mammonet", "--set", "fusion.vectors.use=hangs"),
        code=1,
        GAZEKIT_PLUGIN_TIMEOUT="0.4",
    )
    assert "error: " in used.stderr and "of hangs 0.1" in used.stderr and "TookTooLong" in used.stderr
    quick = gazekit("plugins", "list", GAZEKIT_DISABLE="hangs,lingers", GAZEKIT_PLUGIN_TIMEOUT="1e9")
    assert quick.stderr == "" and "disabled" in quick.stdout


def test_a_slow_machine_costs_none_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow() -> object:
        time.sleep(0.3)
        return gazekit_components

    monkeypatch.setenv("GAZEKIT_PLUGIN_TIMEOUT", "0.1")
    for distribution, failures in (("gazekit-multiview", 0), ("of_a_stranger", 1)):
        registry = Registry(package.load_registry(disable=["*", "gazekit-multiview"]).manager)
        add_plugin(registry, Provenance("slow", distribution, "1.0"), slow, where="a test")
        assert len(registry.failures) == failures, registry.failures


def test_how_numpy_handles_errors_is_restored_without_a_word() -> None:
    before = np.geterr()
    with foreign_code(Provenance("careless", "of_a_stranger", "1.0")):
        np.seterr(all="raise")
    assert np.geterr() == before


def test_native_code_that_hangs_ends_the_process(tmp_path: Path) -> None:
    code = (
        "import ctypes\nfrom gazekit.registry.time_limit import time_limit\n"
        "lock = (ctypes.c_char * 64)()\nc = ctypes.PyDLL(None)\n"  # PyDLL: Python cannot run meanwhile
        "with time_limit(0.5):\n    c.pthread_mutex_lock(lock)\n    c.pthread_mutex_lock(lock)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1 and "Timeout" in ended.stderr and "line 7" in ended.stderr


def test_two_versions_installed(distribution: MakeDistribution, tmp_path: Path) -> None:
    distribution("bad", "0.3", FUSION)
    distribution("bad", "0.4", FUSION)
    said = gazekit("plugins", "list", "--kind", "fusion")
    assert "several versions are installed: 0." in said.stderr and f"0.4 in {tmp_path}" in said.stderr
    used = gazekit("presets", "show", "mammonet", "--set", "fusion.vectors.use=bad", code=1)
    assert "distribution 'bad': several versions are installed" in used.stderr


def test_a_name_offered_twice(distribution: MakeDistribution) -> None:
    distribution("bad", "0.3", FUSION)
    distribution("worse", "0.4", FUSION)
    unused = gazekit("plugins", "list", "--kind", "fusion")
    assert unused.stdout.count("offered twice") == 2
    assert unused.stderr.startswith("warning: fusion 'bad' is offered by bad 0.3 and worse 0.4; neither wins")
    used = gazekit("presets", "show", "mammonet", "--set", "fusion.vectors.use=bad", code=1)
    assert "is offered by bad 0.3 and worse 0.4; neither wins" in used.stderr
    good = gazekit(
        "presets", "show", "mammonet", "--set", "fusion.vectors.use=bad", GAZEKIT_DISABLE="Worse, nothing"
    )
    assert good.stderr == ""


def test_a_name_of_ours_offered_again(distribution: MakeDistribution) -> None:
    distribution("bad", "0.3", FUSION.replace('"bad"', '"concat"'))
    shown = ["presets", "show", "late_concat"]
    said = gazekit(*shown, code=1).stderr
    assert f"fusion 'concat' is offered by bad 0.3 and gazekit-multiview {package.__version__}" in said
    assert said.count("neither wins") == 1 and "GAZEKIT_DISABLE=bad" in said
    gazekit(*shown, GAZEKIT_DISABLE="bad")


def test_what_is_left_out_is_said_where_it_is_missed(distribution: MakeDistribution) -> None:
    distribution("bad", "0.3", FUSION)
    used = ["presets", "show", "mammonet", "--set", "fusion.vectors.use=bad"]
    for said in (gazekit(*used, GAZEKIT_DISABLE="bad", code=2), gazekit("--no-plugins", *used, code=2)):
        assert "no fusion of vectors 'bad'" in said.stderr
        assert "Left out by --no-plugins or GAZEKIT_DISABLE: bad 0.3." in said.stderr


def test_documentation_is_of_a_package_that_is_there(distribution: MakeDistribution) -> None:
    distribution("not-bad", "0.3", FUSION)
    assert "### bad" in gazekit("plugins", "docs", "--package", "not_bad", "--kind", "fusion").stdout
    said = gazekit("plugins", "docs", "--package", "nope", code=2).stderr
    assert "no package 'nope' with plugins; there are: gazekit-multiview, not-bad" in said


def test_no_plugins_leaves_ours(distribution: MakeDistribution) -> None:
    distribution("bad", "0.3", "raise SystemExit(3)")
    for arguments in (["--no-plugins", "plugins", "list"], ["plugins", "list", "--no-plugins"]):
        said = gazekit(*arguments)
        assert said.stderr == "" and "concat" in said.stdout and "disabled" in said.stdout
    assert "No such option" not in gazekit("--no-plugins", "data", "--help").stderr


def test_a_typo_beside_a_broken_plugin_stays_a_typo(distribution: MakeDistribution) -> None:
    distribution("bad", "0.3", "raise SystemExit(3)")
    said = gazekit("presets", "show", "mammonet", "--set", "fusion.vectors.use=conact", code=2)
    assert "Did you mean 'concat'?" in said.stderr


SOURCE = """
import time, gazekit

class Mine:
    '''A data source whose rule fails.'''
    def exams(self, root):
        return []

    @staticmethod
    def identify(header, path):
        FAULT

@gazekit.hookimpl
def gazekit_datasets():
    return {"mine": Mine}
"""
FAILING_RULES = {
    "raises": ("raise IndexError(f'no patient in {path}')", "IndexError at mine_module.py:11"),
    "answers with a text": ("return 'L'", "returned str, expected ImageIdentity or None"),
    "hangs": ("time.sleep(60)", "TookTooLong at mine_module.py:11"),
}


@pytest.mark.parametrize(("fault", "cause"), FAILING_RULES.values(), ids=FAILING_RULES)
def test_a_rule_that_fails_costs_a_warning_and_no_prediction(
    distribution: MakeDistribution, tiny_run: Path, raw_folder: Path, fault: str, cause: str
) -> None:
    files = [raw_folder / f"e{exam}_{view}.png" for exam in ("000", "001") for view in ("cc", "mlo")]
    sound = gazekit("predict", tiny_run, *files, "--format", "csv")
    distribution("mine", "1.0", SOURCE.replace("FAULT", fault))
    said = gazekit("predict", tiny_run, *files, "--format", "csv", GAZEKIT_PLUGIN_TIMEOUT="0.5")
    assert said.stdout == sound.stdout
    (warning,) = set(said.stderr.splitlines()) - set(sound.stderr.splitlines())
    assert f"plugin 'mine' of mine 1.0: identify of dataset 'mine': {cause}" in warning
    assert said.stderr.count("mine 1.0") == 1 and "e000" not in warning


def test_an_annotation_that_cannot_be_read_hides_no_other_component(distribution: MakeDistribution) -> None:
    good = FUSION.replace('{"bad": Bad}', '{"odd": Odd, "bad": Bad}')
    odd = "class Odd(Bad):\n    def __init__(self, views, channels, *, mode: 'torch.Tensr | None' = None): pass\n"
    distribution("bad", "0.3", good.replace("@gazekit.hookimpl", f"{odd}@gazekit.hookimpl"))
    shown = gazekit("presets", "show", "late_concat", "--set", "fusion.vectors.use=bad")
    (warning,) = shown.stderr.splitlines()
    assert "plugin 'bad' of bad 0.3: fusion 'odd': AttributeError: " in warning and "Tensr" in warning


GENERATOR = """
import gazekit

class Odd:
    '''A data set that makes itself.'''
    def __init__(self, *, OPTION): pass
    def exams(self, root):
        return []
    def generate(self, root, *, exams, seed, progress):
        print("generated")

class Sound(Odd):
    '''Another.'''
    def __init__(self): pass

@gazekit.hookimpl
def gazekit_datasets():
    return {"NAME": Odd, "sound": Sound}
"""
ODD_GENERATORS = {
    "an option of two types": ("odd", "mode: int | str = 'a'", "Union"),
    "an option that every generator has": ("odd", "seed: int = 1", "duplicate parameter name: 'seed'"),
    "the name of a command": ("split", "mode: str = ''", "gazekit data split is a command of gazekit"),
}


@pytest.mark.parametrize(("name", "option", "cause"), ODD_GENERATORS.values(), ids=ODD_GENERATORS)
def test_a_data_set_that_makes_itself_in_an_odd_way_hides_no_command(
    distribution: MakeDistribution, tmp_path: Path, name: str, option: str, cause: str
) -> None:
    own = gazekit("data", "split", "--help").stdout
    distribution("odd", "0.3", GENERATOR.replace("NAME", name).replace("OPTION", option))
    said = gazekit("data", "split", "--help")
    assert said.stdout == own
    (warning,) = said.stderr.splitlines()
    assert f"plugin 'odd' of odd 0.3: command gazekit data {name}: " in warning and cause in warning
    assert "generated" in gazekit("data", "sound", tmp_path).stdout


def test_what_a_plugin_prints_does_not_reach_the_results(distribution: MakeDistribution) -> None:
    distribution("bad", "0.3", "print('hello from the import')\n" + FUSION)
    said = gazekit("plugins", "list", "--json")
    assert said.stdout.startswith("{") and "hello from the import" in said.stderr


def test_a_hook_that_will_go_warns_and_works(
    distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gazekit_fusions() -> None:
        """Deprecated."""

    marker = pluggy.HookspecMarker("gazekit")
    deprecated = marker(warn_on_impl=FutureWarning("gazekit_fusions goes in version 2 of the hooks"))
    monkeypatch.setattr(hookspecs, "gazekit_fusions", deprecated(gazekit_fusions))
    distribution("bad", "0.3", FUSION)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        registry = package.load_registry()
    said = [str(each.message) for each in caught]
    assert "plugin 'bad' of bad 0.3: gazekit_fusions goes in version 2 of the hooks" in said
    assert registry.component("fusion", "bad").provenance.version == "0.3"


def test_metadata_that_cannot_be_read_hide_nothing(distribution: MakeDistribution, tmp_path: Path) -> None:
    distribution("bad", "0.3", FUSION)
    broken = tmp_path / "half_removed-1.0.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_bytes(b"[gazekit]\nhalf = half\n\xff\xfe")
    assert package.load_registry().component("fusion", "bad").provenance.version == "0.3"
