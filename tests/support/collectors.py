"""A collector on a scripted engine: a problem's prompt says how many of its samples are right.

`"2"` is a problem whose first two samples answer right. With `"2!"` the engine fails, with `"2?"`
the verifier raises, with `"2~"` the second verdict is missing.
"""

from rewards.types import Verdict
from rollout.buffers.fifo import fifo
from rollout.collector.collector import Collector
from rollout.collector.ledger import Ledger
from rollout.engines.scripted import Scripted, completion
from rollout.environments import RolloutContext
from rollout.environments.single_turn import single_turn
from rollout.types import Bucket, EngineError, Sampling
from rollout.verification import VerifierRunner
from tests.support.builders import CharacterRenderer, problem


class Rig:
    """A collector and its parts; prompts are handed out in the order given, again and again."""

    def __init__(self, prompts, *, size=4, per_step=2, staleness=0, **options):
        self.problems = [problem(f"{i}:{p}", prompt=p) for i, p in enumerate(prompts)]
        self.calls = []
        self.turns = {}  # how long a prompt takes, in turns of the event loop
        self.judged = 0
        self.engine = Scripted(self.reply, turns=lambda ids: self.turns.get(text(ids), 0))
        self.ledger = Ledger()
        self.scorer = VerifierRunner(self.judge)
        self.sampler = InOrder(self.problems)
        self.buffer = fifo()
        context = RolloutContext(
            engine=self.engine, renderer=CharacterRenderer(), verify=self.scorer.verify
        )
        settings = {
            "sampler": self.sampler,
            "environment": self.environment,
            "context": context,
            "filters": [],
            "buffer": self.buffer,
            "sampling": lambda step: Sampling(max_tokens=4 + step),
            "group_size": size,
            "groups_per_step": per_step,
            "max_staleness": staleness,
            "run_seed": 0,
            "ledger": self.ledger,
            "max_refills": 3,
        }
        self.collector = Collector(**{**settings, **options})

    def reply(self, prompt_ids, i):
        prompt = text(prompt_ids)
        if prompt.endswith("!"):
            raise EngineError("no room")
        return completion([ord("r" if i < int(prompt[0]) else "w")])

    async def judge(self, asked, response):
        self.judged += 1
        prompt = asked.messages[0].content
        if prompt.endswith("?"):
            raise RuntimeError("judge is down")
        if prompt.endswith("~") and self.judged == 2:
            return Verdict.missing("no verdict in time")
        return Verdict.binary(response == "r")

    async def environment(self, asked, context, sampling, n):
        self.calls.append((asked.id, sampling))
        return await single_turn(asked, context, sampling, n)

    async def publish(self, version):
        await self.engine.load_weights(None, version)
        self.collector.publish(version)

    async def step(self, step):
        """One step of a loop in which everything is trained."""
        groups = await self.collector.take(step)
        self.collector.settle(all_trained(groups))
        await self.publish(step + 1)
        return groups

    async def steps(self, first, last):
        return [await self.step(step) for step in range(first, last)]


class InOrder:
    """A sampler without shuffling."""

    def __init__(self, problems):
        self.problems = problems
        self.position = 0
        self.observed = []

    def next(self, n):
        chosen = [self.problems[(self.position + i) % len(self.problems)] for i in range(n)]
        self.position += n
        return chosen

    def observe(self, groups):
        self.observed += [(g.problem.id, g.pass_rate) for g in groups]

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


def text(ids):
    return "".join(map(chr, ids))


def all_trained(groups):
    drawn = [(g.group_id, s.index) for g in groups for s in g.samples if s.index >= 0]
    return {group_id * 2**16 + index: Bucket.TRAINED for group_id, index in drawn}


def names(groups):
    return [g.problem.id for g in groups]


def counts(ledger):
    """Samples by bucket, of the buckets that hold any."""
    return {str(bucket): ledger.count(bucket) for bucket in Bucket if ledger.count(bucket)}


def fingerprint(steps):
    return [
        (g.group_id, g.problem.id, [s.token_ids.tolist() for s in g.samples])
        for groups in steps
        for g in groups
    ]
