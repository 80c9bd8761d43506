"""Recurses until the stack is gone."""

import sys
import threading

sys.setrecursionlimit(10**9)


def dive(value):
    return [dive(value)] if value else dive([value])


class Deep:
    def __repr__(self):
        return repr(self)


def solve(n):
    threading.Thread(target=dive, args=(n,)).start()
    return repr(Deep())
