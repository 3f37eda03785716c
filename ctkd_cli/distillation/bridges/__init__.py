"""Bridges: maps from source labels to target labels. Plain numpy, so `ctkd check` can draw them."""
