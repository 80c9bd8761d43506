"""The core loop. x: problem, y: completion, mu: the engine's policy, pi: ours.

Every rank runs it. Rank 0 owns the engine and hands each step's groups to the others; the stages
between `pack` and `split` are computed on the whole step by all of them.
"""

from trainer.batch.pack import pack
from trainer.metrics import Metrics
from trainer.run.run import Run


async def train(run: Run) -> None:
    """Train until the recipe's last step, or until a stop is asked for."""
    await run.start()  # mu <- pi
    for step in run.progress:  # resumable counter
        algo = run.algorithm.at(step)  # schedules become plain numbers
        groups = await run.collect(step)  # x ~ D, y_1..y_G ~ mu(.|x), r = verify(x, y), filtered
        batch = pack(groups)  # [T] tokens, [S] sequences
        batch = run.policy.annotate(batch, algo.needs)  # log pi_old, log pi_ref, V: if declared
        batch = batch.replace(rewards=algo.shape(batch))  # r'
        batch = batch.replace(advantages=algo.advantage(batch))  # A
        batch = algo.select(batch)  # which samples learn
        batch = batch.replace(train_mask=algo.mask(batch))  # which tokens learn
        batch = batch.replace(importance_weights=algo.correct(batch))  # w = pi_old / mu
        run.observe(step, groups, batch)

        metrics = Metrics()
        for minibatch in batch.minibatches(run.recipe.minibatches, seed=step):
            minibatch = algo.reduce(minibatch)  # token weights, fixed before any split
            minibatch = algo.prepare(minibatch, run.policy.annotate)  # adaptive bounds, if any
            for micro in run.policy.split(minibatch, run.recipe.max_tokens_per_microbatch):
                out = run.policy.forward(micro)  # log pi_theta, H, V
                loss = algo.objective(out, micro)  # sum_t w_t (is_t loss_t + sum_k coef_k term_k)
                run.policy.backward(loss.total, loss.critic)
                metrics += loss.metrics
            metrics += run.policy.step(**algo.rates)  # clip, optimise

        await run.publish(step + 1)  # mu <- pi, then the probe
        await run.finish(step, metrics)  # adapt, evaluate, log, save
