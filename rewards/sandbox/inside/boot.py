"""First file of a confined process: makes its own folder importable, and nothing else of ours."""

import sys

PACKAGE = "rewards.sandbox.inside"


def main() -> None:
    """Import `enter` under its full name without importing the packages above it."""
    folder = __file__.rpartition("/")[0]
    parts = PACKAGE.split(".")
    for depth in range(1, len(parts) + 1):
        package = type(sys)(".".join(parts[:depth]))
        package.__path__ = [folder] if depth == len(parts) else []
        sys.modules[package.__name__] = package
    from rewards.sandbox.inside.enter import main as enter

    enter(sys.argv[1])


if __name__ == "__main__":
    main()
