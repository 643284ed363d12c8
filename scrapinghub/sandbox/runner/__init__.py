"""Runs the jobs of the queue on this machine, each in a separate process, as the platform does."""
