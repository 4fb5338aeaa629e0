import hashlib
import subprocess
import sys
from itertools import islice

from consumer.classifier.preprocessing import seed as preprocess
from consumer.demo.comments import LABELS, MAX_CHARACTERS, comments
from consumer.demo.phrases import Topic, phrases

COUNT = 20_000
DIGEST_OF_A_THOUSAND = "85da5c1a34d51101"


def some(seed=5, count=COUNT):
    return list(islice(comments(seed), count))


def test_labels_are_in_the_order_of_the_logits():
    assert LABELS == ("Cheer", "Game", "Broadcast", "Chat")


def test_the_same_seed_gives_the_same_comments_in_another_process():
    program = (
        "import hashlib; from itertools import islice; from consumer.demo.comments import comments;"
        "print(hashlib.sha256(repr([(c.text, c.targets) for c in islice(comments(9), 2000)]).encode()).hexdigest())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONHASHSEED": "77"}, capture_output=True, text=True, check=True
    )
    here = hashlib.sha256(repr([(c.text, c.targets) for c in some(9, 2000)]).encode()).hexdigest()
    assert elsewhere.stdout.strip() == here


def test_the_comments_of_a_seed_are_the_ones_the_shipped_model_was_trained_on():
    # a changed word, pattern or draw changes this: train the model again and state its new score
    digest = hashlib.sha256("\n".join(c.text for c in some(2026, 1000)).encode()).hexdigest()
    assert digest.startswith(DIGEST_OF_A_THOUSAND)


def test_another_seed_gives_other_comments():
    assert [c.text for c in some(1, 50)] != [c.text for c in some(2, 50)]


def test_lengths_are_those_of_a_live_chat():
    lengths = sorted(len(comment.text) for comment in some())
    at = [lengths[int(COUNT * share)] for share in (0.5, 0.9, 0.99)]
    assert at[0] == 7
    assert 16 <= at[1] <= 20
    assert 46 <= at[2] <= 60
    assert lengths[0] >= 1
    assert lengths[-1] <= MAX_CHARACTERS


def test_nothing_is_left_empty_by_the_models_preprocessing():
    assert all(preprocess(comment.text) for comment in some())


def test_chat_stands_alone_and_every_comment_has_a_label():
    for comment in some():
        assert comment.topics
        assert Topic.CHAT not in comment.topics or comment.topics == {Topic.CHAT}
        assert comment.targets == tuple(int(topic in comment.topics) for topic in Topic)


def test_every_combination_of_labels_comes_as_often_as_its_weight():
    found = [comment.topics for comment in some()]
    for topics, patterns in phrases().patterns.items():
        assert abs(found.count(topics) / COUNT - patterns.weight) < 0.015


def test_most_comments_are_different_and_some_repeat():
    different = len({comment.text for comment in some()}) / COUNT
    assert 0.75 < different < 0.99


def test_comments_hold_emoji_shortcodes_spaces_capitals_and_digits():
    texts = [comment.text for comment in some(count=5000)]
    for sign in ("🔥", ":fire:", " ", "XD", "7", "！", "ㄟ"):
        assert sum(sign in text for text in texts) >= 5


def test_patterns_use_only_slots_that_there_are():
    made_up = {"player", "viewer", "number", "score"}
    for patterns in phrases().patterns.values():
        for sentence in patterns.sentences:
            pieces = sentence.replace("}", "{").split("{")[1::2]
            assert set(pieces) <= made_up | set(phrases().slots)
