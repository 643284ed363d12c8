"""How a call reaches the wire: one session, one retry loop, one codec, streams and uploads. Knows no endpoint."""
