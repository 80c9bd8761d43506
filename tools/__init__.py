"""Run beside training, not installed with it: benchmarks, studies, page generators."""
