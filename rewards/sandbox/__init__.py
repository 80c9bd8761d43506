"""Runs untrusted Python programs: one fresh process each, at the strongest level that works here.

    bubblewrap   no network; sees only Python's library and an empty /tmp in memory; process ids,
                 host name and shared memory of its own; a user without rights; system calls
                 filtered, processes cannot be started; limits on time, memory, files and output
    namespaces   the same without the helper program, where the kernel lets this process do it
    rlimits      the limits, the filter, a user of its own (as root), and Landlock for files; no
                 view of its own, so it is weaker: see below and docs/sandbox.md

`choose` tries them for real and says which is in force. A level that was asked for by name and
does not work is an error.

What this does not protect against:

- A hole in the kernel, or in the interpreter that is confined. One kernel is shared; this is no
  virtual machine.
- Timing, caches and heat: a program can learn how busy the machine is, and keep a core busy for
  as long as its limits allow.
- A program that knows the answers because its model was trained on them.
- At `rlimits`: names, sizes and times of files can be asked for (not their contents); an ordinary
  folder is the temporary one, so files can fill the disk until the deadline; as an ordinary user
  the number of threads is bounded only by memory. Without seccomp or Landlock (an old kernel,
  another system) much more: `Sandbox.leaks` lists what got through.
"""

from rewards.sandbox.probe import SandboxUnavailable, choose
from rewards.sandbox.sandbox import LEVELS, Limits, Sandbox, SandboxFailure, ScriptResult

__all__ = [
    "LEVELS",
    "Limits",
    "Sandbox",
    "SandboxFailure",
    "SandboxUnavailable",
    "ScriptResult",
    "choose",
]
