"""A model that knows fewer pieces of words: those that some texts hold, and all single characters,
so that no text is unreadable.

Words that those texts hold are read as before. Which pieces a tokenizer takes depends on what it
knows besides: WordPiece takes the longest that fits, Unigram the likeliest path, byte pairs are
merged in an order. Leaving out pieces that were never taken changes none of these; of byte pairs
those stay that a piece was merged from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OF_A_BYTE = 6  # characters of <0x41>
FIRST = 8  # padding below this number keeps it: some models count positions from there


def write_cut(
    tokenizer: Any,
    config: Any,
    load: Callable[[], PreTrainedModel] | None,
    used: np.ndarray,
    folder: Path,
    role: str,
) -> None:
    """Write a model with fewer tokens, and its tokenizer. load: gives the model; None for one that
    is drawn at random. Raises InputError, about the vocabulary of this role."""
    try:
        kept = cut_tokenizer(tokenizer, used, folder)
        if load is None:
            renumber(config, kept)
            config.save_pretrained(folder)
            return
        with torch.random.fork_rng():
            torch.manual_seed(0)  # draws a head, which nobody reads
            model = load()
        cut_embedding(model, kept)
    except ValueError as error:
        raise cannot_be_cut(f"{role}.vocabulary", error) from None
    model.save_pretrained(folder)


def cut_tokenizer(tokenizer: Any, used: np.ndarray, folder: Path) -> np.ndarray:
    """Write a tokenizer that knows these ids, what they are made of, single characters and control
    tokens. used: ids, sorted. Returns the ids that stay, sorted, as in kept.npy: their places are
    the new ones.

    Raises ValueError, with the reason, for tokenizers of which pieces cannot be left out.
    """
    if not tokenizer.is_fast:
        raise ValueError("its tokenizer is none of the tokenizers library")
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer.json"
    spec = json.loads(file.read_text(encoding="utf-8"))
    if spec["model"]["type"] not in ("WordPiece", "BPE", "Unigram"):
        raise ValueError(f"its tokenizer is a {spec['model']['type']}")
    kept = _kept(spec, tokenizer, used)
    whole = json.dumps(_renumbered(spec, places(kept)), ensure_ascii=False)
    for written in folder.glob("*"):
        if written.name != "tokenizer_config.json":
            written.unlink()  # vocabularies in other forms would win
    file.write_text(whole, encoding="utf-8")
    settings_file = folder / "tokenizer_config.json"
    settings = json.loads(settings_file.read_text(encoding="utf-8"))
    settings.pop("added_tokens_decoder", None)
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # takes tokenizer.json as it is
    settings["model_input_names"] = list(tokenizer.model_input_names)
    settings_file.write_text(json.dumps(settings, indent=2), encoding="utf-8")
    np.save(folder / "kept.npy", kept)
    return kept


def cut_embedding(model: PreTrainedModel, kept: np.ndarray) -> None:
    """Leave a model the rows of these ids. Raises ValueError as `cut_tokenizer` does."""
    whole = model.get_input_embeddings()
    if type(whole) is not torch.nn.Embedding:
        raise ValueError(f"its word embedding is a {type(whole).__name__}")
    padding = whole.padding_idx
    some = torch.nn.Embedding(
        len(kept),
        whole.embedding_dim,
        padding_idx=None if padding is None else places(kept)[padding],
        _weight=whole.weight.detach()[torch.from_numpy(kept)].clone(),
    )
    model.set_input_embeddings(some)
    renumber(model.config, kept)


def renumber(config: Any, kept: np.ndarray) -> None:
    """Make a configuration that of a model which knows these ids, in this order."""
    new = places(kept)
    parts = [vars(config), getattr(config, "body", None)]
    for part in parts:
        for key, value in list(part.items()) if isinstance(part, dict) else ():
            if key == "vocab_size":
                part[key] = len(new)
            elif key.endswith("_token_id") and isinstance(value, int):
                part[key] = new.get(value)


def cannot_be_cut(where: str, reason: ValueError) -> InputError:
    """The same for the user. where: the setting that asks for it."""
    return InputError(
        Problem(
            f"the vocabulary of this model cannot be cut: {reason}",
            where=where,
            allowed="models with a fast tokenizer of word pieces, byte pairs or unigrams",
            remedy="student=minilm_l3, or another student.model",
        )
    )


def places(kept: np.ndarray) -> dict[int, int]:
    """Old id -> new id."""
    return {int(old): place for place, old in enumerate(kept)}


def _kept(spec: Any, tokenizer: Any, used: np.ndarray) -> np.ndarray:
    """The ids that stay, sorted."""
    pieces: dict[str, int] = tokenizer.get_vocab()
    always = {int(number) for number in used} | {each["id"] for each in spec["added_tokens"]}
    always |= {number for piece, number in pieces.items() if _is_a_character(piece, spec["model"])}
    if unknown := spec["model"].get("unk_token"):
        always.add(pieces[unknown])
    if (number := spec["model"].get("unk_id")) is not None:
        always.add(number)
    padding = tokenizer.pad_token_id
    if padding is not None and padding < FIRST:
        always |= set(range(padding))
    if spec["model"]["type"] == "BPE":
        always |= _made_of(spec["model"]["merges"], pieces, always)
    return np.array(sorted(always), np.int64)


def _is_a_character(piece: str, model: Any) -> bool:
    if piece.startswith("<0x") and len(piece) == OF_A_BYTE:
        return True
    for mark in (model.get("continuing_subword_prefix"), model.get("end_of_word_suffix"), "▁"):
        if mark and piece != mark:
            piece = piece.removeprefix(mark).removesuffix(mark)
    return len(piece) == 1


def _made_of(merges: Iterable[Any], pieces: dict[str, int], wanted: set[int]) -> set[int]:
    """The ids that wanted ones were merged from, and those that these were."""
    parts: dict[int, list[int]] = {}
    for first, second in _pairs(merges):
        if (whole := pieces.get(first + second)) is not None:
            parts.setdefault(whole, [pieces[first], pieces[second]])
    found: set[int] = set()
    left = list(wanted)
    while left:
        for part in parts.get(left.pop(), ()):
            if part not in found:
                found.add(part)
                left.append(part)
    return found


def _pairs(merges: Iterable[Any]) -> list[tuple[str, str]]:
    """As lists or, in files of old, with a space between."""
    found = []
    for each in merges:
        first, second = each.split(" ") if isinstance(each, str) else each
        found.append((first, second))
    return found


def _renumbered(spec: Any, new: dict[int, int]) -> Any:
    """A tokenizer.json with these ids, old -> new, and no others."""
    model = spec["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][old] for old in new if old < len(model["vocab"])]
        if model.get("unk_id") is not None:
            model["unk_id"] = new[model["unk_id"]]
    else:
        model["vocab"] = {p: new[number] for p, number in model["vocab"].items() if number in new}
    if model["type"] == "BPE":
        there = model["vocab"].keys()
        model["merges"] = [
            [first, second]
            for first, second in _pairs(model["merges"])
            if {first, second, first + second} <= there
        ]
    for each in spec["added_tokens"]:
        each["id"] = new[each["id"]]
    if spec.get("padding"):
        spec["padding"]["pad_id"] = new[spec["padding"]["pad_id"]]
    _renumber_around(spec.get("post_processor"), new)
    return spec


def _renumber_around(processor: Any, new: dict[int, int]) -> None:
    """Of the tokens that are put around a text."""
    if not processor:
        return
    for each in processor.get("processors", ()):
        _renumber_around(each, new)
    for each in processor.get("special_tokens", {}).values():
        each["ids"] = [new[number] for number in each["ids"]]
    for name in ("sep", "cls"):
        if name in processor:
            token, number = processor[name]
            processor[name] = [token, new[number]]
