"""``torchrun -m gazekit train``: started again after the death of one process, it ends as if none had died."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import TINY
from interrupted import outcome

from gazekit.prepared.dataset import PreparedDataset

pytestmark = pytest.mark.slow
DYING = """
import os, signal
from gazekit.cli.main import main
from gazekit.cli.train.progress import TrainingProgress

told = TrainingProgress.report
def report(self, state, batches):
    if state.step == 4 and os.environ["RANK"] == "{rank}" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    told(self, state, batches)
TrainingProgress.report = report
main()
"""


def torchrun(*arguments: object, restarts: int) -> str:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", "--max-restarts", str(restarts), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_a_killed_process_is_started_again_and_the_run_ends_in_the_same_weights(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    options = [
        "train",
        "--preset",
        "mammonet_small",
        "--data",
        dataset.root,
        *TINY,
        "--epochs",
        3,
        "--resume",
        "--set",
        "training.checkpoint_every=1",  # whose time does not depend on that of the disk
    ]
    said = torchrun("-m", "gazekit", *options, "--out", tmp_path / "whole", restarts=0)
    assert said.count("next: gazekit evaluate") == 1  # process 0 alone speaks
    assert "in 2 processes" in said
    for rank in (0, 1):
        script, out = tmp_path / f"dying{rank}.py", tmp_path / f"died{rank}"
        script.write_text(DYING.format(rank=rank))
        torchrun(script, *options, "--out", out, restarts=1)
        assert outcome(out) == outcome(tmp_path / "whole")
        assert (out / "log.txt").read_text().count("at step") == 2
