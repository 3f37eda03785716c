"""What is checked before anything is trained or written."""
