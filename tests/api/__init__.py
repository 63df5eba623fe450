"""The REST API, the worker protocol and the command line."""
