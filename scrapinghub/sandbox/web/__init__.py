"""The page for browsers at ``/`` and the control interface at ``/_sandbox/``."""
