"""The words around an answer: what may be beside a number, units, and what a sentence states."""
