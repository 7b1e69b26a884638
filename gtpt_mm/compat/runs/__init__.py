"""Stop, resume, distribute, lock and check trainings."""
