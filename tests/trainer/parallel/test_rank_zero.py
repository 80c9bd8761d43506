import asyncio

import pytest

from rollout.types import Interrupted
from trainer.parallel.rank_zero import MainRankFailed, launched_as_main, on_main


class Main:
    is_main = True

    def __init__(self):
        self.said = None

    def broadcast(self, value):
        self.said = value
        return value


class Other:
    is_main = False

    def __init__(self, heard):
        self.heard = heard

    def broadcast(self, value):
        return self.heard


async def seven():
    return 7


async def broken():
    raise OSError("disk")


async def stopped():
    raise Interrupted


def test_every_rank_gets_rank_zeros_value():
    main = Main()
    assert asyncio.run(on_main(main, seven)) == 7
    assert asyncio.run(on_main(Other(main.said), broken)) == 7


def test_a_failure_is_announced_before_it_is_raised():
    main = Main()
    with pytest.raises(OSError, match="disk"):
        asyncio.run(on_main(main, broken))
    with pytest.raises(MainRankFailed, match="OSError"):
        asyncio.run(on_main(Other(main.said), seven))


def test_a_stop_request_is_one_on_every_rank():
    main = Main()
    with pytest.raises(Interrupted):
        asyncio.run(on_main(main, stopped))
    with pytest.raises(Interrupted):
        asyncio.run(on_main(Other(main.said), seven))


@pytest.mark.parametrize(
    ("variables", "main"),
    [({}, True), ({"RANK": "0"}, True), ({"RANK": "2"}, False),
     ({"OMPI_COMM_WORLD_RANK": "1"}, False), ({"PMI_RANK": "0"}, True)],
)  # fmt: skip
def test_rank_0_is_known_before_the_ranks_have_met(monkeypatch, variables, main):
    for name in ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert launched_as_main() is main
