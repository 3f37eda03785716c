"""Any sequence classifier of transformers: cut, re-headed, fine-tuned, from a folder or a hub."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from conftest import WORDS, save_tiny
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DistilBertConfig,
    GPT2Config,
    PreTrainedConfig,
    RobertaConfig,
)

from ctkd_cli.backbones._pooled import final_linear, logits_and_features
from ctkd_cli.backbones.huggingface import Huggingface
from ctkd_cli.errors import InputError
from ctkd_cli.tasks.kinds.base import Batch
from ctkd_cli.tasks.kinds.text import Text

VOCABULARY = len(WORDS) + 5
CONFIGS: dict[str, PreTrainedConfig] = {
    "distilbert": DistilBertConfig(
        vocab_size=VOCABULARY, dim=16, n_layers=3, n_heads=2, hidden_dim=32,
        max_position_embeddings=64,
    ),
    "roberta": RobertaConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=70, pad_token_id=0,
    ),
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=3, n_head=2, n_positions=64, pad_token_id=0
    ),
}  # fmt: skip
TEXTS = ["the goal", "the film of the band and the music in the chart", "net"]


@pytest.fixture(scope="module", params=["bert", *CONFIGS])
def folder(request, tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:  # type: ignore[no-untyped-def]
    if request.param == "bert":
        return tiny_bert
    return save_tiny(tmp_path_factory.mktemp(request.param), CONFIGS[request.param])


def backbone(folder: Path, **settings: object) -> Huggingface:
    return Huggingface(model=str(folder), **settings)


def run(model: torch.nn.Module, tokenizer, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    model.eval()
    with torch.no_grad():
        outputs = logits_and_features(
            model, Batch(tokenizer(texts, padding=True, return_tensors="pt"))
        )
    return outputs[0].numpy(), outputs[1].numpy()


def test_pooled_features_are_what_the_head_reads(folder: Path) -> None:
    """For encoders and decoders alike, and whatever the padding."""
    bare = backbone(folder)
    model, tokenizer = bare.build(["a", "b", "c"], Text()), bare.preprocessor()
    logits, features = run(model, tokenizer, TEXTS)
    head = final_linear(model)
    again = features @ head.weight.detach().numpy().T
    if head.bias is not None:
        again += head.bias.detach().numpy()
    np.testing.assert_allclose(again, logits, atol=1e-5)
    alone = [run(model, tokenizer, [text])[1][0] for text in TEXTS]
    np.testing.assert_allclose(features, alone, atol=1e-5)


def test_layers_are_kept_in_the_order_asked_for(folder: Path) -> None:
    whole, cut = (
        backbone(folder).build(["a", "b"], Text()),
        backbone(folder, layers=[0, 2]).build(["a", "b"], Text()),
    )
    assert cut.config.num_hidden_layers == 2

    def layers(model: torch.nn.Module) -> torch.nn.ModuleList:
        return next(m for m in model.modules() if isinstance(m, torch.nn.ModuleList))

    for kept, original in zip(layers(cut), [layers(whole)[0], layers(whole)[2]], strict=True):
        for (name, first), (_, second) in zip(
            kept.named_parameters(), original.named_parameters(), strict=True
        ):
            assert torch.equal(first, second), name


def test_a_cut_student_saves_and_loads(folder: Path, tmp_path: Path) -> None:
    student = backbone(folder, layers=2)
    model, tokenizer = student.build(["a", "b"], Text()), student.preprocessor()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    expected, _ = run(model, tokenizer, TEXTS)
    np.testing.assert_allclose(run(again, tokenizer, TEXTS)[0], expected, atol=1e-6)


@pytest.mark.parametrize(("count", "kept"), [(1, (0,)), (2, (0, 2)), (3, (0, 1, 2))])
def test_a_count_of_layers_is_spread(tiny_bert: Path, count: int, kept: tuple[int, ...]) -> None:
    assert backbone(tiny_bert, layers=count)._kept(3) == kept


@pytest.mark.parametrize("layers", [[], [0, 3], [1, 1]])
def test_layers_that_are_not_there(tiny_bert: Path, layers: list[int]) -> None:
    with pytest.raises(InputError, match="the model has 3 layers"):
        backbone(tiny_bert, layers=layers).build(["a", "b"], Text())


@pytest.fixture
def fine_tuned(tiny_bert: Path, tmp_path: Path) -> Path:
    model = AutoModelForSequenceClassification.from_pretrained(
        tiny_bert, num_labels=3, id2label={0: "tech", 1: "sport", 2: "arts"},
        label2id={"tech": 0, "sport": 1, "arts": 2}, ignore_mismatched_sizes=True,
    )  # fmt: skip
    model.save_pretrained(tmp_path / "tuned")
    backbone(tiny_bert).preprocessor().save_pretrained(tmp_path / "tuned")
    return tmp_path / "tuned"


def test_a_fine_tuned_head_is_matched_by_name_not_by_position(fine_tuned: Path) -> None:
    """A public case of ids that differ: 4% accuracy becomes 91%."""
    original = AutoModelForSequenceClassification.from_pretrained(fine_tuned)
    ours = backbone(fine_tuned)
    matched = ours.build_fine_tuned(["sport", "arts", "tech"], Text())
    tokenizer = ours.preprocessor()
    before, after = run(original, tokenizer, TEXTS)[0], run(matched, tokenizer, TEXTS)[0]
    np.testing.assert_allclose(after, before[:, [1, 2, 0]], atol=1e-6)
    assert matched.config.id2label == {0: "sport", 1: "arts", 2: "tech"}


def test_outputs_can_be_named(fine_tuned: Path) -> None:
    named = backbone(fine_tuned, head_labels=["x", "y", "z"])
    np.testing.assert_allclose(
        run(named.build_fine_tuned(["z", "x", "y"], Text()), named.preprocessor(), TEXTS)[0],
        run(AutoModelForSequenceClassification.from_pretrained(fine_tuned), named.preprocessor(),
            TEXTS)[0][:, [2, 0, 1]],
        atol=1e-6,
    )  # fmt: skip


def test_labels_that_do_not_match_are_refused(fine_tuned: Path) -> None:
    with pytest.raises(InputError) as caught:
        backbone(fine_tuned).build_fine_tuned(["sport", "art"], Text())
    assert caught.value.problems[0].nearest == "arts"


def test_a_new_head_is_drawn_for_new_labels(fine_tuned: Path) -> None:
    """Even when its size happens to fit: those outputs were trained for other labels."""
    torch.manual_seed(1)
    old = final_linear(AutoModelForSequenceClassification.from_pretrained(fine_tuned)).weight
    new = final_linear(backbone(fine_tuned).build(["a", "b", "c"], Text())).weight
    assert not torch.equal(old, new)


def test_random_weights_of_a_changed_architecture(tiny_bert: Path) -> None:
    small = backbone(tiny_bert, weights="random", config={"num_hidden_layers": 1})
    torch.manual_seed(0)
    first = small.build(["a", "b"], Text())
    assert first.config.num_hidden_layers == 1
    torch.manual_seed(0)
    again = small.build(["a", "b"], Text())
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    with pytest.raises(InputError, match="weights=random"):
        backbone(tiny_bert, config={"num_hidden_layers": 1}).build(["a", "b"], Text())


def test_dropout_of_pretrained_weights_can_be_changed(tiny_bert: Path) -> None:
    silent = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    as_it_is, changed = backbone(tiny_bert), backbone(tiny_bert, config=silent)
    models = [each.build(["a", "b"], Text()).train() for each in (as_it_is, changed)]
    bodies = [model.base_model.state_dict() for model in models]
    assert all(torch.equal(bodies[0][name], bodies[1][name]) for name in bodies[0])
    words = as_it_is.preprocessor()(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        pairs = [[model(**words).logits for _ in range(2)] for model in models]
    assert not torch.equal(*pairs[0])
    assert torch.equal(*pairs[1])
    assert as_it_is.fingerprint() != changed.fingerprint()


def test_a_value_that_transformers_refuses(tiny_bert: Path) -> None:
    with pytest.raises(InputError, match=r"where: *\.config\.num_hidden_layers"):
        backbone(tiny_bert, weights="random", config={"num_hidden_layers": "two"}).require_sound()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"hidden_size": 8}, "allowed: *hidden_dropout_prob, attention_probs_dropout_prob"),
        ({"atention_probs_dropout_prob": 0.0}, "did you mean attention_probs_dropout_prob"),
        ({"hidden_dropout_prob": 1.5}, "allowed: *a number, 0 <= value < 1"),
        ({"hidden_dropout_prob": "high"}, r"where: *\.config\.hidden_dropout_prob"),
    ],
)
def test_changes_of_a_config_that_cannot_be_made(
    tiny_bert: Path, config: dict[str, float], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        backbone(tiny_bert, config=config).require_sound()


def test_all_that_is_wrong_with_a_config_is_told_at_once(tiny_bert: Path) -> None:
    wrong = {
        "hidden_dropout_prob": 2, "attention_probs_dropout_prob": "high", "atention": 1,
        "hidden_size": 8,
    }  # fmt: skip
    with pytest.raises(InputError) as raised:
        backbone(tiny_bert, config=wrong).require_sound()
    places = [problem.where.rpartition(".")[2] for problem in raised.value.problems]
    assert sorted(places) == [
        "atention", "attention_probs_dropout_prob", "config", "hidden_dropout_prob"
    ]  # fmt: skip


def test_fingerprints_follow_what_decides_the_model(tiny_bert: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tiny_bert, tmp_path / "copy")
    plain = backbone(tiny_bert).fingerprint()
    assert backbone(tmp_path / "copy").fingerprint() == plain  # where it lies does not matter
    assert backbone(tiny_bert, layers=[0]).fingerprint() != plain
    weights = tmp_path / "copy" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert backbone(tmp_path / "copy").fingerprint() != plain


def test_size_is_the_models_own(tiny_bert: Path) -> None:
    """Within a tenth: norms, biases and pooler are left out of the formula."""
    actual = sum(p.numel() for p in backbone(tiny_bert).build(["a", "b"], Text()).parameters())
    assert backbone(tiny_bert).size().parameters == pytest.approx(actual, rel=0.15)


def test_pickles_are_refused_unless_they_are_trusted(tiny_bert: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tiny_bert, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(InputError, match=r"a pickle, which can run code.*\n(.*\n)*.*allow_pickle"):
        backbone(tmp_path / "pickled").build(["a", "b"], Text())


@pytest.mark.parametrize(
    ("model", "what"),
    [
        ("./nowhere", "no such model folder"),
        ("package:no-such-package/model", "is not installed"),
        ("package:pytest/model", "is not installed"),
        ("somebody/some-model", "cannot be had from the hub"),
        ("not a name at all!", "cannot be had from the hub"),
    ],
)
def test_models_that_are_not_there(model: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        Huggingface(model=model).build(["a", "b"], Text())


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no model"):
        backbone(tmp_path).build(["a", "b"], Text())


@pytest.fixture
def hub(tiny_bert: Path) -> Iterator[str]:
    """A model hub on loopback that has one model, acme/tiny."""
    import json

    commit = "0" * 40
    names = [file.name for file in tiny_bert.iterdir()]

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            if path.startswith("/api/models/acme/tiny/tree"):
                files = [
                    {"type": "file", "path": n, "size": (tiny_bert / n).stat().st_size, "oid": n}
                    for n in names
                ]
                body = json.dumps(files).encode()
            elif path.startswith("/api/models/acme/tiny"):
                siblings = [{"rfilename": name} for name in names]
                body = json.dumps({"id": "acme/tiny", "sha": commit, "siblings": siblings}).encode()
            elif path.startswith("/acme/tiny/resolve/") and path.rpartition("/")[2] in names:
                body = (tiny_bert / path.rpartition("/")[2]).read_bytes()
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{abs(hash(body)):040x}"')
            self.send_header("X-Repo-Commit", commit)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_files_are_read_once_and_no_model_changes_what_the_next_one_is_built_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spies = [mock.Mock(wraps=auto.from_pretrained) for auto in (AutoTokenizer, AutoConfig)]
    for auto, spy in zip((AutoTokenizer, AutoConfig), spies, strict=True):
        monkeypatch.setattr(auto, "from_pretrained", spy)
    cut = backbone(folder, layers=[0])
    cut.require_sound()
    read = [spy.call_count for spy in spies]
    cut.require_fitting(Text())
    for labels in (["a", "b"], ["x", "y", "z"]):
        model = cut.build(labels, Text())
        assert model.config.id2label == dict(enumerate(labels))
        assert model.config.num_hidden_layers == 1
        cut.preprocessor()(TEXTS, truncation=True, max_length=4, padding=True)
    assert [spy.call_count for spy in spies] == read
    assert read[0] == 1
    assert cut._config().num_labels == 3  # as saved
    assert cut._config().num_hidden_layers == 3


def test_a_hub_id_is_downloaded(hub: str, tmp_path: Path) -> None:
    code = (
        "from ctkd_cli.backbones.huggingface import Huggingface\n"
        "from ctkd_cli.tasks.kinds.text import Text\n"
        "m = Huggingface(model='acme/tiny', layers=[0])\n"
        "print(m.build(['a', 'b'], Text()).config.num_hidden_layers, len(m.preprocessor()))\n"
    )
    settings = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    environment = {**os.environ, **settings, "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["1", str(VOCABULARY)], done.stderr[-2000:]
