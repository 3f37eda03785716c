"""Source and target pairs, near and far, with 8 labels per class: the student beside its rivals.

    .venv/bin/python scripts/bench_pairs.py                        # every pair, 5 seeds: hours
    .venv/bin/python scripts/bench_pairs.py far_forum far_wire --seeds 3
    .venv/bin/python scripts/bench_pairs.py --set training.learning_rate=3e-5
    .venv/bin/python scripts/bench_pairs.py table
    .venv/bin/python scripts/bench_pairs.py near      # does nearness of texts tell gains?

Needs `ctkd fetch newsgroups reuters sentences`, and ctkd[rivals] for SetFit. Lines go to
docs/bench_pairs.jsonl; a second call does what is missing, and what was trained comes from the
cache. Sources have 1,500 examples and targets 1,000 beside as many of test at most, texts 64
tokens: so that a pair takes minutes on two cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from _measured import Line, asked, keep, lines, run

RESULTS = Path("docs/bench_pairs.jsonl")
SIZE = [
    "source.limit=1500", "target.limit=1000", "source.max_length=64", "target.max_length=64",
    "target.labels_per_class=8",
]  # fmt: skip
PAIRS = {  # name -> source, target
    "near_headlines": ("bbc_articles", "bbc_headlines"),
    "near_headlines_5": ("bbc_articles", "bbc_headlines_5"),
    "near_headlines_other": ("bbc_articles_other", "bbc_headlines_5"),
    "near_reviews": ("movie_sentences", "amazon_sentences"),
    "near_editorials": ("movie_sentences", "nyt_sentences"),
    "near_tweets": ("movie_sentences", "tweets"),
    "near_forum": ("newsgroups_coarse", "newsgroups_rec"),
    "far_forum": ("bbc_articles", "newsgroups_rec"),
    "far_wire": ("bbc_articles", "reuters_r8"),
    "far_wire_forum": ("newsgroups_coarse", "reuters_r8"),
    "far_headlines_forum": ("newsgroups_coarse", "bbc_headlines_5"),
    "far_headlines_reviews": ("movie_sentences", "bbc_headlines_5"),
    "far_wire_52": ("bbc_articles", "reuters_r52"),
}
SAME_SIZE = ("tfidf", "cut_body", "setfit")  # rivals that cost no more to use than the student
COLUMNS = ("distilled", "alone", *SAME_SIZE, "untuned", "setfit_teacher")


def main() -> None:
    options = asked(__doc__, PAIRS, seeds=5)
    if options.names == ["table"]:
        print_table(lines(RESULTS), options.set)
        return
    if options.names == ["near"]:
        print_nearness(lines(RESULTS), options.set)
        return
    for name in options.names or PAIRS:
        source, target = PAIRS[name]
        wanted = {"pair": name, "n_seeds": options.seeds, "more": options.set}
        if any(wanted.items() <= line.items() for line in lines(RESULTS)):
            continue
        overrides = [f"source={source}", f"target={target}", *SIZE, f"seeds={options.seeds}"]
        found = run([*overrides, "controls=rivals", *options.set])
        keep(RESULTS, {**wanted, "source": source, "target": target, **found})


def print_table(found: Iterable[Line], more: list[str]) -> None:
    """The last line of each pair that was measured with these settings."""
    last = _last(found, more)
    print(
        f"| pair | seeds | {' | '.join(COLUMNS)} | over the best rival of its size | over alone |"
    )
    print("|---" * (len(COLUMNS) + 4) + "|")
    over: dict[str, list[float]] = {"rival": [], "alone": [], "setfit_teacher": []}
    for name, line in last.items():
        scores = line["macro_f1"]
        rival = max((arm for arm in SAME_SIZE if arm in scores), key=scores.__getitem__)
        gains = {each: _gain(line["seeds"], each) for each in (rival, "alone", "setfit_teacher")}
        for arm, gain in zip(over, gains.values(), strict=True):
            over[arm] += [float(gain.mean())] if len(gain) else []
        shown = [f"{scores[arm]:.3f}" if arm in scores else "" for arm in COLUMNS]
        told = [f"{gains[arm].mean():+.3f} ({_worst(gains[arm])})" for arm in (rival, "alone")]
        print(f"| {name} | {line['n_seeds']} | {' | '.join(shown)} | {' | '.join(told)} |")
    for arm, each in over.items():
        if each:
            good = sum(gain >= -0.01 for gain in each)
            print(f"over {arm}: mean {np.mean(each):+.3f}, at least -0.01 on {good} of {len(each)}")


def print_nearness(found: Iterable[Line], more: list[str]) -> None:
    """What `ctkd check` says of each pair's texts, beside what came of it."""
    from scipy.stats import spearmanr

    from ctkd_cli.experiment import of_overrides
    from ctkd_cli.preflight.nearness import nearness
    from ctkd_cli.tasks import task

    rows = []
    for name, line in _last(found, more).items():
        experiment = of_overrides([f"{role}={line[role]}" for role in ("source", "target")] + SIZE)
        source, target = (
            task.load(each, 1) for each in (*experiment.sources.values(), experiment.target)
        )
        (near,) = nearness({name: source}, target).values()
        leep = float(np.mean([gain for gain, _ in line["hints"]]))
        rows.append((near, leep, float(_gain(line["seeds"], "alone").mean()), name))
    print("| pair | similarity | LEEP gain | over alone |\n|---|---|---|---|")
    for near, leep, gain, name in sorted(rows, reverse=True):
        print(f"| {name} | {near:.2f} | {leep:+.3f} | {gain:+.3f} |")
    nears, leeps, gains, _ = zip(*rows, strict=True)
    for what, figures in (("similarity", nears), ("LEEP gain", leeps)):
        print(f"Spearman of {what} and gain: {spearmanr(figures, gains).statistic:.2f}")


def _last(found: Iterable[Line], more: list[str]) -> dict[str, Line]:
    """Of each pair that was measured with these settings."""
    return {line["pair"]: line for line in found if line["more"] == more and "seeds" in line}


def _gain(seeds: dict[str, list[float]], arm: str) -> np.ndarray:
    """Of distilled over an arm, by seed; none where the arm is not there."""
    if arm not in seeds:
        return np.array([])
    return np.array(seeds["distilled"]) - np.array(seeds[arm])


def _worst(gains: np.ndarray) -> str:
    """`-0.012 to +0.034`: the least and the most over seeds."""
    return f"{gains.min():+.3f} to {gains.max():+.3f}"


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
