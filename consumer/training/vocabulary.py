"""A WordPiece vocabulary for a small Chinese BERT, built from the texts it will read."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable

from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def build_vocabulary(texts: Iterable[str], *, min_count: int = 2, word_count: int = 20) -> list[str]:
    """Return the tokens in id order: special tokens, ASCII, then what the texts hold, most frequent first.

    BERT's rules split Chinese into characters but keep runs of Latin letters, digits and emoji as words, so every
    character of such a run also gets its continuation piece, and a whole run seen ``word_count`` times a token.
    A character seen less than ``min_count`` times stays unknown.
    """
    normalizer = BertNormalizer(lowercase=True)
    splitter = BertPreTokenizer()
    pieces: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for text in texts:
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)):
            pieces[word[0]] += 1
            pieces.update("##" + character for character in word[1:])
            if len(word) > 1:
                words[word] += 1
    latin = string.ascii_lowercase + string.digits
    always = [*SPECIAL, *latin, *("##" + character for character in latin), *string.punctuation]
    counts = Counter({piece: count for piece, count in pieces.items() if count >= min_count})
    counts.update({word: count for word, count in words.items() if count >= word_count})
    found = sorted(counts, key=lambda token: (-counts[token], token))
    return list(dict.fromkeys([*always, *found]))
