"""The run directory and the terminal, while a run goes on."""
