"""Workflow files, and the custom events that they make: pure, like `mapping`."""
