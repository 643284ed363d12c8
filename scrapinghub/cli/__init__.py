"""The command line over the library: every command is one call of it."""
