"""What people bring: many labels, few, skewed, rare. The student beside what they would pick.

    .venv/bin/python scripts/bench_natural.py                     # all cases, 3 seeds, two hours
    .venv/bin/python scripts/bench_natural.py intents_150 --seeds 1
    .venv/bin/python scripts/bench_natural.py table

Each case is a CSV as a user would have it, or a part of a public corpus (needs `ctkd fetch reuters
sentences newsgroups`), and `ctkd run` with nothing set but the files. The source is BBC articles;
for the Reuters cases 20 Newsgroups in four topics. Lines go to docs/bench_natural.jsonl; a second
call does what is missing. `rival`: the best arm that costs no more to use than the student.
"""

from __future__ import annotations

import csv
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from _measured import Line, asked, keep, lines, run

Rows = list[tuple[str, str]]  # text, label
Case = tuple[Rows, list[str], Rows]  # labelled, unlabelled, test

RESULTS = Path("docs/bench_natural.jsonl")
NEWS = ["source=newsgroups_coarse", "teacher.training.epochs=1"]
VERBS = "open close cancel change check report pay move block renew find send stop start merge"
THINGS = "card account loan transfer pin address invoice limit statement mortgage"
FORMS = [
    "please {v} my {o}", "I want to {v} the {o}", "how do I {v} a {o}", "{v} {o} now",
    "can you {v} my {o} {x}", "need to {v} this {o} {x}", "the {o}: {v} it {x}",
]  # fmt: skip
TAILS = [
    "today", "tomorrow", "as soon as possible", "before Friday", "in the app", "by phone",
    "for my wife", "for two people", "from abroad", "again",
]  # fmt: skip
ENDS = ["", " please", " thanks", " !", " ref {}"]


def intents(n_labels: int, labelled: int, unlabelled: int, test: int) -> Case:
    """So many messages of each intent, no two alike."""
    draw = random.Random(9)
    pairs = [(verb, thing) for verb in VERBS.split() for thing in THINGS.split()]
    seen: set[str] = set()

    def message(verb: str, thing: str) -> str:
        while True:
            end = draw.choice(ENDS).format(draw.randint(100, 9999))
            text = draw.choice(FORMS).format(v=verb, o=thing, x=draw.choice(TAILS)) + end
            if text not in seen:
                seen.add(text)
                return text

    def some(n: int) -> Rows:
        rows = [
            (message(verb, thing), f"{verb}_{thing}")
            for verb, thing in pairs[:: len(pairs) // n_labels][:n_labels]
            for _ in range(n)
        ]
        draw.shuffle(rows)
        return rows

    return some(labelled), [text for text, _ in some(unlabelled)], some(test)


def corpus(name: str) -> tuple[Rows, Rows]:
    """Train and test of a task that ships, as text and label."""
    from ctkd_cli.experiment import of_overrides
    from ctkd_cli.tasks import task

    settings = of_overrides([f"target={name}", "target.labels_per_class=null"]).target
    loaded = task.load(settings, 1)
    train, test = (
        [
            (text, loaded.labels[label])
            for text, label in zip(part.inputs["text"], part.labels.values, strict=True)
        ]
        for part in (loaded.train, loaded.test)
    )
    random.Random(9).shuffle(train)
    random.Random(9).shuffle(test)
    return train, test[:600]


def rare() -> Case:
    """One label is 8 of 300."""
    train, test = corpus("reuters_r8")
    common, few = (
        [row for row in train if (row[1] == "interest") is asked] for asked in (False, True)
    )
    named = [(text, label if label == "interest" else "other") for text, label in test]
    labelled = [(text, "other") for text, _ in common[:292]] + few[:8]
    random.Random(9).shuffle(labelled)
    return labelled, [text for text, _ in common[292:860] + few[8:40]], named


def as_they_come(n: int, name: str = "reuters_r8", unlabelled: int = 0) -> Callable[[], Case]:
    def case() -> Case:
        train, test = corpus(name)
        held = {label for _, label in train[:n]}
        kept = [row for row in test if row[1] in held]
        return train[:n], [text for text, _ in train[n : n + unlabelled]], kept

    return case


def rare_in_test() -> Case:
    """A rare label's only example is in test too."""
    train, test = corpus("reuters_r8")
    labelled = [row for row in train if row[1] != "grain"][:199]
    only = next(row for row in test if row[1] == "grain")
    return [*labelled, only], [text for text, _ in train[400:800]], test


def uneven(counts: Sequence[int]) -> Case:
    """Labels of very different sizes."""
    draw = random.Random(9)
    rows, _, _ = intents(len(counts), max(counts) + 12, 0, 0)
    drawn: Counter[str] = Counter()
    wanted = dict(zip(sorted({label for _, label in rows}), counts, strict=True))
    train, test = [], []
    for text, label in rows:
        drawn[label] += 1
        if drawn[label] <= wanted[label]:
            train.append((text, label))
        elif drawn[label] <= wanted[label] + 12:
            test.append((text, label))
    draw.shuffle(train)
    return train, [], test


def few_of_each(name: str, n: int, unlabelled: int) -> Callable[[], Case]:
    def case() -> Case:
        train, test = corpus(name)
        taken: Counter[str] = Counter()
        labelled, rest = [], []
        for text, label in train:
            taken[label] += 1
            (labelled if taken[label] <= n else rest).append((text, label))
        return labelled, [text for text, _ in rest[:unlabelled]], test

    return case


CASES: dict[str, tuple[Callable[[], Case], list[str]]] = {
    "intents_5": (lambda: intents(5, 8, 52, 40), []),
    "intents_150": (lambda: intents(150, 8, 0, 4), []),
    "rare_label": (rare, NEWS),
    "reuters_3000": (as_they_come(3000), NEWS),
    "rare_in_test": (rare_in_test, NEWS),
    "uneven": (lambda: uneven([2, 2, 3, 4, 6, 8, 12, 18, 27, 40, 60, 90]), []),
    "one_each": (few_of_each("reuters_r8", 1, 500), NEWS),
    "two_each": (few_of_each("bbc_headlines_5", 2, 400), []),
    "intents_50_unlabelled": (lambda: intents(50, 4, 20, 6), []),
    "reviews_64": (few_of_each("amazon_sentences", 21, 500), ["source=movie_sentences"]),
    "news_200": (as_they_come(200, unlabelled=600), NEWS),
    "forum_16": (few_of_each("newsgroups_rec", 16, 400), []),
    "intents_20_many": (lambda: intents(20, 30, 0, 15), []),
}


def main() -> None:
    options = asked(__doc__, CASES, seeds=3)
    if options.names == ["table"]:
        print_table()
        return
    done = {line["case"] for line in lines(RESULTS)}
    for name in options.names or CASES:
        if name in done and not options.names:
            continue
        keep(RESULTS, measure(name, options.seeds, options.set))


def measure(name: str, seeds: int, more: Sequence[str]) -> Line:
    make, settings = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        labelled, unlabelled, test = make()
        files = {"train": labelled, "test": test}
        for part, rows in files.items():
            write(Path(folder, f"{part}.csv"), ("text", "label"), rows)
        overrides = [f"target.{part}={folder}/{part}.csv" for part in files]
        if unlabelled:
            write(Path(folder, "more.csv"), ("text",), [(text,) for text in unlabelled])
            overrides.append(f"target.unlabelled={folder}/more.csv")
        found = run(["target=files", *overrides, *settings, f"seeds={seeds}", *more])
    return {
        "case": name, "n_seeds": seeds, "more": list(more), "labelled": len(labelled),
        "labels": len({label for _, label in labelled}), "unlabelled": len(unlabelled), **found,
    }  # fmt: skip


def write(file: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def print_table() -> None:
    found = lines(RESULTS)
    scores = [line.get("macro_f1", {}) for line in found]
    arms = list(dict.fromkeys(arm for each in scores for arm in each))
    print(f"| case | labels | labelled | unlabelled | {' | '.join(arms)} | seconds |")
    print("|---" * (len(arms) + 5) + "|")
    for line, each in zip(found, scores, strict=True):
        shown = [f"{each[arm]:.3f}" if arm in each else "" for arm in arms]
        print(
            f"| {line['case']} | {line['labels']} | {line['labelled']} | {line['unlabelled']} | "
            f"{' | '.join(shown)} | {line['seconds']} |"
        )


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
