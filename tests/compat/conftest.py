"""Fixtures for the older clients."""

from support.older_clients import client, cloud, connection, hubstorage, job_key, shared_cloud

__all__ = ['client', 'cloud', 'connection', 'hubstorage', 'job_key', 'shared_cloud']
