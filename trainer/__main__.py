"""`python -m trainer` is `temper`; launchers such as torchrun and accelerate need a module."""

from trainer.cli import main

main()
