"""What a judging model is told and how its answer is read."""
