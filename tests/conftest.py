"""A list of fixture modules, nothing else."""

pytest_plugins = ["fixtures.order", "fixtures.postgres"]
