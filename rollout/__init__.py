"""Samples from the policy: problems, engines, environments, the collector and its ledger.

Import records from `types`, the engines' interface from `generation`, `load_problems` from
`problems`, `ChatRenderer` from `render`, `VerifierRunner` from `verification`, and `Collector` from
`collector.collector`; each slot's registry is in the slot's folder.
"""
