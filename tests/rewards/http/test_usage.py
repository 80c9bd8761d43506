from rewards.http.usage import UsageCounters


def test_totals_add_up_and_means_carry_their_count():
    meters = UsageCounters()
    for value in (1.0, 2.0, 6.0):
        meters.add("judge/tokens", value)
        meters.observe("judge/seconds", value)
    assert meters.read() == {"judge/tokens": 9.0, "judge/seconds": 3.0}


def test_a_reading_starts_anew():
    meters = UsageCounters()
    meters.add("judge/requests")
    meters.read()
    assert meters.read() == {}
    meters.add("judge/requests")
    assert meters.read() == {"judge/requests": 1.0}
