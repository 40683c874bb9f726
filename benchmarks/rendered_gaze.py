"""Time a training step whose heat maps are rendered from warped fixations against one that warps finished maps.

    python benchmarks/rendered_gaze.py --size 224 --batch 8 --fixations 40 --turns 20

A turn augments a batch and takes a step of Mammo-Net; both candidates see the same images.
"""

import numpy as np
import torch
from evidence import arguments, publish, rows, take_turns
from systems import ALL, make_step, preset_of

from gazekit.contracts.types import Batch
from gazekit.feeding.batches import ResidentExams, StoredLayer
from gazekit.feeding.exam_facts import labels_alone
from gazekit.feeding.stored_gaze import StoredGaze

STORED = "finished heat maps, warped"
RENDERED = "fixations, warped and rendered"


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--fixations", type=int, default=40, help="per image")
    parser.add_argument("--turns", type=int, default=20)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    sources = exams(asked.size, asked.batch, asked.fixations, torch.device(asked.device))
    steps = {name: make_step(ALL, asked.device) for name in sources}
    settings, every = preset_of(ALL).training.augmentation, [np.arange(asked.batch)]

    def batch(name: str, epoch: int) -> Batch:
        (made,) = sources[name].augmented(every, settings, seed=0, epoch=epoch)
        return made

    timed = take_turns(
        {name: lambda name=name: steps[name](batch(name, 1)) for name in sources},
        turns=asked.turns,
        device=asked.device,
    )
    name = f"rendered_gaze_{asked.size}px" + ("" if asked.device == "cpu" else f"_{asked.device}")
    facts = {"size": asked.size, "batch": asked.batch, "fixations": asked.fixations}
    publish(name, asked.device, rows(timed, STORED), asked.out, **facts)


def exams(size: int, number: int, fixations: int, device: torch.device) -> dict[str, ResidentExams]:
    """The same images of noise twice: with finished heat maps, and with fixations."""
    preset = preset_of(ALL)
    generator = np.random.default_rng(0)
    layers: tuple[StoredLayer, ...] = ("image", "heat_map")
    pixels = generator.integers(0, 256, (number, 2, 2, size, size), dtype=np.uint8)
    images = number * 2
    place = generator.uniform(0, size, (images * fixations, 2))
    onset = np.tile(np.arange(fixations) * 300.0, images)
    ones, none = np.ones(len(place)), np.zeros(len(place))
    columns = (*place.T, onset, 250 * ones, none, size / 16 * ones, size / 16 * ones, none)
    values = np.concatenate([np.stack(columns, axis=1), np.full((1, len(columns)), np.nan)])
    count = torch.full((number, 2), fixations, device=device)
    gaze = StoredGaze(
        torch.as_tensor(values, dtype=torch.float32, device=device),
        first=torch.arange(images, device=device).view(number, 2) * fixations,
        number=count,
        longest=fixations,
        slots=1,
        readers=("1",),
        of_exams=((0,),) * number,
        size=(size, size),
    )
    which, facts = np.arange(number), labels_alone(np.arange(number) % 2, device)
    return {
        STORED: ResidentExams(pixels, preset, device, indices=which, facts=facts, layers=layers),
        RENDERED: ResidentExams(pixels[:, :, :1], preset, device, indices=which, facts=facts, gaze=gaze),
    }


if __name__ == "__main__":
    main()
