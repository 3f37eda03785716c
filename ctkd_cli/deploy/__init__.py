"""Using a student."""
