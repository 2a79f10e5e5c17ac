"""Puts the parts together: clouds, clocks and forecasters are constructed here, and nowhere below."""

from __future__ import annotations

from mark.app.parts import capacities
from mark.app.profiles import measure_missing_profiles
from mark.app.router import Router
from mark.app.serverless import planned_serverless
from mark.app.serving import serve

__all__ = ["Router", "capacities", "measure_missing_profiles", "planned_serverless", "serve"]
