"""Time augmenting the images of a batch in one warp, against per-sample transforms with Pillow.

python benchmarks/augment.py --size 224 --batch 8 --turns 50
"""

import numpy as np
import torch
from evidence import arguments, publish, rows, take_turns
from PIL import Image
from systems import ALL, make_step, noise, preset_of

from gazekit.feeding.augment import random_affine
from gazekit.feeding.batches import ResidentExams


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=50)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    preset, device = preset_of(ALL), torch.device(asked.device)
    shape = (asked.batch, len(preset.views), 1, asked.size, asked.size)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    indices = np.arange(asked.batch)
    exams = ResidentExams(pixels, preset, device, indices=indices)
    settings = preset.training.augmentation

    def per_sample() -> None:
        theta = random_affine(settings, indices, len(preset.views), seed=0, epoch=0)
        images = [[pillow(pixels[i, v], theta[i, v]) for v in range(shape[1])] for i in range(asked.batch)]
        values = torch.from_numpy(np.array(images)).float() / 255
        (values - preset.data.mean) / preset.data.std

    step, batch = (
        make_step(ALL, asked.device),
        noise(preset.views, asked.batch, asked.size, asked.device),
    )
    things = {
        "one warp of the batch": lambda: list(exams.augmented([indices], settings, seed=0, epoch=0)),
        "without augmentation": lambda: list(exams.batches([indices])),
        "Pillow, exam by exam": per_sample,
    }
    timed = take_turns(things, turns=asked.turns, device=asked.device)
    timed |= take_turns(
        {"the training step": lambda: step(batch)}, turns=max(3, asked.turns // 10), device=asked.device
    )
    name = f"augment_{asked.size}px_{asked.batch}" + ("" if asked.device == "cpu" else f"_{asked.device}")
    table = rows(timed, "one warp of the batch")
    publish(name, asked.device, table, asked.out, size=asked.size, batch=asked.batch)


def pillow(layers: np.ndarray, theta: np.ndarray) -> list[np.ndarray]:
    """Apply a map to the layers of an image in turn, in pixels as Pillow expects."""
    height, width = layers.shape[1:]
    to_unit = np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
    matrix = np.linalg.inv(to_unit) @ np.vstack([theta, [0, 0, 1]]) @ to_unit
    coefficients = tuple(matrix[:2].ravel())
    return [
        np.asarray(
            Image.fromarray(layer).transform(
                (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
            )
        )
        for layer in layers
    ]


if __name__ == "__main__":
    main()
