"""Turn samples into a gradient: the pipeline of pure functions, the policy, the loop."""

from rewards.verifiers import verifier

verifier.extend("trainer.verifiers")  # those that hold a model in this process
