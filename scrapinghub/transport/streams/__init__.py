"""Record streams: read records over connections that break, each record once."""
