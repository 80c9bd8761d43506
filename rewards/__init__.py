"""Is the answer right? Problems, verdicts and the verifiers that give them; no torch here."""
