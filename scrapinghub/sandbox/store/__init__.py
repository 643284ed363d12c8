"""Data of the sandbox, in one SQLite file."""
