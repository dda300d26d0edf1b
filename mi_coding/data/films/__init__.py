"""Films: frames with the times at which they are shown, decoded once into a cache and read at random access."""
