"""Configuration: credentials, endpoints and configuration files."""
