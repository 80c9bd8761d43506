import json

import pytest

from rollout.collector.ledger import BUCKETS, Ledger, LedgerError


def test_issued_equals_ended_and_living():
    ledger = Ledger()
    ledger.issue(10)
    ledger.settle("trained", 4)
    ledger.settle("stale")
    ledger.check(in_flight=3, buffered=1, in_step=1)  # 4 + 1 + 3 + 1 + 1 = 10


@pytest.mark.parametrize("in_flight", [2, 4])
def test_a_lost_or_doubled_sample_is_an_error_with_the_numbers(in_flight):
    ledger = Ledger()
    ledger.issue(10)
    ledger.settle("trained", 7)
    match = f"10 samples were issued and {7 + in_flight} are accounted for.*trained 7"
    with pytest.raises(LedgerError, match=match):
        ledger.check(in_flight=in_flight, buffered=0, in_step=0)


def test_an_unknown_bucket_is_refused():
    with pytest.raises(LedgerError, match="no bucket called 'lost'"):
        Ledger().settle("lost")


def test_metrics_count_since_the_last_reading():
    ledger = Ledger()
    ledger.issue(8)
    ledger.settle("trained", 8)
    ledger.metrics()
    ledger.issue(4)
    ledger.settle("masked", 4)
    metrics = ledger.metrics()
    assert set(metrics) == {f"ledger/{name}" for name in BUCKETS} | {"ledger/issued"}
    assert metrics["ledger/issued"] == metrics["ledger/masked"] == 4
    assert metrics["ledger/trained"] == 0


def test_a_loaded_ledger_goes_on_counting():
    first, second = Ledger(), Ledger()
    first.issue(8)
    first.settle("trained", 5)
    first.metrics()
    first.settle("stale", 3)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.check(in_flight=0, buffered=0, in_step=0)
    assert second.metrics() == first.metrics()
    assert second.issued == 8
