"""What runs on the application's hosts: Python's standard library and nothing else."""
