from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import BertTokenizer

from consumer.classifier.token_bounds import bert_tokens, byte_tokens
from consumer.classifier.tokenizer import BatchTokenizer, bert_tokenizer
from tests.classifier.checkpoints import VOCABULARY, WORDS, bert_ids, edit_json, write_vocabulary
from tests.support.data import data_folder, validation_texts

MIXED = st.text(st.sampled_from(WORDS + "abcABC é É\u0301ıİ ,.[]😀🇹🇼\u200d\t\x00\ufffd가힣")) | st.text()
SPECIAL = st.lists(st.sampled_from(["[SEP]", "[CLS]", "[MASK]", "[SE", "p]", "加", " ", "a"])).map("".join)


def ids(tokenizer: BatchTokenizer, texts: list[str]) -> list[list[int]]:
    batch = tokenizer.encode(texts)
    rows: list[list[int]] = [[]] * len(batch)
    for packed, row in enumerate(batch.order.tolist()):
        rows[row] = batch.ids[batch.starts[packed] : batch.starts[packed + 1]].tolist()
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("vocabulary")
    write_vocabulary(made)
    return made


@given(texts=st.lists(MIXED | SPECIAL, max_size=4))
def test_ids_are_those_of_transformers(folder, texts):
    assert ids(BatchTokenizer(bert_tokenizer(folder), 32), texts) == bert_ids(folder, texts, 32)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"do_lower_case": False},
        {"do_lower_case": False, "strip_accents": True},
        {"strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"unk_token": "[MASK]"},
    ],
    ids=str,
)
def test_the_tokenizers_settings_are_obeyed(tmp_path, settings, as_json):
    write_vocabulary(tmp_path)
    if as_json:
        BertTokenizer(vocab=str(tmp_path / "vocab.txt"), **settings).save_pretrained(tmp_path)
        (tmp_path / "vocab.txt").unlink()
    else:
        edit_json(tmp_path / "tokenizer_config.json", **settings)
    texts = ["Ab É é 加油 x加y", "[SEP] [sep]", "\u0301e", ""]
    assert ids(BatchTokenizer(bert_tokenizer(tmp_path), 32), texts) == bert_ids(tmp_path, texts, 32)


def test_added_tokens_are_one_token(tmp_path):
    write_vocabulary(tmp_path)
    tokenizer = BertTokenizer(vocab=str(tmp_path / "vocab.txt"))
    tokenizer.add_tokens(["加油團", "<url>"])
    tokenizer.save_pretrained(tmp_path)
    texts = ["中華加油團a<url>", "加油"]
    assert bert_ids(tmp_path, texts)[0][3] == len(VOCABULARY)
    assert ids(BatchTokenizer(bert_tokenizer(tmp_path), 32), texts) == bert_ids(tmp_path, texts, 32)


def test_real_comments_get_the_ids_that_transformers_gives(tmp_path):
    shutil.copy(data_folder() / "bert-base-chinese" / "vocab.txt", tmp_path / "vocab.txt")
    texts = validation_texts()
    reference = BertTokenizer.from_pretrained(tmp_path)(texts, truncation=True, max_length=64)["input_ids"]
    assert ids(BatchTokenizer(bert_tokenizer(tmp_path), 64), texts) == reference


@pytest.mark.parametrize(("characters", "cut"), [(0, False), (1, False), (30, False), (31, True), (600, True)])
def test_a_text_is_cut_at_the_limit_and_marked(folder, characters, cut):
    batch = BatchTokenizer(bert_tokenizer(folder), 32).encode(["加" * characters])
    assert batch.truncated == (cut,)
    assert batch.lengths.tolist() == [min(characters + 2, 32)]


@pytest.mark.parametrize(
    "text",
    [
        "加油" * 10_000,
        "加 a " * 5_000,
        "a" * 20_000,
        "a" * 20_000 + "加",
        " " * 20_000 + "加油",
        "\u0301" * 20_000 + "加油",
        "\x00" * 3_000 + "a" * 3_000,
        ("加" * 29 + "[SEP]") * 800,
        "加" * 600 + "a" * 99 + "!" + "a" * 120,
        "é" * 5_000 + " e\u0301" * 5_000,
        # Read up to its 512th character, and 30 of its tokens count: the 31st stands about there.
        *("加" * 26 + " " * pad + "[MASK]" * 400 for pad in range(450, 470)),  # a broken name is other tokens
        *("加" * 26 + " " * pad + "a" * 120 for pad in range(380, 400)),  # over 100 letters are no word
        *("加" * 26 + " " * pad + "e\u0301" * 120 for pad in range(250, 480, 10)),
    ],
    ids=lambda text: f"{len(text)}-characters",
)
def test_a_long_text_is_read_only_as_far_as_needed_and_gets_the_same_ids(folder, text):
    assert ids(BatchTokenizer(bert_tokenizer(folder), 32), [text, "加"]) == bert_ids(folder, [text, "加"], 32)


def test_a_megabyte_is_not_tokenised_whole(folder, monkeypatch):
    tokenizer = BatchTokenizer(bert_tokenizer(folder), 512)
    read: list[int] = []

    class Counting:
        def encode(self, text, **flags):
            read.append(len(text))
            return bert_tokenizer(folder).encode(text, **flags)

        def encode_batch_fast(self, texts):
            read.extend(map(len, texts))
            return bert_tokenizer(folder).encode_batch_fast(texts)

    monkeypatch.setattr(tokenizer, "_tokenizer", Counting())
    assert tokenizer.encode(["加" * 1_000_000]).truncated == (True,)
    assert sum(read) < 10_000


@pytest.mark.parametrize("text", ["\ud83d", "加\udc00油", "\ud83d\ude00", "加" * 600 + "\ud83d"], ids=ascii)
def test_surrogates_survive(folder, text):
    tokenizer = BatchTokenizer(bert_tokenizer(folder), 32)
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    assert ids(tokenizer, [text, "加"]) == ids(tokenizer, [joined, "加"])


def test_a_limit_without_room_for_a_text_is_refused(folder):
    with pytest.raises(ValueError, match="2 tokens leave no room"):
        BatchTokenizer(bert_tokenizer(folder), 2)


@given(st.text(max_size=60))
@example("가" * 50)
@example("한국어 화이팅")
@example("\u09cb\u0ccb\u1026\U0001d15e\u0fb9")
@example("İİİ ﬃ ß 加油")
def test_a_text_never_comes_to_more_tokens_than_its_bound(folder: Path, text: str):
    batch = BatchTokenizer(bert_tokenizer(folder), 512).encode([text])
    assert batch.tokens <= min(bert_tokens(text), 512)


def test_bytes_bound_every_text():
    assert byte_tokens("加油") == 8
    assert byte_tokens("\ud800") == 5
