"""Distillation losses. One file each: a pure function with its paper, and the settings it has."""
