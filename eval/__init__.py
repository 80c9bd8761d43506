"""How good is it? Estimators with intervals, suites, reports."""
