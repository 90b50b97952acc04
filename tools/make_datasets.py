"""Make minireg/data/datasets.npz: the data sets that ship, taken from scikit-learn.

    python tools/make_datasets.py

Needs scikit-learn, and Pillow for the photograph. Numbers are kept as they are, in the smallest type
that holds them; minireg/data/NOTICE.md says where they come from. tests/test_datasets.py compares
the file with what is made here.
"""

from pathlib import Path

import numpy as np
from sklearn import datasets

FILE = Path(__file__).parents[1] / "minireg" / "data" / "datasets.npz"
NAMES = ("breast_cancer", "diabetes", "digits", "iris", "wine")


def compact(a: np.ndarray) -> np.ndarray:
    """The same numbers, as bytes or as short integers where they are some."""
    return next((a.astype(t) for t in (np.uint8, np.int16) if (a.astype(t) == a).all()), a)


def made() -> dict[str, np.ndarray]:
    """The arrays by name: of each data set x, y and the features' names, and the photograph."""
    arrays = {}
    for name in NAMES:
        # the bundled diabetes comes scaled unless one asks
        options = {"scaled": False} if name == "diabetes" else {}
        bunch = getattr(datasets, f"load_{name}")(**options)
        arrays[f"{name}.x"], arrays[f"{name}.y"] = compact(bunch.data), compact(bunch.target)
        arrays[f"{name}.features"] = np.array(bunch.feature_names)
    # the pagoda, 384 × 384 pixels: means over the colours and over squares of 6 × 6
    square = datasets.load_sample_image("china.jpg")[20:404, 15:399]
    grey = square.reshape(64, 6, 64, 6, 3).mean((1, 3, 4))
    return arrays | {"photo": grey.round().astype(np.uint8)}


if __name__ == "__main__":
    np.savez_compressed(FILE, **made())
    print(f"{FILE}: {FILE.stat().st_size / 1000:.0f} kB")
