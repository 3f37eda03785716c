"""A knowledge graph of labels, from a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ctkd_cli.distillation.bridges.names import fold_name
from ctkd_cli.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    import networkx as nx

ALIAS = "alias"  # the relation that makes two names one
COLUMNS = ("head", "relation", "tail", "weight")
SHOWN = 10  # problems of one file


@dataclass(frozen=True)
class LabelGraph:
    """Names, folded as bridge=names folds them, joined by weighted edges without direction."""

    graph: nx.Graph
    aliases: dict[str, str]
    path: str

    @classmethod
    def read(cls, path: str, where: str) -> LabelGraph:
        """A TSV file of head, relation, tail and weight (1 where it is missing; `#` starts a
        comment, a header line may name the columns), a JSON list of objects with those keys, or
        the name of a graph that comes with ctkd.

        Raises InputError with every line that cannot be read.
        """
        import networkx as nx

        problems: list[Problem] = []
        edges: list[tuple[str, str, str, float]] = []
        for place, fields in _rows(path, where):
            try:
                edges.append(_edge(fields))
            except ValueError as error:
                problems.append(
                    Problem(
                        f"an edge of the label graph {error}",
                        where=place,
                        got=repr(fields)[:80],
                        allowed="head, relation, tail and perhaps a weight above 0",
                    )
                )
        if problems:
            raise InputError(*problems[:SHOWN])
        joined = nx.Graph((head, tail) for head, relation, tail, _ in edges if relation == ALIAS)
        aliases = {name: min(names) for names in nx.connected_components(joined) for name in names}
        graph = nx.Graph()
        for head, relation, tail, weight in edges:
            first, second = aliases.get(head, head), aliases.get(tail, tail)
            graph.add_nodes_from((first, second))
            if relation != ALIAS and first != second:
                already = graph.get_edge_data(first, second, {"weight": 0.0})["weight"]
                graph.add_edge(first, second, weight=already + weight)
        return cls(graph, aliases, path)

    def node(self, label: str) -> str | None:
        """The node that a label stands for; None when the graph does not know it."""
        folded = fold_name(label)
        name = self.aliases.get(folded, folded)
        return name if name in self.graph else None

    def walk(
        self, source_labels: Sequence[str], target_labels: Sequence[str], restart: float
    ) -> np.ndarray:
        """[K_S, K_T]: the share of each target label in the mass that a walk from a source label
        leaves on target labels. A row is 0 when the walk reaches none."""
        import networkx as nx

        targets = [self.node(label) for label in target_labels]
        weights = np.zeros((len(source_labels), len(target_labels)))
        for row, label in enumerate(source_labels):
            start = self.node(label)
            if start is None:
                continue
            # Only what can be reached: power iteration leaves traces of its start elsewhere.
            reached = self.graph.subgraph(nx.node_connected_component(self.graph, start))
            rank = nx.pagerank(
                reached, alpha=1 - restart, personalization={start: 1.0}, max_iter=1000,
                tol=1e-12, weight="weight",
            )  # fmt: skip
            # Two target labels of one node share its mass.
            weights[row] = [
                rank[node] / targets.count(node) if node in rank else 0.0 for node in targets
            ]
        totals = weights.sum(axis=1, keepdims=True)
        return weights / np.where(totals > 0, totals, 1)

    def leads_nowhere(
        self, source_labels: Sequence[str], target_labels: Sequence[str]
    ) -> InputError:
        """That no source label reaches a target label, with the labels that the graph lacks."""
        lacking = [label for label in (*source_labels, *target_labels) if self.node(label) is None]
        names = {*self.graph, *self.aliases}
        near = [name for label in lacking if (name := nearest(fold_name(label), names))]
        return InputError(
            Problem(
                "the label graph leads from no source label to a target label",
                where=self.path,
                got=f"labels that are not in it: {', '.join(lacking) or 'none'}",
                nearest=", ".join(near),
                remedy="edges or aliases for them, or bridge=leep, which learns the map",
            )
        )


def packaged() -> list[str]:
    """Names of the graphs that come with ctkd."""
    folder = files("ctkd_cli.distillation.bridges") / "graphs"
    return sorted(file.name.removesuffix(".tsv") for file in folder.iterdir())


def _rows(path: str, where: str) -> Iterator[tuple[str, Sequence[Any]]]:
    """(place, fields) of each edge."""
    text = _text(path, where)
    if path.lower().endswith(".json"):
        try:
            listed = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(
                Problem("this label graph is no JSON", where=path, got=str(error))
            ) from None
        for number, item in enumerate(listed if isinstance(listed, list) else [listed], 1):
            fields = [item.get(c) for c in COLUMNS] if isinstance(item, dict) else [item]
            yield f"{path}, edge {number}", fields[:3] if fields[3:] == [None] else fields
        return
    lines = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    for number, cells in enumerate(lines, 1):
        is_header = tuple(cell.strip().lower() for cell in cells[:3]) == COLUMNS[:3]
        if cells and not cells[0].startswith("#") and not is_header:
            yield f"{path}, line {number}", cells[:3] if cells[3:] == [""] else cells


def _text(path: str, where: str) -> str:
    if path in packaged():
        return (files("ctkd_cli.distillation.bridges") / "graphs" / f"{path}.tsv").read_text(
            encoding="utf-8"
        )
    try:
        return Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        raise InputError(
            Problem(
                "this label graph cannot be read",
                where=where,
                got=f"{path}: {getattr(error, 'strerror', None) or error}",
                allowed=f"a TSV or JSON file in UTF-8, or one of {', '.join(packaged())}",
                nearest=nearest(path, packaged()),
            )
        ) from None


def _edge(fields: Sequence[Any]) -> tuple[str, str, str, float]:
    if not 3 <= len(fields) <= 4:
        raise ValueError(f"has {len(fields)} fields")
    if not all(isinstance(field, str) for field in fields[:3]):
        raise ValueError("has a name that is no text")
    head, relation, tail = fold_name(fields[0]), fields[1].strip().lower(), fold_name(fields[2])
    if not head or not tail:
        raise ValueError("lacks a name")
    try:
        weight = float(fields[3]) if len(fields) == 4 else 1.0
    except (TypeError, ValueError):
        raise ValueError("has a weight that is no number") from None
    if not 0 < weight < float("inf"):
        raise ValueError("has a weight that is not above 0")
    return head, relation, tail, weight
