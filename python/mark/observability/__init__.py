"""A Grafana dashboard and Prometheus's alert rules over the metrics that mark exports."""
