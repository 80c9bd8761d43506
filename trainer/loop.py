"""The core loop. x: problem, y: completion, mu: the engine's policy, pi: ours.

Every rank runs it. Rank 0 owns the engine and hands each step's groups to the others; the stages
between `pack` and `split` are computed on the whole step by all of them.
"""

from trainer.batch import pack
from trainer.metrics import Metrics
from trainer.run.run import Run


async def train(run: Run) -> None:
    """Train until the recipe's last step, or until a stop is asked for."""
    await run.start()  # mu <- pi
    for step in run.progress:  # resumable counter
        algo = run.algorithm.at(step)  # schedules become plain numbers
        groups = await run.collect(step)  # x ~ D, y_1..y_G ~ mu(.|x), r = verify(x, y), filtered
        batch = pack(groups)  # [T] tokens, [S] sequences
        batch = run.policy.annotate(batch, algo.needs, algo.temperature)  # log pi_old, log pi_ref
        batch = algo.shape(batch)  # r'
        batch = algo.advantage(batch)  # A
        batch = algo.select(batch)  # which samples learn
        batch = algo.mask(batch)  # which tokens learn
        batch = algo.correct(batch)  # w = pi_old / mu
        run.observe(algo, groups, batch)

        metrics = Metrics()
        for minibatch in batch.minibatches(run.recipe.minibatches, seed=step):
            minibatch = algo.reduce(minibatch)  # token weights, fixed before any split
            minibatch = run.policy.annotate(minibatch, algo.minibatch_needs, algo.temperature)
            minibatch = algo.minibatch_stats(minibatch)  # of all its tokens, if the loss has any
            for micro in run.policy.split(minibatch, run.recipe.max_tokens_per_microbatch):
                out = run.policy.forward(micro, algo.temperature, algo.critic_only)  # log pi, H, V
                loss = algo.objective(out, micro)  # sum_t w_t (is_t loss_t + sum_k coef_k term_k)
                run.policy.backward(loss.total, loss.critic)
                metrics += loss.metrics
            metrics += run.policy.step(algo.lr, algo.critic_lr)  # clip, optimise

        await run.publish(step + 1, algo.temperature)  # mu <- pi, then the probe
        await run.finish(algo, metrics)  # adapt, evaluate, log, save
