"""Parts of the records of a job or collection, for other processes: the results of ``partitions()``."""

from scrapinghub.client._support.partitions import CollectionPartition, Partition, RecordPartition

__all__ = ['CollectionPartition', 'Partition', 'RecordPartition']
