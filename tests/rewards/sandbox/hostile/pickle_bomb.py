"""Returns an object that runs a command when it is unpickled, copied or printed."""

import os


class Bomb:
    def __reduce__(self):
        return os.system, ("touch @FOLDER@/open/pickled",)

    def __deepcopy__(self, memo):
        return 0

    def __repr__(self):
        os._exit(0)

    __str__ = __repr__


def solve(n):
    return Bomb()
