"""Faults that the sandbox produces on request."""
