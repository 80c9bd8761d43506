"""Shipped suites, one YAML file each; `eval.suite.load_suite` reads them by name."""
