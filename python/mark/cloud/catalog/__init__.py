"""Built-in price catalogues and scenarios: facts with their source and date, assumptions marked as such."""

from __future__ import annotations

from mark.cloud.catalog.burstables import burstable_of
from mark.cloud.catalog.entry import Burstable, Catalog, CatalogEntry
from mark.cloud.catalog.lookup import CATALOG_NAMES, catalog
from mark.cloud.catalog.paper import SCENARIO_NAMES, scenario
from mark.cloud.catalog.paper_service import PaperService, paper_service
from mark.cloud.catalog.pricing import with_prices, with_spot

__all__ = [
    "CATALOG_NAMES",
    "SCENARIO_NAMES",
    "Burstable",
    "Catalog",
    "CatalogEntry",
    "PaperService",
    "burstable_of",
    "catalog",
    "paper_service",
    "scenario",
    "with_prices",
    "with_spot",
]
