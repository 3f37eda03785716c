"""Readers: where labelled examples come from."""
