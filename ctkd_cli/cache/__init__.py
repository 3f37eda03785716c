"""Work that is done once: entries by content key, complete or absent."""
