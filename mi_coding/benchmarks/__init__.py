"""Measurements that print a table beside the bar each number should meet; one file a room."""
