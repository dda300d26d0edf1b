"""One loop trains everything: devices, state, step, optimisers and checkpoints."""
