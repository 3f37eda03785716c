"""The one training loop, what it optimises, and the pass that reads a model's outputs."""
