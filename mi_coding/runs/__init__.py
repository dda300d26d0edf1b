"""Runs from a config to a report: build, train, evaluate, report, restore, and the work directory."""
