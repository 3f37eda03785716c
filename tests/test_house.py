"""The house: few modules at the door, no file too long to read, rooms that stand on each other."""

from __future__ import annotations

import ast
from pathlib import Path

import networkx as nx

import ctkd_cli

ROOT = Path(ctkd_cli.__file__).parent
LINES, MODULES = 350, 12


def imported(file: Path) -> set[str]:
    """All modules of ours that a file imports, wherever in it, below the package's own name."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ctkd_cli"):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("ctkd_cli")}
    return {name.removeprefix("ctkd_cli").lstrip(".") for name in found}


def test_few_modules_are_at_the_root() -> None:
    assert len(list(ROOT.glob("*.py"))) <= MODULES


def test_no_file_is_too_long() -> None:
    lengths = {
        str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in ROOT.rglob("*.py")
    }
    assert {name: n for name, n in lengths.items() if n > LINES} == {}


def test_rooms_stand_on_each_other() -> None:
    """No room leads back to itself, not even through imports inside functions or for types."""
    rooms = nx.DiGraph()
    for file in ROOT.rglob("*.py"):
        room = file.relative_to(ROOT).parts[0].removesuffix(".py")
        rooms.add_edges_from((room, name.partition(".")[0]) for name in imported(file) if name)
    rooms.remove_edges_from(list(nx.selfloop_edges(rooms)))
    assert len(rooms) > 10
    assert list(nx.simple_cycles(rooms)) == []
