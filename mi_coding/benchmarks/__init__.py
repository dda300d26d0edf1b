"""What this project promises of its speed, measured: each module is a command that prints a table."""
