"""The tables of the store."""

from __future__ import annotations

from scrapinghub.sandbox.store import (
    activity,
    collections,
    comments,
    deployments,
    frontiers,
    jobs,
    periodic_jobs,
    projects,
    records,
    settings,
    spiders,
)

MODULES = (
    projects,
    spiders,
    settings,
    jobs,
    records,
    activity,
    collections,
    frontiers,
    deployments,
    comments,
    periodic_jobs,
)
SCHEMAS = tuple(module.SCHEMA for module in MODULES)
