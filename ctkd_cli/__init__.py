"""ctkd: cross-task knowledge distillation, one command at a time."""

__version__ = "0.1.0"
