"""Bad input, one row each: exit 2 at once, one message that helps, and nothing else happens."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Ctkd = Callable[..., tuple[int, str, str]]
Content = str | bytes | Callable[[Path], None]

SECONDS = 5.0
GOOD = "text,label\n" + "".join(
    f"{word} {n},{label}\n"
    for n in range(8)
    for word, label in (("match goal", "sport"), ("film actor", "entertainment"))
)


@dataclass(frozen=True)
class Case:
    """arguments: after the verb and good settings; a whole command where they begin with a verb
    in VERBS. says: what the message must hold. files: to be made in the folder beforehand."""

    name: str
    arguments: str
    says: tuple[str, ...]
    files: dict[str, Content]
    verb: str = "run"


VERBS = ("predict", "report", "compare", "resume", "fetch", "config", "list", "check", "rnu")


def case(name: str, arguments: str, *says: str, **files: Content) -> Case:
    """Names of files are written with `__` for a dot and `_in_` for a slash."""
    named = {key.replace("_in_", "/").replace("__", "."): made for key, made in files.items()}
    return Case(name, arguments, says, named)


def table(name: str, content: Content, *says: str, more: str = "", suffix: str = "csv") -> Case:
    """A bad file of target examples, looked at by `check`: half the time, and the same reader."""
    file = f"bad.{suffix}"
    return Case(name, f"target.train={file} {more}".strip(), says, {file: content}, "check")


def yaml(name: str, content: Content, *says: str) -> Case:
    """A bad YAML of the user's, chosen as the loss."""
    return Case(name, "--config-dir mine loss=bad", says, {"mine/loss/bad.yaml": content})


def model(name: str, spoil: Callable[[Path], None], *says: str, more: str = "") -> Case:
    """A model folder that was good before `spoil`."""

    def copy(folder: Path) -> None:
        shutil.copytree(folder.parent / "bert", folder)
        spoil(folder)

    return Case(name, f"student.model=./bad {more}".strip(), says, {"bad": copy})


# What is done to files -------------------------------------------------------------------------


def unreadable(path: Path) -> None:
    path.write_text(GOOD)
    path.chmod(0)


def columns(**values: list[object]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table(values), path)


def torn_parquet(path: Path) -> None:
    columns(text=["a", "b"], label=["x", "y"])(path)
    path.write_bytes(path.read_bytes()[:-9])


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def replaced(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: _write(folder / name, content)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def truncated_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64])


def flipped_header(folder: Path) -> None:
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[9] ^= 0xFF
    weights.write_bytes(data)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def of_another_width(folder: Path) -> None:
    edit(folder, "config.json", hidden_size=32, intermediate_size=48)


def of_no_width(folder: Path) -> None:
    edit(folder, "config.json", num_attention_heads=3)


def another_inner_width(folder: Path) -> None:
    edit(folder, "config.json", intermediate_size=48)


def with_code(folder: Path) -> None:
    edit(folder, "config.json", model_type="mine", auto_map={"AutoConfig": "code.MyConfig"})
    (folder / "code.py").write_text("open('ran', 'w').close()\n")


def of_another_tokenizer(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary |= {f"word{n}": len(vocabulary) + n for n in range(200)}
    file.write_text(json.dumps(content))


def edit(folder: Path, name: str, **changes: object) -> None:
    file = folder / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def a_run(folder: Path) -> None:
    folder.mkdir()
    (folder / "status.json").write_text('{"status": "complete"}')


def damaged_run(folder: Path) -> None:
    (folder / "student").mkdir(parents=True)
    (folder / "config.yaml").write_text("a: [")


def bomb(levels: int = 12) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


FIVE_THOUSAND = "text,label\n" + "".join(f"goal {n},label {n // 2}\n" for n in range(10_000))
MANY = [f"text {n}" for n in range(8)]
XY = ["x", "y"] * 4

SETTINGS = [
    case("a word for a number", "training.steps=many", "steps", "'many'", "a whole number"),
    case("half a batch", "training.batch_size=1.5", "training.batch_size", "1.5"),
    case("an unknown key", "training.stepz=3", "unknown setting", "did you mean steps?"),
    case("an unknown key at the top", "lamda=1", "unknown setting", "did you mean lambda?"),
    case("a key of another loss", "loss=kl loss.dimension=3", "loss.dimension", "temperature"),
    case("negative temperature", "loss=kl loss.temperature=-1", "loss.temperature", "-1", "0"),
    case("temperature zero", "loss=kl loss.temperature=0", "loss.temperature", "greater than 0"),
    case("infinite temperature", "loss=kl loss.temperature=inf", "loss.temperature", "finite"),
    case("lambda is no number", "lambda=nan", "lambda", "nan", "finite"),
    case("infinite lambda", "lambda=inf", "lambda", "inf", "finite"),
    case("negative lambda", "lambda=-1", "lambda", "-1", "greater than or equal to 0"),
    case("no learning", "training.learning_rate=0", "training.learning_rate", "greater than 0"),
    case("no labels", "target.labels_per_class=0", "target.labels_per_class", "0"),
    case("all for the test", "target.test_size=1.5", "target.test_size", "1.5", "less than 1"),
    case("a seed below zero", "seed=-1", "seed", "-1"),
    case("a seed too large", "seed=2147483648", "seed", "2147483648"),
    case("an unknown option", "loss=kll", "unknown loss", "kll", "did you mean kl?"),
    case("an unknown precision", "device.precision=fp8", "device.precision", "fp32", "bf16"),
    case("an unknown control", "controls.arms=[stiltz]", "controls.arms", "stilts"),
    case("a name that is a path", "name=../../etc", "name", "../../etc"),
    case("a word alone", "lambda", "this word is no setting", "lambda", "KEY=VALUE"),
    case("an open bracket", "target.labels=[a", "target.labels", "'[a'"),
    case("an unknown flag", "--nope", "unknown option", "--nope", "ctkd run --help"),
    case("an unknown verb", "rnu", "run"),
    case("one bad job of a sweep", "-m lambda=0,-1", "lambda", "-1"),
    case("no folder of YAMLs", "--config-dir nowhere", "no such folder", "nowhere"),
    case("a folder of YAMLs that is a file", "--config-dir a.txt", "folder", "a.txt", a__txt="x"),
    case("a pickle's flag misspelt", "student.allow_pickl=true", "did you mean allow_pickle?"),
    case("trust in remote code", "student.trust_remote_code=true", "unknown setting"),
    case("an import path", "loss.name=os.system", "loss.name", "os.system"),
    case("a target", "+student._target_=os.system", "cannot name code", "_target_"),
    case("a secret", "'name=${oc.env:HOME}'", "other settings only", "oc.env"),
    case("a resolver that decodes", "'name=${oc.decode:x}'", "other settings only", "oc.decode"),
    yaml("tabs", "name: kl\n\ttemperature: 2\n", "bad.yaml, line 2", "cannot be read"),
    yaml("the same key twice", "name: kl\nname: hint\n", "bad.yaml", "duplicate key"),
    yaml("a YAML in broken UTF-8", b"# \xff\xfe\xfa\nname: kl\n", "bad.yaml", "UTF-8"),
    yaml("a YAML that is a list", "- kl\n", "bad.yaml"),
    yaml("an empty YAML", "", "loss.name", "missing setting"),
    yaml("a YAML with a target", "_target_: os.system\n", "bad.yaml", "cannot name code"),
    yaml("a YAML with a secret", "name: ${oc.env:HOME}\n", "bad.yaml", "other settings only"),
    yaml("a YAML with an object", "name: !!python/object/apply:os.getcwd []\n", "bad.yaml"),
    yaml("a YAML that explodes", bomb(), "bad.yaml", "too large"),
    case("images for a reader of texts", "student=convnet ~student.model ~student.layers",
         "cannot read text", "student.backbone", "ctkd list student"),
    case("a tracker that is not there", "tracker=wandb", "tracker", "pip install wandb"),
]  # fmt: skip

FILES = [
    case("a missing file", "target.train=goof.csv", "no such file", "did you mean good.csv?",
         good__csv=GOOD),
    case("a folder", "target.train=folder", "this is a folder", "target.train",
         folder=lambda path: path.mkdir()),
    case("no right to read", "target.train=a.csv", "cannot be read", "permission denied",
         a__csv=unreadable),
    case("no text", "target.train=a.csv", "line 1 is not utf-8", a__csv=bytes(range(128, 256))),
    case("a device", "target.train=/dev/zero target.format=csv", "device", "/dev/zero"),
    table("an empty file", "", "this file is empty"),
    table("blank lines only", "\n\n\n", "this file is empty"),
    table("a header only", "text,label\n", "a header and no rows"),
    table("another delimiter", GOOD.replace(",", ";"), "target.delimiter", ";"),
    table("too many cells", GOOD + "a,b,c\n", "line 18 has 3 cells"),
    table("a quote that is never closed", GOOD + '"a,b\n', "line 18", "quote"),
    table("broken UTF-8", GOOD.encode() + b"\xff,sport\n", "line 18 is not utf-8", "0xff",
          "target.encoding"),
    table("half a UTF-16 file", GOOD.encode("utf-16")[:-1], "is not utf-16"),
    table("UTF-16 without its mark", GOOD.encode("utf-16-le"), "NUL", "target.encoding"),
    table("UTF-16 read as UTF-8", GOOD.encode("utf-16"), "is not utf-8",
          more="target.encoding=utf-8"),
    table("NUL bytes", GOOD + "\0\0,sport\n", "line 18 holds a NUL byte"),
    table("a cell of 10 MB", f"{GOOD}{'goal ' * 2**21},sport\n", "row 17", "10,485,760", "quote"),
    table("a name twice", "text,text,label\na,b,c\n", "names a column twice", '"text"'),
    table("an id twice", "id,text,label\n1,a,x\n2,b,y\n1,c,x\n", "row 3", "id"),
    table("no such column", GOOD, "no such column", "did you mean text?",
          more="target.text=txt"),
    table("no such label column", GOOD, "no such column", "did you mean label?",
          more="target.label=lable"),
    table("labels that differ in case", GOOD.replace("0,sport", "0,Sport"), "'Sport'", "'sport'",
          "target.labels"),
    table("labels that differ by blanks", GOOD.replace(",sport", ",a b", 1).replace(
        ",sport", ",a  b"), "'a b'", "'a  b'", "target.labels"),
    table("1.0 beside 1", GOOD.replace("entertainment", "2").replace("0,sport", "0,1.0").replace(
        "sport", "1"), "'1'", "'1.0'", "target.labels"),
    table("5,000 labels", FIVE_THOUSAND, "5,000", "labels", "target.label"),
    table("one label", GOOD.replace("entertainment", "sport"), "at least two labels", "sport"),
    table("no label in any row", "text,label\na,\nb,\n", "no row has a label"),
    table("a label that no row has", GOOD, "no such label", "did you mean sport?",
          more="target.labels=[sprot,entertainment]"),
    table("texts all empty", "text,label\n" + ",x\n ,y\n" * 9, "empty", "target"),
    table("train is test", GOOD, "test", "holds them too", more="target.test=bad.csv"),
    table("a test file of other labels", GOOD, "test", more="target.test=b.csv"),
    table("no JSON", '{"text": "a", "label"', "line 1 is no JSON", suffix="json"),
    table("JSON without a table", '{"text": "a"}', "holds no table", "list of objects",
          suffix="json"),
    table("JSON nested too deeply", "[" * 100_000, "nested too deeply", suffix="json"),
    table("lines of JSON as JSON", '{"text": "a"}\n{"text": "b"}', "target.format=jsonl",
          suffix="json"),
    table("labels that are lists", json.dumps([{"text": "a", "label": ["x"]}] * 4),
          "one text or one number", suffix="json"),
    table("torn Parquet", torn_parquet, "torn", suffix="parquet"),
    table("Arrow that is none", b"ARROW1" * 9, "torn", suffix="arrow"),
    table("texts that are lists", columns(text=[["a"]] * 8, label=XY), "does not hold texts",
          suffix="parquet"),
    table("an unknown suffix", GOOD, "does not tell its format", "target.format",
          suffix="dat"),
    table("a spreadsheet", GOOD, "spreadsheets and documents are not read", "save it as CSV",
          suffix="xlsx"),
    table("an unknown encoding", GOOD, "no such encoding", "klingon",
          more="target.encoding=klingon"),
    table("two characters between cells", GOOD, "target.delimiter", "one character",
          more="target.delimiter=ab"),
    case("a data set without network", "target=hub ~target.train target.path=nobody/nothing",
         "cannot be had", "target.path", "network"),
    case("no saved data set", "target=saved ~target.train target.folder=nowhere",
         "no saved data set", "target.folder"),
]  # fmt: skip

MODELS = [
    case("no model folder", "student.model=./nowhere", "no such model folder", "student.model"),
    model("no config.json", without("config.json"), "holds no model", "config.json"),
    model("config.json that is no JSON", replaced("config.json", b"{"), "config.json cannot"),
    model("config.json that is a list", replaced("config.json", b"[]"), "config.json cannot"),
    model("no tokenizer", lambda folder: [(folder / name).unlink() for name in (
        "tokenizer.json", "tokenizer_config.json", "vocab.txt")], "tokenizer", "student.model"),
    model("a torn tokenizer", replaced("tokenizer.json", b'{"model"'), "tokenizer cannot"),
    model("the tokenizer of another model", of_another_tokenizer, "tokenizer", "241", "41"),
    model("no weights", without("model.safetensors"), "no weights"),
    model("weights cut off", truncated_weights, "model.safetensors", "damaged"),
    model("weights with a flipped bit", flipped_header, "model.safetensors", "damaged"),
    model("weights of another shape", of_another_width, "do not fit config.json", "not ["),
    model("weights of another inner width", another_inner_width, "do not fit config.json", "not ["),
    model("a width that its heads cannot share", of_no_width, "architecture cannot", "multiple"),
    model("pickled weights only", pickled, "pickle", "student.allow_pickle=true"),
    model("a model with code of its own", with_code, "code", "student.model"),
    case("a hub id without network", "student.model=nobody/nothing", "cannot be had from the hub",
         "network"),
    case("a package that is not installed", "student.model=package:nope/model", "not installed"),
    case("too many layers", "student.layers=9", "has 3 layers", "student.layers"),
    case("pretrained weights in another shape", "student.config={hidden_size: 8}",
         "student.config", "weights=random"),
    case("a teacher whose labels do not match", "teacher.fine_tuned=true", "do not match",
         "LABEL_0", "teacher.head_labels"),
    case("a GPU where none is", "device.accelerator=cuda", "no cuda device", "device=auto"),
    case("a map to no label", "bridge=manual loss=mapped_kl bridge.map={sport: sprot}",
         "no such label", "did you mean sport?"),
    case("a negative weight in a map",
         "bridge=manual loss=mapped_kl bridge.map={sport: {sport: -1}}", "bridge.map", "-1"),
    case("no such graph", "bridge=graph loss=mapped_kl bridge.path=nowhere.tsv", "nowhere.tsv"),
    case("a loss that needs shared labels", "loss=dkd target.labels={sport: a, entertainment: b}",
         "loss=dkd needs", "mapped_kl"),
]  # fmt: skip

PLACES = [
    case("outputs that cannot be written", "hydra.run.dir=/proc/nope", "cannot be written"),
    case("outputs that are a file", "hydra.run.dir=a.txt/run", "cannot be written", a__txt="x"),
    case("a run lies there", "hydra.run.dir=there", "nothing is written over", there=a_run),
    case("no run to predict with", "predict nowhere", "no run with a student", "nowhere"),
    case("a damaged run to predict with", "predict there", "config.yaml is damaged",
         there=damaged_run),
    case("no run to report on", "report nowhere", "nowhere"),
    case("no run to compare", "compare nowhere", "no finished run", "nowhere"),
    case("no run to resume", "resume nowhere", "nothing here to resume", "nowhere"),
    case("a damaged run to resume", "resume there", "config.yaml is damaged", there=damaged_run),
    case("no such corpus", "fetch sentenzes", "no such corpus", "did you mean sentences?"),
    case("no such group", "list losss", "did you mean loss?"),
]  # fmt: skip

CASES = [*SETTINGS, *FILES, *MODELS, *PLACES]
EXTRA = {"a test file of other labels": {"b.csv": GOOD.replace("sport", "tech").replace(
    "entertainment", "news")}}  # fmt: skip


@pytest.fixture
def asked(
    tmp_path: Path, tiny_run: list[str], tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Case], list[str]]:
    """Makes a case's files, and says what to type."""
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))

    def make(case: Case) -> list[str]:

        (tmp_path / "bert").symlink_to(tiny_bert)
        for name, content in {**case.files, **EXTRA.get(case.name, {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if callable(content):
                content(path)
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        words = _split(case.arguments)
        return words if words[0] in VERBS else [case.verb, *tiny_run, *words]

    return make


def _split(arguments: str) -> list[str]:
    """Words at blanks, but for those in brackets and quotes."""
    words, depth = [""], 0
    for character in arguments:
        depth += (character in "{['\"") - (character in "}]")
        if character == " " and depth <= 0:
            words.append("")
        elif character not in "'\"":
            words[-1] += character
    return words


def everything(folder: Path) -> dict[str, float]:
    """Every file below a folder, and when it was last written to."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


@contextmanager
def as_anybody() -> Iterator[None]:
    """Without root's right to read every file, where root runs the tests on Linux."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    before, now = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    assert libc.capget(header, now) == 0
    now[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, now) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """What each process imports once is no part of a case's time."""
    import ctkd_cli.run
    import ctkd_cli.sweep  # noqa: F401


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(
    ctkd: Ctkd, asked: Callable[[Case], list[str]], tmp_path: Path, case: Case
) -> None:
    arguments = asked(case)
    before = everything(tmp_path)
    began = time.process_time()  # not the clock's: other processes may be busy
    with as_anybody():
        code, out, err = ctkd(*arguments)
    took = time.process_time() - began
    assert (code, out) == (2, ""), err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    for words in case.says:
        assert words in err
    assert len(err) < 3000
    assert everything(tmp_path) == before
    assert took < SECONDS


@pytest.mark.parametrize("small", ["cache", "outputs"])
def test_a_disk_that_is_too_small(
    ctkd: Ctkd, tmp_path: Path, tiny_run: list[str], monkeypatch: pytest.MonkeyPatch, small: str
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "outputs").mkdir()
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    whole = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil,
        "disk_usage",
        lambda path: whole._replace(free=10**6 if small in str(path) else 9**12),
    )
    code, out, err = ctkd("run", *tiny_run)
    assert (code, out) == (2, "")
    assert "the disk is too small for this run" in err
    assert "1.0 MB free" in err
    assert {"cache": "CTKD_CACHE", "outputs": "hydra.run.dir"}[small] in err
    assert list((tmp_path / "cache").iterdir()) == []


def locked(folder: Path, mode: int) -> Path:
    folder.mkdir()
    folder.chmod(mode)
    return folder


UNWRITABLE = {
    "below a file": lambda folder: folder / "a file" / "cache",
    "below what may be read only": lambda folder: locked(folder / "locked", 0o500) / "cache",
    "out of sight": lambda folder: locked(folder / "locked", 0) / "cache",
}


@pytest.fixture(params=UNWRITABLE)
def unwritable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "a file").write_text("")
    yield UNWRITABLE[request.param](tmp_path)
    if (tmp_path / "locked").exists():
        (tmp_path / "locked").chmod(0o700)


@pytest.mark.parametrize("verb", ["run", "check"])
def test_a_cache_that_cannot_be_written(
    ctkd: Ctkd,
    tmp_path: Path,
    tiny_run: list[str],
    monkeypatch: pytest.MonkeyPatch,
    unwritable: Path,
    verb: str,
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(unwritable))
    with as_anybody():
        code, _, err = ctkd(verb, *tiny_run)
    assert code == 2
    assert "the cache cannot be written\n  where:   CTKD_CACHE" in err
    assert not (tmp_path / "outputs").exists()
    # As the remedy says:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    assert ctkd("check", *tiny_run)[0] == 0


def test_a_cache_out_of_sight_cannot_be_listed(
    ctkd: Ctkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(locked(tmp_path / "locked", 0) / "cache"))
    with as_anybody():
        code, _, err = ctkd("cache", "list")
    (tmp_path / "locked").chmod(0o700)
    assert code == 2
    assert "CTKD_CACHE" in err


@pytest.mark.parametrize("more", [[], ["-m", "seed=1,2"]])
def test_outputs_that_cannot_be_written(
    ctkd: Ctkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unwritable: Path, more: list[str]
) -> None:
    asked = ["run", "experiment=digits", "training.steps=2", "teacher.training.steps=2", *more]
    monkeypatch.setenv("CTKD_OUTPUTS", str(unwritable))
    with as_anybody():
        code, _, err = ctkd(*asked)
    assert code == 2
    assert "the output folder cannot be written\n  where:   CTKD_OUTPUTS" in err
    assert "CTKD_OUTPUTS=FOLDER" in err
    if unwritable.parent.is_file():  # once is enough
        monkeypatch.setenv("CTKD_OUTPUTS", str(tmp_path / "elsewhere"))
        assert ctkd(*asked)[0] == 0


def test_there_are_enough() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("name", ["negative lambda", "broken UTF-8", "weights cut off"])
def test_debug_gives_the_traceback(
    ctkd: Ctkd, asked: Callable[[Case], list[str]], name: str
) -> None:
    (case,) = (case for case in CASES if case.name == name)
    code, _, err = ctkd("--debug", *asked(case))
    assert code == 2
    assert err.startswith("Traceback")
    assert "\nerror: " in err


@pytest.mark.parametrize("name", ["one bad job of a sweep", "a missing file", "no weights"])
def test_within_five_seconds_of_a_new_process(
    asked: Callable[[Case], list[str]], tmp_path: Path, name: str
) -> None:
    (case,) = (case for case in CASES if case.name == name)
    arguments = asked(case)
    began = sum(os.times()[2:4])  # processor time of processes that have ended
    done = subprocess.run(
        [sys.executable, "-m", "ctkd_cli", *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert sum(os.times()[2:4]) - began < SECONDS
