"""What several route modules share: the call, forms of responses, formats of records, authentication."""
