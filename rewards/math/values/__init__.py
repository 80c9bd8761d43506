"""What an answer can be: forms, expressions, sets of reals, units. Imports no parser."""
