"""Faults that the sandbox applies to requests: definitions, rules, random schedules, damaged responses."""
