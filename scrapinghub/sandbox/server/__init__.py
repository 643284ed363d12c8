"""HTTP server of the sandbox: connections, requests, replies and routing."""
