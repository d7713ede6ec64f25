"""What a changed line is added to."""
