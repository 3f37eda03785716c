"""What a teacher knows of the target inputs, and how a student learns from it."""
