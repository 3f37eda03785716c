"""The arms of a run: teachers, students and controls, each trained once and kept by content."""
