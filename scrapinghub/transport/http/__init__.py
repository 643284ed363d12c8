"""HTTP: one function sends requests; retries, redirects, bodies and network errors."""
