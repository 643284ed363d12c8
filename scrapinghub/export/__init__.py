"""Export of record streams to files and tables; knows neither clients nor endpoints."""
