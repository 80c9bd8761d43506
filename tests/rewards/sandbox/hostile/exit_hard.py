"""Ends without clean-up, with a good exit status."""

import os

os._exit(0)
