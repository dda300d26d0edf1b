"""What this project promises of its speed and accuracy, measured: each command prints a table."""
