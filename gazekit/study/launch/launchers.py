"""Table of launchers. To add one, write a file beside this one and add a line here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gazekit.errors import ConfigurationError
from gazekit.machine import choose_device

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Launcher:
    """A way to carry out the runs of a study.

    Args:
        module: its file in this folder, imported when it is asked for.
        function: called as ``function(tasks, jobs=…, logs=…, should_stop=…)``; see ``launch.launch``.
        elsewhere: whether runs have other devices than this machine.
    """

    module: str
    function: str
    elsewhere: bool = False


LAUNCHERS = {
    "local": Launcher("launch", "on_this_machine"),
    "slurm": Launcher("slurm", "on_slurm", elsewhere=True),
    "ray": Launcher("ray", "on_ray", elsewhere=True),
}


def launcher_of(name: str) -> Launcher:
    """Look up a launcher. Raises ConfigurationError: there is none of this name."""
    if name not in LAUNCHERS:
        raise ConfigurationError(f"launcher {name}: expected {' or '.join(LAUNCHERS)}")
    return LAUNCHERS[name]


def device_of_runs(name: str | None, launcher: str) -> "torch.device":
    """Choose the device for the runs of a study: where they run elsewhere, CUDA need not be here.

    Raises:
        ConfigurationError: unknown launcher, or unknown or missing device.
    """
    import torch

    if launcher_of(launcher).elsewhere and name == "cuda":
        return torch.device(name)
    return choose_device(name)
