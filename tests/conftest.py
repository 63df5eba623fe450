"""A list of fixture modules, nothing else."""

pytest_plugins = ["fixtures.decoder", "fixtures.order", "fixtures.postgres", "fixtures.mariadb", "fixtures.mysql"]
