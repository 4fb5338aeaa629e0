import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.demo.audit import Audit, Coordinates, Fed, Latency, Output, latency
from consumer.demo.traffic import Fate


def at(offset, partition=0):
    return Coordinates(partition, offset)


def fed(offset, fate=Fate.LABELED, when=0.0):
    return Fed(at(offset), fate, when)


def output(offset, fate=Fate.LABELED, when=1.0):
    return Output(at(offset), fate, when)


def audited(inputs, outputs):
    audit = Audit()
    for item in inputs:
        audit.fed(item)
    for item in outputs:
        audit.read(item)
    return audit


def test_all_is_well_when_each_input_comes_out_once_as_it_should():
    fates = (Fate.LABELED, Fate.SKIPPED, Fate.DEAD_LETTERED, Fate.LABELED)
    audit = audited([fed(i, fate) for i, fate in enumerate(fates)], [output(i, fate) for i, fate in enumerate(fates)])
    found = audit.findings(consumed=4)
    assert (found.labeled, found.skipped, found.dead_lettered) == (2, 1, 1)
    assert found.complaints == ()
    assert audit.complete


def test_an_input_without_output_is_missing():
    audit = audited([fed(0), fed(1)], [output(0)])
    assert not audit.complete
    assert audit.findings(2).missing == 1
    assert len(audit.findings(2).complaints) == 2


def test_a_second_output_is_a_duplicate_and_counts_nowhere_else():
    audit = audited([fed(0)], [output(0), output(0, Fate.DEAD_LETTERED)])
    found = audit.findings(1)
    assert (found.labeled, found.dead_lettered, found.duplicate_outputs) == (1, 0, 1)
    assert len(found.complaints) == 1


def test_reading_tells_whether_the_output_is_the_first_for_its_input():
    audit = Audit()
    assert audit.read(output(0))
    assert not audit.read(output(0))
    assert audit.read(output(1))


def test_the_same_offset_in_another_partition_is_another_input():
    audit = audited([fed(0)], [output(0), Output(at(0, partition=1), Fate.LABELED, 1.0)])
    found = audit.findings(1)
    assert (found.duplicate_outputs, found.unexplained) == (0, 1)
    assert len(found.complaints) == 1


def test_a_good_comment_that_became_a_dead_letter_is_noticed():
    found = audited([fed(0)], [output(0, Fate.DEAD_LETTERED)]).findings(1)
    assert found.wrong_fate == 1
    assert len(found.complaints) == 1


@pytest.mark.parametrize("consumed", [0, 2])
def test_committing_less_or_more_than_what_came_out_is_noticed(consumed):
    assert audited([fed(0)], [output(0)]).findings(consumed).complaints


def test_an_output_may_be_read_before_its_input_is_told():
    audit = Audit()
    audit.read(output(0, when=3.0))
    audit.fed(fed(0, when=1.0))
    assert audit.complete
    assert audit.findings(1).complaints == ()
    assert audit.findings(1).latency == Latency(2000.0, 2000.0)


def test_the_same_input_is_told_only_once():
    audit = audited([fed(0)], [])
    with pytest.raises(ValueError, match="fed twice"):
        audit.fed(fed(0))


def test_percentiles_are_values_that_occurred():
    assert latency([i / 1000 for i in range(1, 101)]) == Latency(50.0, 99.0)
    assert latency([0.5]) == Latency(500.0, 500.0)
    assert latency([]) == Latency(0.0, 0.0)


def test_recent_latency_looks_only_at_the_last_ones():
    audit = audited([fed(0, when=0.0), fed(1, when=9.0)], [output(0, when=5.0), output(1, when=10.0)])
    assert audit.recent_latency(1) == Latency(1000.0, 1000.0)


@given(
    st.lists(st.sampled_from(Fate), max_size=30),
    st.lists(st.integers(0, 35), max_size=60),
    st.integers(0, 40),
    st.randoms(use_true_random=False),
)
def test_no_complaint_means_exactly_once(fates, answered, consumed, rng):
    inputs = [fed(i, fate) for i, fate in enumerate(fates)]
    outputs = [output(i, fates[i] if i < len(fates) else Fate.LABELED) for i in answered]
    audit = Audit()
    steps = [*inputs, *outputs]
    rng.shuffle(steps)
    for step in steps:
        if isinstance(step, Fed):
            audit.fed(step)
        else:
            audit.read(step)
    exactly_once = sorted(answered) == list(range(len(fates))) and consumed == len(fates)
    assert (audit.findings(consumed).complaints == ()) == exactly_once
