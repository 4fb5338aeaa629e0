import json
from collections import Counter
from itertools import islice

from consumer.classifier.preprocessing import seed as preprocess
from consumer.delivery.records import Failure, Partition, Record, Skipped, ToClassify
from consumer.demo.traffic import MALFORMED_EVERY, Fate, events
from consumer.events.decode import Decoder

COUNT = 20_000


def some(seed=3, count=COUNT):
    return list(islice(events(seed), count))


def test_the_same_seed_gives_the_same_bytes():
    assert some(4, 3000) == some(4, 3000)
    assert some(4, 300) != some(5, 300)


def test_a_good_event_has_the_fields_of_a_comment():
    for event in some(count=2000):
        if event.fate is not Fate.DEAD_LETTERED:
            fields = json.loads(event.value)
            assert set(fields) == {"id", "text", "channel", "author", "published_at"}
            assert all(isinstance(value, str) for value in fields.values())
            assert event.key == fields["author"].encode()


def test_ids_are_all_different():
    ids = [json.loads(event.value)["id"] for event in some() if event.fate is not Fate.DEAD_LETTERED]
    assert len(set(ids)) == len(ids)


def test_exactly_one_event_in_each_five_hundred_is_malformed_at_no_fixed_place():
    found = [i for i, event in enumerate(some()) if event.fate is Fate.DEAD_LETTERED]
    assert [i // MALFORMED_EVERY for i in found] == list(range(COUNT // MALFORMED_EVERY))
    assert len({i % MALFORMED_EVERY for i in found}) > 5


def test_malformed_events_are_malformed_in_many_ways():
    malformed = [event.value for event in some() if event.fate is Fate.DEAD_LETTERED]
    kinds = Counter(what_is_wrong(value) for value in malformed)
    assert set(kinds) == {
        "not UTF-8",
        "cut short",
        "two objects",
        "not an object",
        "no id",
        "no text",
        "text is no string",
        "lone surrogate",
    }
    assert max(kinds.values()) - min(kinds.values()) <= 1


def what_is_wrong(value):
    try:
        decoded = value.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    try:
        fields = json.loads(decoded)
    except json.JSONDecodeError as error:
        return "two objects" if error.msg == "Extra data" else "cut short"
    if not isinstance(fields, dict):
        return "not an object"
    if "id" not in fields:
        return "no id"
    if "text" not in fields:
        return "no text"
    if not isinstance(fields["text"], str):
        return "text is no string"
    try:
        fields["text"].encode()
    except UnicodeEncodeError:
        return "lone surrogate"
    return "nothing"


def test_an_event_is_skipped_exactly_when_the_model_would_read_nothing():
    fates = Counter()
    for event in some():
        if event.fate is not Fate.DEAD_LETTERED:
            assert (preprocess(json.loads(event.value)["text"]) == "") == (event.fate is Fate.SKIPPED)
        fates[event.fate] += 1
    assert 0.001 < fates[Fate.SKIPPED] / COUNT < 0.01


def test_about_a_fifth_of_the_texts_repeat_a_recent_one():
    # short comments also come up twice by themselves, so look at those that hardly could
    texts = [json.loads(event.value)["text"] for event in some() if event.fate is Fate.LABELED]
    long = [text for text in texts if len(text) > 15]
    repeated = 1 - len(set(long)) / len(long)
    assert 0.15 < repeated < 0.25


def test_the_decoder_makes_of_every_event_what_it_was_made_for():
    decoder = Decoder(preprocess=preprocess, max_tokens=512, max_bytes=262_144)
    kinds = {ToClassify: Fate.LABELED, Skipped: Fate.SKIPPED, Failure: Fate.DEAD_LETTERED}
    made = some(count=5000)
    records = [Record(Partition("comments", 0), i, 0, event.key, event.value) for i, event in enumerate(made)]
    assert [kinds[type(decoded)] for decoded in decoder.decode(records)] == [event.fate for event in made]
