"""student=static: token vectors from a sentence encoder, and a head."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from sklearn.decomposition import PCA

from ctkd_cli.backbones import static
from ctkd_cli.errors import InputError
from ctkd_cli.experiment import of_overrides

Ctkd = Callable[..., tuple[int, str, str]]
ENOUGH = 8e6  # bytes of a student


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_run: list[str]) -> Path:
    folder: Path = tmp_path_factory.mktemp("static") / "run"
    asked = [o for o in tiny_run if not o.startswith("student.") or "model" in o]
    done = subprocess.run(
        [sys.executable, "-m", "ctkd_cli", "run", *asked, "student=static", "student.width=8",
         "training.learning_rate=1e-4", f"hydra.run.dir={folder}"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def of_distilled(run: Path) -> tuple[list[str], np.ndarray]:
    """Texts of test and what predictions.parquet says of them, [n, 2]."""
    rows = pq.read_table(run / "predictions.parquet").to_pylist()
    mine = [row for row in rows if row["arm"] == "distilled"]
    told = [[row["p(entertainment)"], row["p(sport)"]] for row in mine]
    return [row["input"] for row in mine], np.array(told)


def test_numpy_answers_alone(run: Path) -> None:
    """The card's own code, where torch and transformers cannot be imported."""
    student = run / "student"
    texts, expected = of_distilled(run)
    code = re.findall(r"```python\n(.*?)```", (student / "README.md").read_text(), re.DOTALL)[1]
    code = code.replace("path/to/student", str(student)).replace('["..."]', repr(texts))
    code = code.replace("print(", "import json; told = (")
    blocked = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{blocked}{code}\nprint(json.dumps([told[0], told[1].tolist()]))"],
        capture_output=True, text=True, cwd=student,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    labels, found = json.loads(done.stdout)
    assert labels == ["entertainment", "sport"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_transformers_answers_as_we_do(run: Path) -> None:
    texts, expected = of_distilled(run)
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
        run / "student", trust_remote_code=True
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(run / "student")
    with torch.no_grad():
        logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    np.testing.assert_allclose(logits.softmax(dim=-1).numpy(), expected, atol=1e-5)
    size = sum(file.stat().st_size for file in (run / "student").iterdir())
    assert size < ENOUGH


def test_predict_reads_it(run: Path, ctkd: Ctkd, tmp_path: Path) -> None:
    texts, expected = of_distilled(run)
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(texts))
    code, out, err = ctkd("predict", str(run), str(file), "--format", "jsonl")
    assert code == 0, err
    told = [json.loads(line)["probabilities"] for line in out.splitlines()]
    found = [[each["entertainment"], each["sport"]] for each in told]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_vectors_are_principal_components_of_what_the_encoder_makes(
    tiny_bert: Path, tmp_path: Path
) -> None:
    """By hand: [CLS] token [SEP] through the encoder, the mean of three states; two components by
    scikit-learn; the weight 0.001 / (0.001 + frequency)."""
    student = of_overrides(["student=static", f"student.model={tiny_bert}", "student.width=2"])
    student = student.student  # type: ignore[assignment]
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_bert)
    used = np.array([0, 2, 3, 7, 9, 11])
    frequencies = np.array([0.0, 0.2, 0.2, 0.1, 0.2, 0.3])
    student.write_cut(used, frequencies, of_overrides([]).target, tmp_path)  # type: ignore[attr-defined]
    kept = np.load(tmp_path / "kept.npy")
    body = transformers.AutoModel.from_pretrained(tiny_bert).eval()
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    with torch.no_grad():
        alone = [
            body(input_ids=torch.tensor([[cls, int(token), sep]])).last_hidden_state[0].mean(dim=0)
            for token in kept
        ]
    expected = PCA(2, svd_solver="full").fit_transform(torch.stack(alone).double().numpy())
    expected /= expected.std()
    found = student.load_trained(tmp_path).embeddings.weight.detach().numpy()  # type: ignore[attr-defined]
    place = int(np.flatnonzero(kept == 9)[0])
    np.testing.assert_allclose(found[place], expected[place] * 0.001 / 0.201, rtol=1e-3, atol=1e-7)
    assert not found[kept == cls].any()  # [CLS] says nothing


def test_it_teaches_nobody_and_tags_no_words(ctkd: Ctkd, tiny_bert: Path) -> None:
    code, _, err = ctkd(
        "run", "teacher=huggingface", f"teacher.model={tiny_bert}", "teacher.backbone=static"
    )
    assert code == 2
    assert "static vectors are made for a student" in err
    words = of_overrides(["experiment=words", "student=static"])
    with pytest.raises(InputError, match="answers once for each text"):
        words.student.require_fitting(words.target)


def test_vectors_are_no_wider_than_their_room(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself a width is what fits; one that is asked for is given."""
    monkeypatch.setattr(static, "MOST", 4.0 * 40)  # bytes of 40 numbers
    used, frequencies = np.array([0, 2, 3, 7, 9, 11]), np.full(6, 1 / 6)
    for asked, folder in ((None, tmp_path / "a"), (8, tmp_path / "b")):
        folder.mkdir()
        width = [] if asked is None else [f"student.width={asked}"]
        task = of_overrides(["student=static", f"student.model={tiny_bert}", *width])
        task.student.write_cut(used, frequencies, task.target, folder)
        n_tokens = len(np.load(folder / "kept.npy"))
        vectors = task.student.load_trained(folder).get_input_embeddings().weight
        assert vectors.shape == (n_tokens, asked or 40 // n_tokens)
