"""The data, in one SQLite file; imports nothing of the other folders."""
