"""Internal modules that the endpoint families of the client share."""
