"""The only place that speaks to MLflow."""
