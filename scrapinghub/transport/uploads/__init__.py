"""Uploads: batch writers, their queues and the threads that send them."""
