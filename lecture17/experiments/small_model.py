"""The small Mamba-2 that 04e_published looks into: trained on Python's standard library, kept in 16 bits.

    python -m lecture17.experiments.small_model FOLDER [--steps 1500]

writes config.json and pytorch_model.bin as Hugging Face's transformers does. The folder that comes with the course is
`lecture17.checkpoints.SMALL`.
"""

import argparse
from pathlib import Path

from ..checkpoints import save_mamba2
from ..models import LanguageModel
from .data import standard_library
from .language import bits
from .networks import seeded
from .training import Schedule, train

SIZES = {"d_state": 32, "head_dim": 32, "n_groups": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    arguments = parser.parse_args()
    text = standard_library()
    model = seeded(lambda: LanguageModel(256, 64, "MMM", options={"M": SIZES}), seed=17)
    schedule = Schedule(arguments.steps, lengths=(64, 192), batch=8, lr=8e-3)
    train(model, text.train, schedule, seed=17)
    print(f"{bits(model, text.test.spread(100, 256)).mean():.2f} bits per byte in the test")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    save_mamba2(model.half(), arguments.folder)


if __name__ == "__main__":
    main()
