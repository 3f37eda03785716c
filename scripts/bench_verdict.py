"""Does the verdict cry wolf? Claims of a gain in simulated experiments that have none.

    .venv/bin/python scripts/bench_verdict.py

Two arms with the same expected accuracy, 0.85 on two balanced labels; from seed to seed each arm's
accuracy moves by a standard deviation of `spread`. 200 experiments per line. `bootstrap` claims a
gain when the lower end of the paired hierarchical bootstrap is above 0; `verdict` is what reports
use: the more careful of bootstrap and Student's t at each end.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from ctkd_cli.evaluation.significance import bootstrap_gain, gain

EXPERIMENTS = 200
RESAMPLES = 400


def main() -> None:
    print("| seeds | test examples | spread | bootstrap | verdict |\n|---|---|---|---|---|")
    for n_seeds, n, spread in product((1, 2, 3, 5, 10), (60, 250, 2000), (0.0, 0.04)):
        claims = np.mean([simulate(n_seeds, n, spread, k) for k in range(EXPERIMENTS)], axis=0)
        rates = " | ".join(f"{100 * rate:.1f} %" for rate in claims)
        print(f"| {n_seeds} | {n:,} | {spread:g} | {rates} |", flush=True)


def simulate(n_seeds: int, n: int, spread: float, experiment: int) -> list[bool]:
    """One experiment without a true gain: whether [bootstrap, verdict] claim one."""
    generator = np.random.default_rng([n_seeds, n, int(1000 * spread), experiment])
    gold = generator.integers(0, 2, n)
    accuracy = np.clip(generator.normal(0.85, spread, (2, n_seeds)), 0.5, 0.99)
    first, second = (
        np.where(generator.random((n_seeds, n)) > each[:, None], 1 - gold, gold)
        for each in accuracy
    )
    found = [of(gold, first, second, 2, resamples=RESAMPLES) for of in (bootstrap_gain, gain)]
    return [interval.low > 0 for interval in found]


if __name__ == "__main__":
    main()
