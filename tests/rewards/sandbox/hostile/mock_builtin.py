"""The class under test is the most general built-in type."""

solve = type
