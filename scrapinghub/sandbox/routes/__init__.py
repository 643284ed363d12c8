"""Routes of the sandbox, one module per section of the API."""
