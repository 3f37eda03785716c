"""Reports of a made-up run with hostile texts: right, harmless, self-contained."""

from __future__ import annotations

import base64
import json
import re
import shlex
import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.dom import minidom

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.metrics import f1_score

from ctkd_cli.errors import InputError
from ctkd_cli.evaluation.results import Results
from ctkd_cli.evaluation.verdict import reach
from ctkd_cli.reports import write_reports
from ctkd_cli.reports.terminal import next_command
from ctkd_cli.reports.text import MANY

LABELS = ["<b>good</b>", "schlecht & $x_1$", "ردىء"]
SOURCE = ["up", "down"]
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} {% raw %}",
    "\u202eright to left \u0645\u0631\u062d\u0628\u0627",
    "\x1b[31mred\x00nul\x07bell",
    "x" * 2000,
    "👩‍🚀 emoji",
    "=cmd|' /C calc'!A0",
]


def predictions(arm: str, seed: int, accuracy: float) -> pa.Table:
    generator = np.random.default_rng([seed, len(arm)])
    labels = SOURCE if arm == "teacher" else LABELS
    n, k = 60, len(labels)
    gold = np.arange(n) % k
    predicted = np.where(generator.random(n) < accuracy, gold, (gold + 1) % k)
    probabilities = np.full((n, k), 0.2 / (k - 1))
    probabilities[np.arange(n), predicted] = 0.8
    return pa.table(
        {
            "arm": [arm] * n,
            "seed": [seed] * n,
            "id": [f"id-{row}" for row in range(n)],
            "input": [HOSTILE[row % len(HOSTILE)] for row in range(n)],
            "gold": [labels[label] for label in gold],
            "predicted": [labels[label] for label in predicted],
            **{f"p({label})": probabilities[:, i] for i, label in enumerate(labels)},
        }
    )


@pytest.fixture(params=[[1], [1, 2, 3]], ids=["one seed", "three seeds"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    tables = [predictions("teacher", 0, 0.95)]
    for seed in request.param:
        tables += [predictions("alone", seed, 0.5), predictions("distilled", seed, 0.8)]
    merged = pa.concat_tables(tables, promote_options="default")
    pq.write_table(merged, tmp_path / "predictions.parquet")
    facts = {
        "event": "facts", "kind": "text", "reader": "files", "licence": "", "unlabelled": 40,
        "truncated": {"train": 3, "test": 0}, "notes": [HOSTILE[0]], "fingerprint": "f00d",
    }  # fmt: skip
    facts |= {"stage": "data", "time": "2026-01-01T00:00:00+00:00"}
    events: list[dict[str, Any]] = []
    for role, names in (("source", SOURCE), ("target", LABELS)):
        counts = {part: dict.fromkeys(names, 4) for part in ("train", "validation", "test")}
        events.append({"role": role, "labels": names, "counts": counts, **facts})
    events[0] |= {"name": "source", "arm": "teacher"}
    events.append(
        {"stage": "data", "event": "models", "teacher": {"parameters": 10**7},
         "student": {"parameters": 10**6}}
    )  # fmt: skip
    for step in (1, 5, 10):
        figures = {"loss": 2 / step, "ce": 1 / step, "learning_rate": 0.1}
        events.append(
            {"stage": "student", "event": "step", "arm": "alone", "step": step, **figures}
        )
        figures |= {"kd": 1 / step, "lambda": 1.0, "kd_share": 0.995}
        events.append(
            {"stage": "student", "event": "step", "arm": "distilled", "step": step, **figures}
        )
    events.append({"stage": "student", "event": "done", "arm": "alone", "seconds": 1.5})
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, events)))
    (tmp_path / "label_map.csv").write_text(
        f"source,{LABELS[0]},{LABELS[1]},{LABELS[2]},mapped\nup,0.5,0.25,0.25,true\ndown,0,0,0,false\n"
    )
    config = {
        "name": "<i>name</i>", "lambda": 0.5, "seed": 1, "loss": {"name": "mapped_kl"},
        "bridge": {"name": "leep"}, "schedule": {"name": "constant"}, "source": {"kind": "text"},
        "target": {"kind": "text"}, "teacher": {"seed": 0},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "overrides.yaml").write_text(yaml.safe_dump(["name=$(rm -rf x)"]))
    environment = {
        "ctkd": "0", "git_commit": None, "python": "3", "platform": "p", "packages": {"torch": "2"},
        "hardware": {"cpu": "c", "cores": 2, "memory_gib": 1, "gpus": [], "torch_threads": 2},
        "backbones": {"teacher": "t", "student": "s"},
    }  # fmt: skip
    (tmp_path / "environment.json").write_text(json.dumps(environment))
    (tmp_path / "status.json").write_text('{"status": "complete", "stages": {}}')
    (tmp_path / "student").mkdir()
    return tmp_path


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.seen = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.seen += data


def test_the_page_is_harmless_and_self_contained(directory: Path) -> None:
    write_reports(directory)
    text = (directory / "report.html").read_text()
    page = Page(text)
    names = [tag for tag, _ in page.tags]
    assert names.count("script") == 1  # ours
    assert "b" not in [tag for tag, attrs in page.tags if not attrs and tag == "i"]
    assert not [value for _, attrs in page.tags for key, value in attrs.items() if key[:2] == "on"]
    addresses = [attrs[key] for _, attrs in page.tags for key in ("src", "href") if key in attrs]
    assert addresses
    assert all(str(address).startswith("data:image/svg+xml;base64,") for address in addresses)
    assert "<script>alert(1)</script>" in page.seen  # readable, as text
    assert "{{ 7 * 7 }}" in page.seen
    assert "\x1b" not in text
    assert "\\x1b[31mred\\x00nul" in page.seen
    assert "👩‍🚀" in page.seen


def test_metrics_are_means_and_each_seed(directory: Path) -> None:
    metrics = write_reports(directory)
    assert json.loads((directory / "metrics.json").read_text()) == metrics
    results = Results.read(directory)
    each = []
    for seed in results.seeds("distilled"):
        rows = results.rows("distilled", seed)
        f1 = f1_score(rows["gold"].to_pylist(), rows["predicted"].to_pylist(), average="macro")
        assert metrics[f"distilled/seed={seed}/macro_f1"] == pytest.approx(f1)
        each.append(f1)
    assert metrics["distilled/macro_f1"] == pytest.approx(np.mean(each))
    assert metrics["gain/macro_f1"] == pytest.approx(
        metrics["distilled/macro_f1"] - metrics["alone/macro_f1"]
    )


@pytest.mark.parametrize("directory", [[1, 2]], indirect=True)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_temperature_that_one_seed_lacks_has_no_mean(directory: Path, seed: int) -> None:
    """Whether it is the first seed or another that validation justified none for."""
    event = {"stage": "evaluation", "event": "temperature", "seed": seed, "arm": "distilled"}
    with (directory / "events.jsonl").open("a") as stream:
        stream.write("\n" + json.dumps({**event, "value": 2.0}))
    metrics = write_reports(directory)
    assert metrics[f"distilled/seed={seed}/temperature"] == 2.0
    assert f"distilled/seed={seed}/nll_scaled" in metrics
    assert f"distilled/seed={3 - seed}/nll_scaled" not in metrics
    assert "distilled/nll_scaled" not in metrics
    assert "distilled/nll" in metrics


def test_the_text_report_has_every_arm_and_no_control_characters(directory: Path) -> None:
    write_reports(directory)
    text = (directory / "report.txt").read_text()
    assert all(c.isprintable() or c == "\n" for c in text)
    assert max(map(len, text.splitlines())) <= 110
    opening = text.removeprefix("ctkd: cross-task knowledge distillation\n\n").splitlines()[0]
    assert "istillation helped: macro-F1" in opening
    for title in ("distilled on target test", "alone on target test", "teacher on its own task"):
        assert title in text
    assert "12 to train + 12 to validate" in text
    assert "3 of train lost text" in text


def test_a_term_that_drowns_the_rest_is_told(directory: Path) -> None:
    write_reports(directory)
    assert "it drowns the rest" in (directory / "report.html").read_text()


def test_pictures_are_pngs(directory: Path) -> None:
    write_reports(directory)
    for name in ("confusion", "curves", "label_map", "reliability"):
        assert (directory / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_to_repeat_is_quoted_for_the_shell(directory: Path) -> None:
    write_reports(directory)
    assert "ctkd run 'name=$(rm -rf x)'" in Page((directory / "report.html").read_text()).seen


def test_the_model_card_is_markdown_with_front_matter(directory: Path) -> None:
    write_reports(directory)
    card = (directory / "student" / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["pipeline_tag"] == "text-classification"
    assert "| distilled |" in card


def test_arms_of_different_seeds_are_paired_by_id(directory: Path) -> None:
    """Rows may come in any order."""
    before = write_reports(directory)
    table = pq.read_table(directory / "predictions.parquet")
    order = np.random.default_rng(0).permutation(len(table))
    arms = np.array(table["arm"])[order]
    order = np.concatenate([order[arms == arm] for arm in ("teacher", "alone", "distilled")])
    pq.write_table(table.take(order), directory / "predictions.parquet")
    after = write_reports(directory)
    assert after["gain/macro_f1"] == pytest.approx(before["gain/macro_f1"])
    assert Results.read(directory).predicted_rows("alone").shape[1] == 60


def change_predictions(directory: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = directory / "predictions.parquet"
    pq.write_table(change(pq.read_table(path)), path)


def rename_labels(directory: Path, names: list[str]) -> None:
    """The same run with other names for the target's labels, more of them if need be."""
    new = dict(zip(LABELS, names, strict=False))

    def renamed(table: pa.Table) -> pa.Table:
        for column in ("gold", "predicted"):
            values = [new.get(value, value) for value in table[column].to_pylist()]
            table = table.set_column(table.column_names.index(column), column, pa.array(values))
        columns = [re.sub(r"^p\((.*)\)$", r"\1", name) for name in table.column_names]
        table = table.rename_columns(
            [
                f"p({new.get(c, c)})" if c in LABELS else n
                for c, n in zip(columns, table.column_names, strict=True)
            ]
        )
        for name in names[len(LABELS) :]:
            table = table.append_column(f"p({name})", pa.array([0.0] * len(table)))
        return table

    change_predictions(directory, renamed)
    events = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    for event in events:
        if event.get("role") == "target":
            event["labels"] = names
            counts = {part: dict.fromkeys(names, 4) for part in ("train", "validation", "test")}
            event["counts"] = counts
    (directory / "events.jsonl").write_text("\n".join(map(json.dumps, events)))
    share = ",".join([str(1 / len(names))] * len(names))
    (directory / "label_map.csv").write_text(
        f"source,{','.join(names)},mapped\nup,{share},true\ndown,{share},true\n"
    )


@pytest.mark.parametrize("directory", [[1]], indirect=True)
@pytest.mark.parametrize(
    "name", ["predictions.parquet", "events.jsonl", "label_map.csv", "config.yaml",
             "environment.json"],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_run_that_cannot_be_read_is_refused(directory: Path, name: str, damage: str) -> None:
    if damage == "missing":
        (directory / name).unlink()
    else:
        (directory / name).write_bytes(b"{half a\nline: [\n")
    with pytest.raises(InputError, match=re.escape(name)):
        write_reports(directory)


@pytest.mark.parametrize("directory", [[1]], indirect=True)
def test_a_last_event_cut_short_is_left_out(directory: Path) -> None:
    with (directory / "events.jsonl").open("a") as stream:
        stream.write('\n{"time": "2026')
    assert write_reports(directory)


@pytest.mark.parametrize("directory", [[1]], indirect=True)
@pytest.mark.parametrize("arms", [["teacher"], ["teacher", "distilled"]])
def test_a_run_without_a_control_is_refused(directory: Path, arms: list[str]) -> None:
    change_predictions(directory, lambda t: t.filter(pc.is_in(t["arm"], pa.array(arms))))
    with pytest.raises(InputError, match="nothing to compare"):
        write_reports(directory)


@pytest.mark.parametrize("directory", [[1, 2]], indirect=True)
def test_a_control_that_lacks_a_seed_is_refused(directory: Path) -> None:
    lacking = (pc.field("arm") == "alone") & (pc.field("seed") == 2)
    change_predictions(directory, lambda table: table.filter(~lacking))
    with pytest.raises(InputError, match="other seeds"):
        write_reports(directory)


@pytest.mark.parametrize("directory", [[1, 2]], indirect=True)
def test_seeds_are_paired_in_whatever_order_they_come(directory: Path) -> None:
    before = Results.read(directory).predicted_rows("alone")

    def other_arm_turned(table: pa.Table) -> pa.Table:
        alone = pc.field("arm") == "alone"
        turned = table.filter(alone).sort_by([("seed", "descending")])
        return pa.concat_tables([turned, table.filter(~alone)])

    change_predictions(directory, other_arm_turned)
    after = Results.read(directory)
    assert (after.seeds("alone"), after.seeds("distilled")) == ([2, 1], [1, 2])
    np.testing.assert_array_equal(after.predicted_rows("alone"), before)


@pytest.mark.parametrize("directory", [[1]], indirect=True)
def test_another_control_can_stand_for_alone(directory: Path) -> None:
    def renamed(table: pa.Table) -> pa.Table:
        arms = [{"alone": "stilts"}.get(arm, arm) for arm in table["arm"].to_pylist()]
        return table.set_column(0, "arm", pa.array(arms))

    change_predictions(directory, renamed)
    write_reports(directory)
    assert "Control: STILTs" in (directory / "report.html").read_text()


def test_a_label_nobody_has_changes_no_figure_of_the_sentence(directory: Path) -> None:
    rename_labels(directory, [*LABELS, "never seen"])
    metrics = write_reports(directory)
    gain = f"gain {metrics['distilled/macro_f1'] - metrics['alone/macro_f1']:+.3f}"
    assert gain in (directory / "report.html").read_text().replace("&#43;", "+")


def test_spreads_stay_where_the_scores_can_be(directory: Path) -> None:
    write_reports(directory)
    spreads = re.findall(r'spread">([-\d.]+) – ([-\d.]+)<', (directory / "report.html").read_text())
    assert all(float(low) >= 0 for low, _ in spreads)
    f1_and_accuracy = spreads[:2]
    assert all(float(high) <= 1 for _, high in f1_and_accuracy)


@pytest.mark.parametrize("directory", [[1]], indirect=True)
def test_many_long_labels_fit_the_text_report(directory: Path) -> None:
    rename_labels(directory, [f"a label whose name is long and much alike, {n}" for n in range(52)])
    write_reports(directory)
    lines = (directory / "report.txt").read_text().splitlines()
    assert max(map(len, lines)) <= 100
    distilled = lines[next(i for i, line in enumerate(lines) if line.startswith("-----")) :]
    rows = [line.strip().split("  ")[0] for line in distilled if "a label whose" in line][:MANY]
    assert len(set(rows)) == MANY
    assert sum("32 labels more" in line for line in lines) == 2, "both arms of the target, folded"


@pytest.mark.parametrize("directory", [[1]], indirect=True)
def test_letters_that_no_font_here_has_are_no_warning(directory: Path) -> None:
    rename_labels(directory, ["日本語", "a\ufffeb", "🎉"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_reports(directory)
    page = (directory / "report.html").read_text()
    pictures = re.findall(r"base64,([^\"]+)", page)
    assert len(pictures) == 4
    for picture in pictures:
        minidom.parseString(base64.b64decode(picture))  # a browser shows no broken XML


@pytest.mark.parametrize("directory", [[1]], indirect=True)
def test_without_gradient_shares_the_ledger_says_none(directory: Path) -> None:
    text = (directory / "events.jsonl").read_text().replace(', "kd_share": 0.995', "")
    (directory / "events.jsonl").write_text(text)
    write_reports(directory)
    page = Page((directory / "report.html").read_text()).seen
    assert "mapped_kl" in page
    assert not re.search(r"\bnan\b", page)


@pytest.mark.parametrize("directory", [[1]], indirect=True)
def test_the_next_command_can_be_pasted(directory: Path) -> None:
    (directory / "overrides.yaml").write_text(
        yaml.safe_dump(["target.text=my column", "name=$(rm -rf x)", "++seed=4"])
    )
    results = Results.read(directory)
    command = next_command(results, reach(results), "outputs/run")
    expected = ["ctkd", "run", "target.text=my column", "name=$(rm -rf x)", "++seed=4"]
    assert shlex.split(command) == [*expected, "seeds=5"]
