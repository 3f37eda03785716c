"""Texts in settings: what is a name of a label, a column or a file is text however it is written.

Hydra's grammar and YAML read `007`, `1e5`, `yes` and `null` as numbers, booleans and nothing, and
Hydra's knows few characters outside quotes and no quotes in the keys of a mapping. For the keys in
TEXTS the scalars are quoted before Hydra sees them, keys of mappings are spelt in hexadecimal
(`spelt`) where Hydra has no way to write them, and YAML's scalars are taken as they stand.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf._utils import get_yaml_loader

# Every key of a part's settings that holds text; a test compares them with the classes' fields.
TEXTS = frozenset({
    "backbone", "delimiter", "encoding", "folder", "group", "head_labels", "image", "kind", "label",
    "labels", "map", "model", "name", "path", "reader", "revision", "subset", "tag_column", "test",
    "test_split", "text", "text_pair", "train", "train_split", "unlabelled", "validation",
    "validation_split", "word_column", "words",
})  # fmt: skip
MAPPINGS = ("labels", "map")  # those that may hold a mapping
NUMBERS_WITHIN = ("map",)  # in whose inner mappings the values are numbers
PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_/.-]*")
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
WORDS = {"true", "false", "null", "nan", "inf"}  # of Hydra's that are no text
SPELT = re.compile(r"ctkd_key_((?:[0-9a-f]{2})*)_")
CALL = re.compile(r"([a-z_]+)\s*\(")
OF_TEXTS = ("choice", "shuffle", "sort", "tag")  # functions of Hydra's whose arguments are texts
YAML_NULL, YAML_TEXT = "tag:yaml.org,2002:null", "tag:yaml.org,2002:str"


def quoted(text: str) -> str:
    """A text as Hydra's grammar has it between quotes; backslashes count only before a quote."""
    escaped = re.sub(r"(\\*)'", lambda found: found[1] * 2 + r"\'", text)
    ending = re.search(r"\\*$", escaped)
    assert ending is not None
    return f"'{escaped}{ending[0]}'"


def literal(value: Any) -> str:
    """Plain data as Hydra's grammar has it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{spelt(str(k))}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(literal, value)) + "]"
    if isinstance(value, str):
        return value if _is_plain(value) else quoted(value)
    return "null" if value is None else str(value).lower()


def spelt(key: str) -> str:
    """A key of a mapping in letters that Hydra's grammar has for it."""
    if KEY.fullmatch(key) and key.lower() not in WORDS:
        return key
    return f"ctkd_key_{key.encode().hex()}_"


def decoded(tree: Any) -> Any:
    """Settings with the keys that `spelt` has spelt as they were."""
    if isinstance(tree, dict):
        return {_read_key(key): decoded(value) for key, value in tree.items()}
    return [decoded(value) for value in tree] if isinstance(tree, list) else tree


def as_typed(override: str) -> str:
    """The same in the text of an override."""
    return SPELT.sub(lambda found: quoted(_read_key(found[0])), override)


def _read_key(key: Any) -> Any:
    found = SPELT.fullmatch(key) if isinstance(key, str) else None
    return bytes.fromhex(found[1]).decode() if found else key


def in_override(override: str, also: frozenset[str]) -> str:
    """An override whose value, if it is text, Hydra will read as text. also: keys that hold text
    beside TEXTS. Sweeps, functions and `${...}` stay what they are."""
    key, equals, value = override.partition("=")
    name = _name_of(key.lstrip("+~"), also)
    if not equals or not name:
        return override
    try:
        found = _Value(value, name).rewritten()
    except ValueError:
        return override
    return override if "".join(found.split()) == "".join(value.split()) else f"{key}={found}"


def in_yaml(text: str) -> Any:
    """The content of a YAML, with texts as they stand in it. Raises yaml.YAMLError."""

    class Loader(get_yaml_loader()):  # type: ignore[misc]
        def get_single_node(self) -> yaml.Node | None:
            node: yaml.Node | None = super().get_single_node()
            return _read_as_text(node) if isinstance(node, yaml.MappingNode) else node

    return yaml.load(text, Loader=Loader)


def _read_as_text(node: yaml.MappingNode) -> yaml.MappingNode:
    pairs = []
    for key, value in node.value:
        name = _name_of(str(key.value), frozenset())
        if isinstance(value, yaml.MappingNode) and key.value == "sweep":
            value = _alternatives(value)
        elif isinstance(value, yaml.MappingNode) and name not in MAPPINGS:
            value = _read_as_text(value)
        elif name:
            value = _stands(value, name)
        pairs.append((key, value))
    return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)


def _alternatives(node: yaml.MappingNode) -> yaml.MappingNode:
    """Of a sweep: lists of values by dotted keys."""
    pairs = []
    for key, value in node.value:
        name = _name_of(str(key.value), frozenset())
        if name and isinstance(value, yaml.SequenceNode):
            each = [_stands(one, name) for one in value.value]
            value = yaml.SequenceNode(value.tag, each, value.start_mark, value.end_mark)
        pairs.append((key, value))
    return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)


def _stands(node: Any, name: str, depth: int = 0, inside: bool = False) -> yaml.Node:
    """A node whose scalars are text. Nodes are copied: an alias may be a number elsewhere."""
    place = (node.start_mark, node.end_mark)
    if isinstance(node, yaml.MappingNode):
        pairs = [
            (
                _stands(key, name, inside=True),
                _stands(value, name, depth + 1, inside=True)
                if _is_text(name, depth + 1)
                else value,
            )
            for key, value in node.value
        ]
        return yaml.MappingNode(node.tag, pairs, *place)
    if isinstance(node, yaml.SequenceNode):
        each = [_stands(one, name, depth, inside=True) for one in node.value]
        return yaml.SequenceNode(node.tag, each, *place)
    if node.tag == YAML_NULL and node.style is None and not inside:
        return yaml.ScalarNode(node.tag, node.value, *place)
    return yaml.ScalarNode(YAML_TEXT, node.value, *place, style=node.style)


def _is_text(name: str, depth: int) -> bool:
    """Whether the scalars in the mapping at this depth, 1 for the outermost, are text."""
    return depth < 2 or name not in NUMBERS_WITHIN


def _name_of(key: str, also: frozenset[str]) -> str:
    """The key of TEXTS that a dotted key is, or lies in; "" when it is none."""
    if key in also:
        return key
    above, _, last = key.rpartition(".")
    if last in TEXTS:
        return last
    return above.rpartition(".")[2] if above.rpartition(".")[2] in MAPPINGS else ""


def _is_plain(text: str) -> bool:
    """Whether Hydra reads a text outside quotes as that very text."""
    if PLAIN.fullmatch(text):
        return text.lower() not in WORDS
    if "," in text or not text or "${" in text:
        return False
    try:
        found = _parser().parse_overrides([f"k={text}"])[0].value()
    except HydraException:
        return False
    return isinstance(found, str) and found == text


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


class _Value:
    """The value of an override that holds text, read from left to right. Raises ValueError where
    brackets or quotes do not close."""

    def __init__(self, text: str, name: str) -> None:
        self._text, self._name, self._at = text, name, 0

    def rewritten(self) -> str:
        return self._elements("", 0)

    def _elements(self, closer: str, depth: int) -> str:
        """Elements with commas between them, up to the closing bracket or the end."""
        found: list[str] = []
        while True:
            self._skip()
            if self._ends(closer) and (closer or not found):
                break
            found.append(self._element("," + closer, depth))
            self._skip()
            if self._ends(closer):
                break
            self._take(",")
        if closer:
            self._take(closer)
        return ",".join(found)

    def _element(self, stops: str, depth: int) -> str:
        rest = self._text[self._at :]
        if rest.startswith("["):
            self._at += 1
            return f"[{self._elements(']', depth)}]"
        if rest.startswith("{"):
            self._at += 1
            return f"{{{self._pairs(depth + 1)}}}"
        if rest[:1] in ("'", '"'):
            return self._quoted()
        call = CALL.match(rest)
        if call and call[1] in OF_TEXTS:
            self._at += len(call[0])
            return f"{call[1]}({self._elements(')', depth)})"
        written = self._scalar(stops)
        kept = not written or "${" in written or (call is not None and written.endswith(")"))
        nothing = written.lower() == "null" and stops == ","
        if kept or nothing or not _is_text(self._name, depth) or _is_plain(written):
            return written
        return quoted(written)

    def _pairs(self, depth: int) -> str:
        found: list[str] = []
        self._skip()
        while not self._ends("}"):
            if self._text[self._at : self._at + 1] in ("'", '"'):
                key = self._quoted()
                key = str(_parser().parse_overrides([f"k={key}"])[0].value())
            else:
                key = self._scalar(":,}")
            self._skip()
            self._take(":")
            self._skip()
            found.append(f"{spelt(key)}: {self._element(',}', depth)}")
            self._skip()
            if not self._ends("}"):
                self._take(",")
                self._skip()
        self._take("}")
        return ",".join(found)

    def _scalar(self, stops: str) -> str:
        start, open_braces = self._at, 0
        while self._at < len(self._text):
            here = self._text[self._at]
            if self._text.startswith("${", self._at):
                open_braces += 1
                self._at += 1
            elif here == "}" and open_braces:
                open_braces -= 1
            elif here == "\\":
                self._at += 1
            elif here in stops and not open_braces:
                break
            elif here == "(" and CALL.fullmatch(self._text[start : self._at + 1]):
                self._at = self._text.index(")", self._at)  # of another function
            self._at += 1
        return self._text[start : self._at].strip()

    def _quoted(self) -> str:
        quote = self._text[self._at]
        found = re.compile(rf"{quote}(?:\\.|[^\\{quote}])*{quote}").match(self._text, self._at)
        if found is None:
            raise ValueError(f"{quote} is not closed")
        self._at = found.end()
        return found[0]

    def _skip(self) -> None:
        while self._text[self._at : self._at + 1] in (" ", "\t"):
            self._at += 1

    def _ends(self, closer: str) -> bool:
        return self._text[self._at : self._at + 1] == closer

    def _take(self, wanted: str) -> None:
        if not self._text.startswith(wanted, self._at):
            raise ValueError(f"{wanted} is missing")
        self._at += len(wanted)
