"""The web pages: NiceGUI on the API's application. `mount` is all that others need."""

from dashboards.web.app import mount

__all__ = ["mount"]
