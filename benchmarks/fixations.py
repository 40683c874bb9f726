"""Compare programs by the fixation time they find in simulated gaze with known fixations, by rate and noise.

python benchmarks/fixations.py --seeds 5

If importable, these are compared too: pymovements (I-VT), I2MC and REMoDNaV, with their own defaults except for
threshold (30 degrees/s) and shortest fixation (100 ms) where available. The last two are not dependencies of
gazekit; install them with ``pip install --target FOLDER --no-deps I2MC remodnav`` and pass --also FOLDER.
"""

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from evidence import arguments, publish
from simulated_gaze import Floats, Simulated, score, simulate

from gazekit.errors import DataError
from gazekit.gaze.fixations import FixationSettings, fixations_of
from gazekit.records.recording import Recording

RATES = (30, 60, 90, 120, 150, 250, 300, 500, 1000)
NOISE = (0.05, 0.1, 0.2, 0.3, 0.4)
PIXELS, SCREEN = 40.0, (1600, 1200)
"""Pixels per degree, and width and height, for programs that need a screen; the eye stays within 14 degrees of its
centre."""
SHORTEST, FASTEST = 100.0, 30.0
"""ms and degrees per second."""


def gazekit_ivt(gaze: Simulated, _rate: float, **more: Any) -> Floats:
    x, y = gaze.x + 20, gaze.y + 15
    settings = FixationSettings(pixels_per_degree=1, **more)
    try:
        found = fixations_of(
            Recording(Path("simulated"), x, y, gaze.t_ms), image_height=30, settings=settings
        )
    except DataError:
        return np.empty((0, 2))
    return np.stack([found.onset_ms, found.onset_ms + found.duration_ms], axis=1)


def pymovements_ivt(gaze: Simulated, rate: float) -> Floats:
    """Compute velocities by the five-point method of Engbert & Kliegl, then apply I-VT."""
    events = import_module("pymovements.events")
    half = 1000 / rate
    velocity = np.stack([_five_point(axis, rate) for axis in (gaze.x, gaze.y)], axis=1)
    found = events.ivt(
        velocity.tolist(),
        timesteps=np.arange(len(gaze.t_ms)),
        minimum_duration=int(np.ceil(SHORTEST / half)) - 1,
        velocity_threshold=FASTEST,
    ).frame
    onset, offset = (found[name].to_numpy().astype(int) for name in ("onset", "offset"))
    return np.stack([gaze.t_ms[onset], gaze.t_ms[offset] + half], axis=1).reshape(-1, 2)


def _five_point(axis: Floats, rate: float) -> Floats:
    padded = np.pad(axis, 2, mode="edge")
    return (padded[4:] + padded[3:-1] - padded[1:-3] - padded[:-4]) * rate / 6


def i2mc(gaze: Simulated, rate: float) -> Floats:
    pandas, program = import_module("pandas"), import_module("I2MC")
    frame = pandas.DataFrame(
        {
            "time": gaze.t_ms,
            "average_X": gaze.x * PIXELS + SCREEN[0] / 2,
            "average_Y": gaze.y * PIXELS + SCREEN[1] / 2,
        }
    )
    # a distance and a width that make a degree in the middle of the screen PIXELS wide, in cm
    distance = 60.0
    width = 2 * distance * np.tan(np.radians(0.5)) / PIXELS * SCREEN[0]
    options = {
        "xres": SCREEN[0],
        "yres": SCREEN[1],
        "freq": float(rate),
        "missingx": -SCREEN[0],
        "missingy": -SCREEN[1],
        "scrSz": [width, width * SCREEN[1] / SCREEN[0]],
        "disttoscreen": distance,
        "minFixDur": SHORTEST,
    }
    if rate < 120:  # its authors' advice for low rates: fewer down-sampling steps and a matching filter
        options |= {"downsamples": [2, 3], "downsampFilter": False}
    elif rate < 250:
        options |= {"downsamples": [2, 3, 5], "chebyOrder": 7}
    found, *_ = program.I2MC(frame, options, logging=False)
    if found is False:
        return np.empty((0, 2))
    return np.stack([found["startT"], np.asarray(found["endT"]) + 1000 / rate], axis=1)


def remodnav(gaze: Simulated, rate: float) -> Floats:
    program = import_module("remodnav.clf")
    classify = program.EyegazeClassifier(
        px2deg=1.0, sampling_rate=float(rate), min_fixation_duration=SHORTEST / 1000
    )
    raw = np.rec.fromarrays([gaze.x.copy(), gaze.y.copy()], names=["x", "y"])
    events = classify(
        classify.preproc(raw, savgol_length=max(0.019, 5 / rate))
    )  # its filter needs five samples
    kinds = ("FIXA", "PURS")  # it labels slow drift as pursuit
    found = [(e["start_time"], e["end_time"]) for e in events if e["label"] in kinds]
    spans = 1000 * np.array(found, dtype=np.float64).reshape(-1, 2)
    return spans[spans[:, 1] - spans[:, 0] >= SHORTEST]


SLOW = {"I2MC": (1, 20.0)}
"""Seeds and seconds for a program that takes about a second of CPU per second of gaze."""
METHODS: dict[str, tuple[str, Callable[[Simulated, float], Floats]]] = {
    "gazekit": ("gazekit", gazekit_ivt),
    "gazekit, I-DT": ("gazekit", lambda gaze, rate: gazekit_ivt(gaze, rate, method="idt")),
    "gazekit, window 0 (plain I-VT, merged)": (
        "gazekit",
        lambda gaze, rate: gazekit_ivt(gaze, rate, velocity_window_ms=0),
    ),
    "gazekit, window 40": ("gazekit", lambda gaze, rate: gazekit_ivt(gaze, rate, velocity_window_ms=40)),
    "pymovements, I-VT": ("pymovements", pymovements_ivt),
    "I2MC": ("I2MC", i2mc),
    "REMoDNaV": ("remodnav", remodnav),
}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="simulated readers")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each")
    parser.add_argument("--also", type=Path, help="folder of packages to look in last")
    asked = parser.parse_args()
    if asked.also is not None:
        sys.path.append(str(asked.also))
    table = []
    for name, (module, method) in METHODS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import_module(module)
        except ImportError:
            print(f"{name}: not installed")
            continue
        seeds, seconds = SLOW.get(name, (asked.seeds, asked.seconds))
        for noise in NOISE:
            for rate in RATES:
                gaze = [simulate(seed, rate=rate, noise=noise, seconds=seconds) for seed in range(seeds)]
                table.append({"name": name, "noise": noise, "rate": rate, **cell(method, gaze, rate)})
        print_block(name, table)
    versions = {name: found for name in ("pymovements", "I2MC", "remodnav") if (found := _version(name))}
    publish("fixations", "cpu", table, asked.out, seeds=asked.seeds, seconds=asked.seconds, beside=versions)


def cell(
    method: Callable[[Simulated, float], Floats], gaze: Sequence[Simulated], rate: float
) -> dict[str, Any]:
    """Score a method over all recordings of a rate and noise, or return the error it raised."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            found = [method(each, rate) for each in gaze]
    except Exception as error:  # another program may raise anything
        return {"error": f"{type(error).__name__}: {str(error)[:80]}"}
    result = score(found, [each.fixations for each in gaze])
    true = sum(len(each.fixations) for each in gaze)
    return {"n": true, "time": result.time, "matched": result.matched, "number": result.number}


def print_block(name: str, table: list[dict[str, Any]]) -> None:
    print(f"\n{name}: fixation time found, % (one to one, %; number found per true one, %)")
    print("noise   " + "".join(f"{rate:>17}" for rate in RATES))
    for noise in NOISE:
        row = [each for each in table if each["name"] == name and each["noise"] == noise]
        cells = ("–" if "error" in each else _shown(each) for each in row)
        print(f"{noise:<8}" + "".join(f"{text:>17}" for text in cells), flush=True)


def _shown(row: dict[str, Any]) -> str:
    return f"{100 * row['time']:.0f} ({100 * row['matched']:.0f}; {100 * row['number']:.0f})"


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
