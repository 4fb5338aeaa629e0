"""Text to token ids, in batches, exactly as transformers' tokenizer of the same files gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from consumer.classifier.packing import PackedBatch

_CHARACTERS_PER_TOKEN = 16  # a text longer than this many times the limit is first cut
_DOUBTFUL_CHARACTERS = 64  # before a cut; longer than any special token that it may have broken


class BatchTokenizer:
    """Encodes texts into a :class:`PackedBatch` of at most ``max_tokens`` tokens a text, special tokens included."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        """``tokenizer`` is taken over: its truncation and padding are turned off, cutting is done here.

        Raises:
            ValueError: ``max_tokens`` leaves no room beside the special tokens.
        """
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.max_tokens = max_tokens
        empty = tokenizer.encode("").ids
        probe = tokenizer.encode("a")
        self._prefix = next((i for i, special in enumerate(probe.special_tokens_mask) if not special), len(empty))
        self._suffix = empty[self._prefix :]
        self._content = max_tokens - len(empty)
        if self._content < 1:
            raise ValueError(f"{max_tokens} tokens leave no room beside {len(empty)} special ones")
        self._long = max_tokens * _CHARACTERS_PER_TOKEN

    def encode(self, texts: Sequence[str]) -> PackedBatch:
        """Encode every text; never raises for what a text holds. Cutting keeps the special tokens at both ends."""
        long = [row for row, text in enumerate(texts) if len(text) > self._long]
        if long:
            texts = list(texts)
            cut = {row: self._cut(_encodable(texts[row])) for row in long}
            for row in long:
                texts[row] = ""
        else:
            cut = {}
        try:
            encodings = self._tokenizer.encode_batch_fast(texts)
        except TypeError:  # a lone surrogate is no text to the library
            encodings = self._tokenizer.encode_batch_fast([_encodable(text) for text in texts])
        rows = [encoding.ids for encoding in encodings]
        for row, ids in cut.items():
            rows[row] = ids
        truncated = [False] * len(rows)
        for row, ids in enumerate(rows):
            if len(ids) > self.max_tokens:
                truncated[row] = True
                rows[row] = ids[: self._prefix + self._content] + self._suffix
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        flat = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(lengths.sum()))
        return PackedBatch.pack(flat, lengths, truncated)

    def _cut(self, text: str) -> list[int]:
        """The ids of a long text, at least up to one more than the limit; reading only as much of it as that takes.

        A cut can only change the ids of the word that it goes through, and of a special token's name that it goes
        through. So the ids before the first word that reaches into the last characters are those of the whole text,
        and when they exceed the limit, nothing after them matters. Otherwise (characters that make no tokens, words
        without end) twice as much is read, in the end all of it.
        """
        characters = self._long
        while characters < len(text):
            encoding = self._tokenizer.encode(text[:characters], add_special_tokens=False)
            sound = characters - _DOUBTFUL_CHARACTERS
            first = next((i for i, (_, end) in enumerate(encoding.offsets) if end > sound), len(encoding.ids))
            words = encoding.word_ids
            while 0 < first < len(words) and words[first - 1] == words[first]:
                first -= 1
            if first > self._content:
                whole = self._tokenizer.encode("").ids
                return [*whole[: self._prefix], *encoding.ids[:first], *self._suffix]
            characters *= 2
        return list(self._tokenizer.encode(text).ids)


def _encodable(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates replaced by U+FFFD, which BERT's cleaning deletes."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def bert_tokenizer(folder: Path) -> Tokenizer:
    """Build BERT's tokenizer from ``tokenizer.json`` (its vocabulary and added tokens) or else ``vocab.txt``.

    As transformers does, lower-casing and the like are read from ``tokenizer_config.json`` and default to the uncased
    model's, whatever ``tokenizer.json`` says of them.

    Raises:
        ValueError: a file does not hold what it should; the message names it.
    """
    settings = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").exists() else {}
    vocabulary, added = _vocabulary(folder, settings)
    names = {key: _token(settings.get(key), default) for key, default in _SPECIAL_TOKENS.items()}
    for name in ("unk_token", "cls_token", "sep_token"):
        if names[name] not in vocabulary:
            raise ValueError(f"the vocabulary lacks {names[name]}, the {name}")
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=names["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        strip_accents=settings.get("strip_accents"),
        lowercase=bool(settings.get("do_lower_case", True)),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cls, sep = names["cls_token"], names["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, vocabulary[cls]), (sep, vocabulary[sep])],
    )
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names.values() if name in vocabulary])
    for _, token in sorted(added.items()):
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    return tokenizer


_SPECIAL_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


def _vocabulary(folder: Path, settings: Mapping[str, Any]) -> tuple[dict[str, int], dict[int, AddedToken]]:
    """Token to id, and the added tokens by their id."""
    file = folder / "tokenizer.json"
    if file.exists():
        whole = read_json(file)
        vocabulary = whole.get("model", {}).get("vocab")
        if not isinstance(vocabulary, dict):
            raise ValueError("tokenizer.json holds no WordPiece vocabulary")
        return vocabulary, {entry["id"]: _added(entry) for entry in whole.get("added_tokens", ())}
    try:
        lines = (folder / "vocab.txt").read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"vocab.txt cannot be read ({type(error).__name__})") from error
    if lines and not lines[-1]:
        lines.pop()
    added = {int(number): _added(entry) for number, entry in settings.get("added_tokens_decoder", {}).items()}
    return {token: number for number, token in enumerate(lines)}, added


def _added(entry: Mapping[str, Any]) -> AddedToken:
    known = ("single_word", "lstrip", "rstrip", "normalized", "special")
    flags = {key: bool(entry[key]) for key in known if key in entry}
    return AddedToken(entry["content"], **flags)


def _token(entry: object, default: str) -> str:
    """A special token's text, which tokenizer_config.json gives as a string or as an object."""
    if isinstance(entry, Mapping):
        entry = entry.get("content")
    return entry if isinstance(entry, str) else default


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: the file cannot be read or holds no object; the message names it.
    """
    try:
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file.name} is not readable JSON ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file.name} holds no JSON object")
    return value
