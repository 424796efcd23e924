"""What is measured: Freehold's own metrics, and what Prometheus knows of the instances."""
