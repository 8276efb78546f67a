"""The only place that touches files: config, tables, bundles, scores. Imports nothing."""
