"""A task: named labels and fixed splits of examples."""
