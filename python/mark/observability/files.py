"""The files for Grafana and Prometheus, as they lie in the package."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["alerts_yaml", "dashboard_json"]


def dashboard_json() -> str:
    """The dashboard, as Grafana imports it: "Dashboards", "New", "Import"."""
    return _read("dashboard.json")


def alerts_yaml() -> str:
    """Alerts and recording rules, as `rule_files` of Prometheus's configuration names them."""
    return _read("alerts.yaml")


def _read(name: str) -> str:
    return (files("mark.observability") / name).read_text(encoding="utf-8")
