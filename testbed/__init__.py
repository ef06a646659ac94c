"""The composition root and the command line: puts the parts together; nobody imports it."""

from importlib.metadata import version

__version__ = version("factory-testbed")
