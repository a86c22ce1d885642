"""The in-process engine: finds, places and runs the one loaded model."""
