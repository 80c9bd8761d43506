"""Turn samples into a gradient: the pipeline of pure functions, the policy, the loop."""
