"""Puts the parts together: clouds, clocks and forecasters are constructed here, and nowhere below."""

from __future__ import annotations

from mark.app.parts import capacities
from mark.app.profiles import ProfileOptions, measure_missing_profiles, measure_model, profiled_offerings
from mark.app.router import Router
from mark.app.serverless import planned_serverless
from mark.app.serving import serve

__all__ = [
    "ProfileOptions",
    "Router",
    "capacities",
    "measure_missing_profiles",
    "measure_model",
    "planned_serverless",
    "profiled_offerings",
    "serve",
]
