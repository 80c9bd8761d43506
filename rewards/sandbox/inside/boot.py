"""First file of a confined process: makes this package importable, isolates it, runs its role."""

import importlib
import os
import sys

PACKAGE = "rewards.sandbox"


def main(argument: str) -> None:
    """Enter the namespaces and control groups, then hand over to the role.

    The role locks this process down and seals it before it touches anything untrusted. Our package
    is imported under its full name, without the packages above it.
    """
    base = __file__.rpartition("/")[0].rpartition("/")[0]
    for depth, part in enumerate(PACKAGE.split(".")):
        package = type(sys)(".".join(PACKAGE.split(".")[: depth + 1]))
        package.__path__ = [base] if part == "sandbox" else []
        sys.modules[package.__name__] = package
    from rewards.sandbox.inside import lock
    from rewards.sandbox.inside.launch_order import LaunchOrder

    order = LaunchOrder.decode(argument)
    for group in order.groups:
        os.write(group, b"0")
        os.close(group)
    folder = "grading" if order.role == "grader" else "inside"
    role = importlib.import_module(f"{PACKAGE}.{folder}.{order.role}")
    if order.packages:
        sys.path.append(order.packages)
    lock.isolate(order)
    role.main(order)


if __name__ == "__main__":
    main(sys.argv[1])
