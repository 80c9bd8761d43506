"""`python -m trainer` is `temper`; launchers such as torchrun and accelerate need a module."""

from trainer.commands.cli import main

main()
