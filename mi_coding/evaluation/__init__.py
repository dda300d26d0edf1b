"""One function per question about codes, each on examples that training never saw."""
