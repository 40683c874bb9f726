"""gazekit built, and installed into a new virtual environment as a user would; nothing is downloaded."""

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class FreshEnvironment:
    """A virtual environment with the gazekit of this tree, and the packages of the one that runs the tests."""

    folder: Path

    def run(self, command: str, cwd: Path) -> str:
        """Run a command of bash in it; what it printed. The environment's programs come first, and pip has no index."""
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        variables |= {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.folder),
            "GAZEKIT_CACHE": str(self.folder / "cache"),
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say: build with what is installed
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "COLUMNS": "160",
            "NO_COLOR": "1",
        }
        finished = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=cwd,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, f"$ {command}\n{finished.stdout}"
        return finished.stdout


def build(out: Path) -> dict[str, Path]:
    """Build sdist and wheel (the wheel from the sdist, as for a release) without network."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return {"sdist": next(out.glob("*.tar.gz")), "wheel": next(out.glob("*.whl"))}


def make_environment(folder: Path, package: Path) -> FreshEnvironment:
    """A virtual environment with a built gazekit; its dependencies are those of the environment that runs this."""
    venv.create(folder, with_pip=True)
    environment = FreshEnvironment(folder)
    # an old setuptools that venv brings (Python 3.11) would hide the one that torch asks for
    environment.run("python -m pip uninstall --quiet --yes setuptools", folder)
    (site,) = folder.glob("lib/python*/site-packages")
    paths = sysconfig.get_paths()
    (site / "dependencies.pth").write_text("\n".join({paths["purelib"], paths["platlib"]}) + "\n")
    environment.run(f"python -m pip install --quiet --no-deps --ignore-installed {package}", folder)
    return environment
