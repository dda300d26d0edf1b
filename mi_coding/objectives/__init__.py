"""The pure mathematics: losses and bounds as functions of arrays, every value in nats."""
