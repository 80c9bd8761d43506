"""Text of a mathematical answer to a form: lexer, tokens, and one file for each kind of part.

Import the parser's entry from `parser`.
"""
