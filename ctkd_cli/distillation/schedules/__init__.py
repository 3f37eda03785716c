"""Schedules of lambda over training."""
